"""Columns of sealed values, and how they come under the vault's current key when that was replaced."""

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass

import asyncpg

from tpgateway.database import Connection
from tpgateway.vault import Vault

AT_ONCE = 1000


@dataclass(frozen=True, slots=True)
class Sealed:
    """A column; ``key`` is its table's primary key, ``purpose`` what a row's value was sealed for."""

    table: str
    column: str
    key: tuple[str, ...]
    purpose: Callable[[asyncpg.Record], str]


async def count_old(connection: Connection, vault: Vault, sealed: Sealed) -> int:
    """How many values are sealed by another key than the current one; reads the whole table."""
    count: int = await connection.fetchval(
        f"SELECT count(*) FROM {sealed.table} WHERE {_is_old(sealed, 1)}",  # noqa: S608
        vault.mark,
    )
    return count


async def is_used(connection: Connection, vault: Vault, sealed: Sealed) -> bool:
    """Whether any value is sealed by the current key."""
    found: bool = await connection.fetchval(
        f"SELECT EXISTS (SELECT FROM {sealed.table} WHERE NOT ({_is_old(sealed, 1)}))",  # noqa: S608
        vault.mark,
    )
    return found


async def reseal(connection: Connection, vault: Vault, sealed: Sealed) -> AsyncIterator[int]:
    """Seals all values of a column by the current key, beside whoever reads and writes it; yields how many each time.

    Stopped and begun again, it goes on where it was. Raises ``SealBroken`` where a value's key is not in the vault.
    """
    keys = ", ".join(sealed.key)
    rows = await connection.fetch(_page(sealed, ""), vault.mark)
    while rows:
        await connection.executemany(
            f"UPDATE {sealed.table} SET {sealed.column} = $1 WHERE {sealed.column} = $2"  # noqa: S608
            + "".join(f" AND {name} = ${at}" for at, name in enumerate(sealed.key, 3)),
            [
                (
                    vault.seal(
                        vault.open(row[sealed.column], purpose=sealed.purpose(row)), purpose=sealed.purpose(row)
                    ),
                    row[sealed.column],
                    *(row[name] for name in sealed.key),
                )
                for row in rows
            ],
        )
        yield len(rows)
        after = ", ".join(f"${at}" for at in range(2, 2 + len(sealed.key)))
        last = [rows[-1][name] for name in sealed.key]
        rows = await connection.fetch(_page(sealed, f"AND ({keys}) > ({after})"), vault.mark, *last)


def _page(sealed: Sealed, after: str) -> str:
    return (
        f"SELECT * FROM {sealed.table} WHERE {_is_old(sealed, 1)} {after}"  # noqa: S608
        f" ORDER BY {', '.join(sealed.key)} LIMIT {AT_ONCE}"
    )


def _is_old(sealed: Sealed, mark: int) -> str:
    return f"substring({sealed.column} FROM 1 FOR length(${mark}::bytea)) <> ${mark}::bytea"
