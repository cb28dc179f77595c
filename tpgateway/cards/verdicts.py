"""Verdicts remembered: checks that come to the same share one, so that thousands a second need not work it out."""

from tpgateway.cards.model import CardCheck, Verdict
from tpgateway.cards.rules import answers
from tpgateway.database import Connection
from tpgateway.guarantees.model import Domain, ProductVersionId
from tpgateway.guarantees.service import BenefitCache

_KEPT = 10_000


class Verdicts:
    """One a process. A product version's lines never change, so what is told of them here is never stale."""

    def __init__(self, benefits: BenefitCache) -> None:
        self.benefits = benefits
        self._covers: dict[tuple[ProductVersionId, Domain], Verdict] = {}

    def remembered(self, check: CardCheck) -> Verdict | None:
        """The verdict, where it takes no look into the database."""
        if (refusal := answers.refusal(check)) is not None:
            return refusal
        version = check.found.product_version_id
        if version is None:
            return answers.cover(check.ask.domain, ())
        return self._covers.get((version, check.ask.domain))

    async def of(self, connection: Connection, check: CardCheck) -> Verdict:
        """The verdict of a recorded check: the same whenever it is asked for."""
        if (known := self.remembered(check)) is not None:
            return known
        version = check.found.product_version_id
        assert version is not None
        lines = await self.benefits.lines(connection, check.insurer_id, version)
        verdict = self._covers[version, check.ask.domain] = answers.cover(check.ask.domain, lines)
        if len(self._covers) > _KEPT:
            del self._covers[next(iter(self._covers))]  # the oldest
        return verdict
