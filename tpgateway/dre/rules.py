"""How tables are built from conventions, insurers and products."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import date, timedelta

from tpgateway.conventions.model import Convention
from tpgateway.dre.model import (
    Change,
    ConventionLine,
    GroupingLine,
    GuaranteeLine,
    InsurerOffer,
    Line,
    Match,
    Route,
    Tables,
    Version,
)
from tpgateway.errors import reason
from tpgateway.guarantees.model import Approval, BenefitLine

_FLOW = "DRE"

# What names a line in each table. Tables stand in the order of these, so that the same lines are the same table.
KEYS: Mapping[str, tuple[str, ...]] = {
    "grouping": ("amc_number", "convention_type", "csr"),
    "convention": ("group",),
    "guarantee": ("group", "product_code", "domain", "benefit"),
}


def key_of(table: str, line: Line) -> tuple[str, ...]:
    """What names a line."""
    return tuple(line[column] for column in KEYS[table])


def difference(table: str, older: Sequence[Line], newer: Sequence[Line]) -> Change:
    """What makes the newer of the older."""
    before = {key_of(table, line): line for line in older}
    after = {key_of(table, line): line for line in newer}
    return Change(
        added=[line for key, line in after.items() if key not in before],
        removed=[dict(zip(KEYS[table], key, strict=True)) for key in before if key not in after],
        changed=[line for key, line in after.items() if key in before and before[key] != line],
    )


def apply(table: str, older: Sequence[Line], change: Change) -> list[Line]:
    """The newer table, made of the older and what changed."""
    lines = {key_of(table, line): line for line in older}
    for gone in change.removed:
        del lines[key_of(table, gone)]
    lines |= {key_of(table, line): line for line in (*change.added, *change.changed)}
    return [lines[key] for key in sorted(lines)]


ROUTED = reason("routed", "Cette carte est acceptée en tiers payant par le réseau.")
NO_ROUTE = reason(
    "no_route",
    "Aucune convention du réseau ne correspond à cette carte pour votre spécialité.",
    "Relisez la carte ; si elle est exacte, facturez l'assuré.",
)
NO_GUARANTEE = reason(
    "no_guarantee",
    "Le réseau accepte les cartes de cet organisme, mais rien n'y correspond au domaine ou au produit demandé.",
    "Vérifiez la carte de cette personne : la réponse dit ce qui est couvert.",
)


class RoutingTables:
    """The tables of a version, ready for looking up."""

    def __init__(self, tables: Mapping[str, Sequence[Line]]) -> None:
        self._grouping = {key_of("grouping", line): line for line in tables["grouping"]}
        self._convention = {line["group"]: line for line in tables["convention"]}
        self._guarantee: dict[str, list[Line]] = {}
        for line in tables["guarantee"]:
            self._guarantee.setdefault(line["group"], []).append(line)

    def route(self, amc_number: str, convention_type: str, csr: str, *, on: date) -> Route | None:
        """Where a card leads on a day: by all of its key, then by insurer and type, then by the insurer alone.

        A convention that is not in force on the day leads nowhere.
        """
        for match, key in (
            (Match.EXACT, (amc_number, convention_type, csr)),
            (Match.TYPE, (amc_number, convention_type, "")),
            (Match.INSURER, (amc_number, "", "")),
        ):
            if (line := self._grouping.get(key)) is not None:
                group = line["group"]
                convention = self._convention[group]
                if not convention["valid_from"] <= on.isoformat() <= (convention["valid_to"] or "9999-12-31"):
                    return None
                return Route(
                    match=match,
                    grouping=line,
                    convention=convention,
                    guarantee=self._guarantee.get(group, []),
                )
        return None


def in_force(versions: Iterable[Version], on: date) -> Version | None:
    """The version that counts on a day: of those in effect by then, the one whose effect began last.

    Of several that begin on one day, the newest counts: so a version is taken back by another of the same day.
    """
    begun = [each for each in versions if each.effective_from <= on]
    return max(begun, key=lambda each: (each.effective_from, each.version), default=None)


def last_days(versions: Iterable[Version]) -> dict[int, date | None]:
    """The last day on which each version counts, by its number; None where no other follows.

    One whose place another of the same day took ends before it began.
    """
    order = sorted(versions, key=lambda each: (each.effective_from, each.version))
    ends = [each.effective_from - timedelta(days=1) for each in order[1:]]
    return {each.version: end for each, end in zip(order, [*ends, None], strict=bool(order))}


def build(convention: Convention, offers: Sequence[InsurerOffer]) -> Tables:
    """The tables of the convention's speciality.

    Insurers that offer just the same share a group, so that one convention line covers many. A group is named after the
    first of its insurers: what changes in an offer changes those lines, and not the name of all.
    """
    terms = convention.terms
    grouping: list[GroupingLine] = []
    conventions: dict[str, ConventionLine] = {}
    guarantees: dict[str, list[GuaranteeLine]] = {}
    names: dict[tuple[tuple[str, BenefitLine], ...], str] = {}
    for offer in sorted(offers, key=lambda each: each.number):
        if terms.participants is not None and offer.number not in terms.participants:
            continue
        kept = [(product.code, line) for product in offer.products for line in product.benefits]
        kept = sorted((pair for pair in kept if pair[1].domain in terms.domains), key=_order)
        # An approval comes first where the convention says so, whatever the product says.
        kept = [
            (code, replace(line, approval=Approval.REQUIRED) if line.domain in terms.approval_domains else line)
            for code, line in kept
        ]
        if not kept:
            continue
        group = names.setdefault(tuple(kept), f"G{offer.number}")
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
