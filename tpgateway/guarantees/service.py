"""Use cases of products."""

import time
from collections.abc import Callable, Mapping, Sequence
from datetime import date

from tpgateway import audit
from tpgateway.audit import Action, Actor
from tpgateway.database import Connection
from tpgateway.errors import Fault, InvalidRequest
from tpgateway.guarantees.errors import ProductValidityOverlaps, TariffUnknown
from tpgateway.guarantees.model import BenefitLine, ProductTerms, ProductVersion, ProductVersionId, Tariff, Tariffs
from tpgateway.guarantees.rules.responsible import breaches
from tpgateway.guarantees.store import ProductStore, TariffStore
from tpgateway.insurers.model import InsurerId


async def record_product(
    connection: Connection, insurer: InsurerId, terms: ProductTerms, *, actor: Actor
) -> ProductVersion:
    """A new version of a product.

    Raises ``ProductValidityOverlaps``, and ``InvalidRequest`` with the rules of responsible contracts that it breaks.

    It takes the place of one that begins the same day, and ends one that began before. What was decided on an older
    version keeps pointing at it.
    """
    if broken := breaches(terms, await tariffs(connection)):
        raise InvalidRequest(
            faults=[Fault(pointer=f"/benefits/{line}", problem=rule, detail=detail) for line, rule, detail in broken]
        )
    store = ProductStore(connection)
    await store.lock_code(insurer, terms.code)
    await store.supersede(insurer, terms.code, terms.valid_from)
    await store.shorten(insurer, terms.code, terms.valid_from)
    version_id = await store.add(insurer, terms)
    if version_id is None:
        raise ProductValidityOverlaps
    await store.add_lines(insurer, version_id, terms.benefits)
    await audit.record(
        connection, actor=actor, action=Action.PRODUCT_RECORDED, subject_id=version_id, insurer_id=insurer
    )
    return ProductVersion(id=version_id, terms=terms)


async def products_in_force(connection: Connection, on: date) -> Mapping[InsurerId, Sequence[ProductTerms]]:
    """Every insurer's products on a day, by code: what an operator's publication is built from."""
    found: dict[InsurerId, list[ProductTerms]] = {}
    for insurer, terms in await ProductStore(connection).in_force(on):
        found.setdefault(insurer, []).append(terms)
    return found


async def products_of(connection: Connection, insurer: InsurerId, *, since: date) -> Sequence[ProductTerms]:
    """An insurer's products in force since a day or later, by code and period."""
    return await ProductStore(connection).of_insurer(insurer, since)


async def tariffs(connection: Connection) -> Tariffs:
    """All national amounts and periods."""
    return Tariffs(await TariffStore(connection).all())


async def list_tariffs(connection: Connection, on: date | None = None) -> Sequence[Tariff]:
    """Those in force on a day, or all that ever were, by code and day."""
    found = await TariffStore(connection).all()
    if on is None:
        return found
    return list({tariff.code: tariff for tariff in found if tariff.valid_from <= on}.values())


async def set_tariff(
    connection: Connection, code: str, *, valid_from: date, value: int, source: str, actor: Actor
) -> None:
    """From a day on a national amount or period is another; raises ``TariffUnknown``. Services see it in seconds."""
    if not await TariffStore(connection).set(code, valid_from, value, source):
        raise TariffUnknown
    await audit.record(connection, actor=actor, action=Action.TARIFF_SET)


class TariffCache:
    """The tariffs as they were read a few seconds ago at most."""

    def __init__(self, seconds: float = 5.0, clock: Callable[[], float] = time.monotonic) -> None:
        self._seconds, self._clock = seconds, clock
        self._kept: tuple[float, Tariffs] | None = None

    async def get(self, connection: Connection) -> Tariffs:
        """All tariffs."""
        if self._kept is None or self._clock() >= self._kept[0]:
            self._kept = (self._clock() + self._seconds, await tariffs(connection))
        return self._kept[1]


class BenefitCache:
    """Product versions already read: a version's lines never change, so what is told of them here is never stale."""

    def __init__(self, size: int = 5_000) -> None:
        self._size = size
        self._kept: dict[tuple[InsurerId, ProductVersionId], ProductTerms] = {}

    def remembered(self, insurer: InsurerId, version: ProductVersionId) -> tuple[BenefitLine, ...] | None:
        """The lines of a version that was read before."""
        kept = self._kept.get((insurer, version))
        return None if kept is None else kept.benefits

    async def lines(
        self, connection: Connection, insurer: InsurerId, version: ProductVersionId
    ) -> tuple[BenefitLine, ...]:
        """The lines of a version that is known to exist."""
        return (await self.version(connection, insurer, version)).benefits

    async def version(self, connection: Connection, insurer: InsurerId, version: ProductVersionId) -> ProductTerms:
        """The terms of a version that is known to exist; their ``valid_to`` may since have moved."""
        if (kept := self._kept.get((insurer, version))) is not None:
            return kept
        found = await ProductStore(connection).version(insurer, version)
        assert found is not None
        self._kept[insurer, version] = found.terms
        if len(self._kept) > self._size:
            del self._kept[next(iter(self._kept))]  # the oldest
        return found.terms
