"""How long rights and checks are kept, and what is kept of one person."""

from collections.abc import Mapping
from datetime import date
from typing import Any

from tpgateway.cards.codec.nirs import NIR_PURPOSE
from tpgateway.cards.model import Person
from tpgateway.cards.store.checks import CheckStore
from tpgateway.cards.store.rights import RightsStore
from tpgateway.database import Connection, scope
from tpgateway.insurers import service as insurers
from tpgateway.insurers.model import InsurerId
from tpgateway.vault import Vault

_AT_ONCE = 5_000


async def forget_checks(connection: Connection, *, months: int) -> int:
    """Leaves of checks that are so many months old the audit trail's trace alone; answers of how many.

    Those stay whose approval may still be changed. It is the database that judges, by its own clock. Raises asyncpg's
    ``RestrictViolationError`` for less than half a year.
    """
    store, count = CheckStore(connection), 0
    while True:
        async with connection.transaction():
            await scope.let_go(connection)
            forgotten = await store.forget(months=months, most=_AT_ONCE)
        if not forgotten:
            return count
        count += forgotten


async def forget_rights(connection: Connection, *, months: int, today: date) -> int:
    """Removes rights that ended so many months ago, and the NIR of whoever has none left; answers how many."""
    store, count = RightsStore(connection), 0
    for insurer in await insurers.list_all(connection):
        count += await store.forget_ended(insurer.id, today, months)
    return count


async def persons_of_nir(
    connection: Connection, vault: Vault, insurer: InsurerId, nir: str, birth_date: str
) -> list[Person]:
    """Whom an insurer knows by a NIR and a birth date."""
    nir_hash = vault.match(nir.encode(), purpose=NIR_PURPOSE)
    return await RightsStore(connection).persons_of_nir(insurer, nir_hash, birth_date)


async def of_person(connection: Connection, vault: Vault, insurer: InsurerId, person: Person) -> Mapping[str, Any]:
    """All that is kept of somebody's card: ``nir`` (None where there is none), ``rights``, ``card_checks``."""
    rights = RightsStore(connection)
    kept = await rights.nir_of(insurer, person)
    nir_hash, nir = (kept[0], vault.open(kept[1], purpose=NIR_PURPOSE).decode()) if kept else (None, None)
    return {
        "nir": nir,
        "rights": await rights.of_person(insurer, person),
        "card_checks": await CheckStore(connection).of_person(insurer, person, nir_hash),
    }
