"""What is done so that no process of ours is left behind. What asks the kernel works on Linux; elsewhere it does nothing."""

import ctypes
import signal
import sys

_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36


_stops_asked: list[int] = []


def unwind_on_stop() -> None:
    """Until a loop listens for it, a stop unwinds the program as Ctrl-C does, so that nothing is left behind."""
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _unwind)


def _unwind(number: int, _frame: object) -> None:
    _stops_asked.append(number)
    raise SystemExit(128 + number)


def was_asked_to_stop() -> bool:
    """Whether a stop came that may not have unwound: Python drops what is raised while it cleans up objects."""
    return bool(_stops_asked)


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
