"""Decisions about endpoints and deliveries."""

import ipaddress
import re
from datetime import timedelta
from urllib.parse import urlsplit

_LABEL = re.compile(r"[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?")

# Ten tries over 75 h 35 min, as Standard Webhooks advises: the first at once, then after each of these.
RETRY_DELAYS = (
    timedelta(seconds=5),
    timedelta(minutes=5),
    timedelta(minutes=30),
    timedelta(hours=2),
    timedelta(hours=5),
    timedelta(hours=10),
    timedelta(hours=14),
    timedelta(hours=20),
    timedelta(hours=24),
)


def delay_after(attempt: int) -> timedelta | None:
    """How long to wait after a failed attempt (the first is 1); None when there will be no other."""
    return RETRY_DELAYS[attempt - 1] if attempt <= len(RETRY_DELAYS) else None


# An endpoint that took nothing for so long is no longer tried.
FAILING_FOR = timedelta(days=7)
# So many posts to one endpoint are under way at once; one that fails gets one at a time, ever later.
AT_ONCE = 16
_FAILURES_UNTIL_CAUTIOUS = 3
_LONGEST_PAUSE = timedelta(minutes=1)


def places(failures: int) -> int:
    """How many posts may be with an endpoint that failed so many times in a row."""
    return 1 if failures >= _FAILURES_UNTIL_CAUTIOUS else AT_ONCE


def pause_after(failures: int) -> timedelta:
    """How long an endpoint that failed so many times in a row is left alone."""
    if failures < _FAILURES_UNTIL_CAUTIOUS:
        return timedelta(0)
    return min(timedelta(seconds=2 ** min(failures - _FAILURES_UNTIL_CAUTIOUS, 10)), _LONGEST_PAUSE)


def with_jitter(delay: timedelta, chance: float) -> timedelta:
    """A twentieth shorter to a twentieth longer, by chance (0 to 1): what failed together does not come back together."""
    return delay * (0.95 + chance / 10)


def is_public(address: str) -> bool:
    """Whether an IP address is one of the public internet."""
    parsed = ipaddress.ip_address(address)
    mapped = getattr(parsed, "ipv4_mapped", None)
    return (mapped or parsed).is_global and not parsed.is_multicast


def _is_host(name: str, *, is_bracketed: bool) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return not is_bracketed and len(name) <= 253 and all(_LABEL.fullmatch(label) for label in name.split("."))
    return True


def endpoint_fault(url: str, *, allows_private: bool) -> str | None:
    """Why events may not be sent to a URL (English, for the vendor), None where they may.

    Names are checked again when they are resolved: what they point to can change.
    """
    if not url.isascii() or not url.isprintable() or " " in url:
        return "only printable ASCII may stand in it"
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return "not a URL"
    if port == 0:
        return "the port must be 1 to 65535"
    if parts.scheme not in ({"http", "https"} if allows_private else {"https"}):
        return "the scheme must be https"
    if not parts.hostname or not _is_host(parts.hostname, is_bracketed="[" in parts.netloc):
        return "a host name or address is missing"
    if parts.username or parts.password or parts.fragment:
        return "no user, password or fragment may stand in it"
    if allows_private:
        return None
    try:
        return None if is_public(parts.hostname) else "the host is a private address"
    except ValueError:
        is_local = "." not in parts.hostname or parts.hostname.endswith((".local", ".localhost", ".internal"))
        return "the host is not a public name" if is_local else None
