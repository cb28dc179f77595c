"""Verdicts remembered: checks that come to the same share one, so that thousands a second need not work it out."""

from tpgateway.cards.model import CardCheck, Verdict
from tpgateway.cards.rules import answers
from tpgateway.conventions.model import ConventionId
from tpgateway.conventions.service import ApprovalDomains
from tpgateway.database import Connection
from tpgateway.guarantees.model import Domain, ProductVersionId
from tpgateway.guarantees.service import BenefitCache

_KEPT = 10_000


class Verdicts:
    """One a process. Neither a product version's lines nor a convention's terms ever change: nothing here gets stale."""

    def __init__(self, benefits: BenefitCache, approval_domains: ApprovalDomains) -> None:
        self.benefits = benefits
        self._approval_domains = approval_domains
        self._covers: dict[tuple[ProductVersionId, Domain, ConventionId], Verdict] = {}

    def remembered(self, check: CardCheck) -> Verdict | None:
        """The verdict, where it takes no look into the database."""
        if (refusal := answers.refusal(check)) is not None:
            return refusal
        version, convention = check.found.product_version_id, check.found.convention_id
        if version is None:
            return answers.cover(check.ask.domain, ())
        assert convention is not None  # else it was refused
        return self._covers.get((version, check.ask.domain, convention))

    async def of(self, connection: Connection, check: CardCheck) -> Verdict:
        """The verdict of a recorded check: the same whenever it is asked for."""
        if (known := self.remembered(check)) is not None:
            return known
        version, convention, domain = check.found.product_version_id, check.found.convention_id, check.ask.domain
        assert version is not None
        assert convention is not None
        lines = await self.benefits.lines(connection, check.insurer_id, version)
        asks_first = domain in await self._approval_domains.of(connection, convention)
        verdict = self._covers[version, domain, convention] = answers.cover(domain, lines, asks_first=asks_first)
        if len(self._covers) > _KEPT:
            del self._covers[next(iter(self._covers))]  # the oldest
        return verdict
