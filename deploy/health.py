"""Whether a service answers: exit status 0 as soon as the address gives 200, 1 where it did not within the time given.

Example: `python health.py http://127.0.0.1:8081/health/ready --seconds 60`
"""

import argparse
import http.client
import sys
import time
import urllib.request


def is_well(url: str) -> bool:
    """One question; whatever is not a plain 200 is no."""
    try:
        with urllib.request.urlopen(url, timeout=2) as answer:  # noqa: S310  # the operator's own address
            return bool(answer.status == 200)
    except (OSError, http.client.HTTPException):
        return False


def main() -> int:
    """Asks until it is well, or the time is over; at least once."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("url")
    parser.add_argument("--seconds", type=float, default=0, help="how long to go on asking")
    words = parser.parse_args()
    until = time.monotonic() + words.seconds
    while not is_well(words.url):
        if time.monotonic() >= until:
            return 1
        time.sleep(0.2)
    return 0


if __name__ == "__main__":
    sys.exit(main())
