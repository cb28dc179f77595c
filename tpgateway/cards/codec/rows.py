"""Recorded checks as rows."""

import asyncpg

from tpgateway.cards.model import Ask, Card, CardCheck, Found
from tpgateway.guarantees.model import Domain

_ASKED = (
    "insurer_id", "id", "practitioner_id", "agent_id", "convention_type", "csr", "birth_date", "nir_hash", "domain",
    "care_date", "checked_at", "idempotency_key", "proof", "proof_expires_at",
)  # fmt: skip
FOUND = ", ".join(Found._fields)


def columns(of: str) -> str:
    """What ``check_of`` reads, of a row of this name: the first columns of a statement."""
    return ", ".join(f"{of}.{column}" for column in (*_ASKED, *Found._fields))


def check_of(row: asyncpg.Record) -> CardCheck:
    """The check of a row that has its insurer's ``number`` as well."""
    ask = Ask(
        practitioner_id=row["practitioner_id"],
        agent_id=row["agent_id"],
        card=Card(
            insurer_number=row["number"],
            convention_type=row["convention_type"],
            csr=row["csr"],
            membership_number=row["membership_number"],
            birth_date=row["birth_date"],
            birth_rank=row["birth_rank"],
            nir_hash=row["nir_hash"],
        ),
        domain=Domain(row["domain"]),
        care_date=row["care_date"],
        checked_at=row["checked_at"],
        idempotency_key=row["idempotency_key"],
    )
    found = Found._make(row[len(_ASKED) : len(_ASKED) + len(Found._fields)])
    return CardCheck(row["insurer_id"], row["id"], row["proof"], row["proof_expires_at"], ask, found)
