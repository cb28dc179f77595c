"""A circuit breaker: whoever failed again and again is left alone for a while, then tried once.

Five failures in a row open it for ten seconds; each time that the one trial after it fails again, for twice as long, up to
two minutes. Times are seconds of any clock that does not go back.
"""

from dataclasses import dataclass

_FAILURES = 5
_FIRST_REST = 10.0
_LONGEST_REST = 120.0


@dataclass(slots=True)
class Breaker:
    """Of one party."""

    failures: int = 0
    rest: float = 0.0
    resting_until: float = 0.0
    is_trying: bool = False

    def may_try(self, now: float) -> bool:
        """Whether the party may be asked; of those who ask after a rest only the first may, until he tells what came."""
        if self.failures < _FAILURES:
            return True
        if now < self.resting_until or self.is_trying:
            return False
        self.is_trying = True
        return True

    def succeeded(self) -> None:
        """The party answered: all is as at the start."""
        self.failures, self.rest, self.resting_until, self.is_trying = 0, 0.0, 0.0, False

    def forget(self, *, is_trial: bool) -> None:
        """What was asked came to nothing that says how the party does: after a rest, the next may be the trial."""
        if is_trial:
            self.is_trying = False

    def failed(self, now: float, *, is_trial: bool = False) -> None:
        """The party did not answer. Of those that were asked before the rest began, one more failure says nothing new."""
        if self.rest and not is_trial:
            return
        self.failures += 1
        self.is_trying = False
        if self.failures >= _FAILURES:
            self.rest = min(self.rest * 2, _LONGEST_REST) if self.rest else _FIRST_REST
            self.resting_until = now + self.rest
