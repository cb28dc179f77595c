"""What the kernel can do so that no process of ours is left behind. Both only on Linux; elsewhere they do nothing."""

import ctypes
import signal
import sys

_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36


def die_with_parent() -> None:
    """This process is asked to stop when its parent ends, even should that be killed outright."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)


def adopt_orphans() -> None:
    """What detaches itself from a child of this process becomes its own child, and not init's.

    It then stands in this process's tree, and is reaped by it rather than by an init that a container may lack.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
