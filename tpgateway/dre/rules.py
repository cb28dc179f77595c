"""How tables are built from conventions, insurers and products."""

import hashlib
from collections.abc import Iterator, Sequence

from tpgateway.conventions.model import Convention
from tpgateway.dre.model import ConventionLine, GroupingLine, GuaranteeLine, InsurerOffer, Tables
from tpgateway.guarantees.model import Approval, BenefitLine

_FLOW = "DRE"


def build(convention: Convention, offers: Sequence[InsurerOffer]) -> Tables:
    """The tables of the convention's speciality.

    Insurers that offer just the same share a group, so that one convention line covers many. A group is named after its
    content: it keeps its name from version to version as long as nothing in it changes.
    """
    terms = convention.terms
    grouping: list[GroupingLine] = []
    conventions: dict[str, ConventionLine] = {}
    guarantees: dict[str, list[GuaranteeLine]] = {}
    for offer in sorted(offers, key=lambda each: each.number):
        if terms.participants is not None and offer.number not in terms.participants:
            continue
        kept = [(product.code, line) for product in offer.products for line in product.benefits]
        kept = sorted((pair for pair in kept if pair[1].domain in terms.domains), key=_order)
        if not kept:
            continue
        group = _name(kept)
        grouping.extend(
            GroupingLine(amc_number=offer.number, convention_type=kind, csr="", group=group)
            for kind in sorted(offer.convention_types)
        )
        guarantees[group] = [_guarantee(group, code, line) for code, line in kept]
        conventions[group] = ConventionLine(
            group=group,
            domains=" ".join(sorted({line.domain for _, line in kept})),
            flow=_FLOW,
            valid_from=terms.valid_from.isoformat(),
            valid_to=terms.valid_to.isoformat() if terms.valid_to else "",
            payment_days=terms.payment_days,
            approval_domains=" ".join(sorted({line.domain for _, line in kept if line.approval is Approval.REQUIRED})),
        )
    return Tables(
        specialty=terms.specialty,
        grouping=tuple(grouping),
        convention=tuple(conventions[group] for group in sorted(conventions)),
        guarantee=tuple(line for group in sorted(guarantees) for line in guarantees[group]),
    )


def _order(pair: tuple[str, BenefitLine]) -> tuple[str, str, str]:
    code, line = pair
    return code, line.domain, line.benefit


def _name(kept: Sequence[tuple[str, BenefitLine]]) -> str:
    def parts() -> Iterator[str]:
        for code, line in kept:
            formula = line.formula
            yield "|".join(
                str(part)
                for part in (
                    code,
                    line.domain,
                    line.benefit,
                    formula.kind,
                    formula.per,
                    formula.rate_basis_points,
                    formula.amount_cents,
                    formula.ceiling_cents,
                    line.approval,
                )
            )

    return "G" + hashlib.sha256("\n".join(parts()).encode()).hexdigest()[:10].upper()


def _guarantee(group: str, product_code: str, line: BenefitLine) -> GuaranteeLine:
    formula = line.formula
    return GuaranteeLine(
        group=group,
        product_code=product_code,
        domain=line.domain,
        benefit=line.benefit,
        formula=formula.kind,
        per=formula.per,
        rate_basis_points=formula.rate_basis_points,
        amount_cents=formula.amount_cents,
        ceiling_cents=formula.ceiling_cents,
        approval=line.approval,
    )
