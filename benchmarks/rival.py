"""Another rival: the same check as most would write it, with FastAPI and SQLAlchemy: one SELECT, one INSERT, one commit.

Written to be quick where that costs nothing: asyncpg below, uvloop and httptools, a pool as large as the load, no access log,
statements that SQLAlchemy caches, a primary key that fits the look-up, no foreign keys.
"""

import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, date, datetime, timedelta
from typing import Any, Literal
from uuid import UUID, uuid4

import uvicorn
from fastapi import FastAPI, HTTPException
from pydantic import BaseModel, Field
from sqlalchemy import ARRAY, Text, select
from sqlalchemy.ext.asyncio import async_sessionmaker, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column


class Base(DeclarativeBase):
    pass


class Right(Base):
    __tablename__ = "rival_rights"

    insurer_number: Mapped[str] = mapped_column(primary_key=True)
    membership_number: Mapped[str] = mapped_column(primary_key=True)
    birth_date: Mapped[str] = mapped_column(primary_key=True)
    birth_rank: Mapped[int] = mapped_column(primary_key=True)
    valid_from: Mapped[date] = mapped_column(primary_key=True)
    valid_to: Mapped[date]
    convention_types: Mapped[list[str]] = mapped_column(ARRAY(Text))
    product_code: Mapped[str]


class Check(Base):
    __tablename__ = "rival_checks"

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
    insurer_number: Mapped[str]
    membership_number: Mapped[str]
    birth_date: Mapped[str]
    birth_rank: Mapped[int]
    domain: Mapped[str]
    care_date: Mapped[date]
    outcome: Mapped[str]
    checked_at: Mapped[datetime] = mapped_column(default=lambda: datetime.now(UTC).replace(tzinfo=None))


class Question(BaseModel):
    insurer_number: str = Field(pattern=r"^[0-9]{10}$")
    convention_type: str = Field(pattern=r"^[A-Za-z]{2}$")
    csr: str | None = Field(default=None, pattern=r"^[A-Za-z0-9]{0,8}$")
    membership_number: str = Field(pattern=r"^[A-Za-z0-9]{1,16}$")
    birth_date: str = Field(pattern=r"^[0-9]{8}$")
    birth_rank: int = Field(ge=1, le=9)
    domain: Literal["PHAR", "OPTI", "DENT", "HOSP", "MED", "LABO"]
    care_date: date | None = None


class Answer(BaseModel):
    id: UUID
    outcome: str
    checked_at: datetime
    proof: str
    proof_expires_at: datetime
    rights: dict[str, date]
    benefits: list[dict[str, Any]]


def create(url: str, padding: str) -> FastAPI:
    engine = create_async_engine(url.replace("postgresql://", "postgresql+asyncpg://"), pool_size=32, max_overflow=0)
    sessions = async_sessionmaker(engine, expire_on_commit=False)

    @asynccontextmanager
    async def life(_: FastAPI) -> AsyncIterator[None]:
        yield
        await engine.dispose()

    app = FastAPI(lifespan=life)
    benefits = [{"benefit": padding, "formula": {"kind": "copayment", "per": "act"}, "approval": "none"}]

    @app.post("/v1/card-checks")
    async def check_card(body: Question) -> Answer:
        care_date = body.care_date or datetime.now(UTC).date()
        async with sessions() as session, session.begin():
            right = await session.scalar(
                select(Right).where(
                    Right.insurer_number == body.insurer_number,
                    Right.membership_number == body.membership_number,
                    Right.birth_date == body.birth_date,
                    Right.birth_rank == body.birth_rank,
                    Right.valid_from <= care_date,
                    Right.valid_to >= care_date,
                )
            )
            if right is None:
                raise HTTPException(404)
            check = Check(
                insurer_number=body.insurer_number,
                membership_number=body.membership_number,
                birth_date=body.birth_date,
                birth_rank=body.birth_rank,
                domain=body.domain,
                care_date=care_date,
                outcome="covered",
            )
            session.add(check)
        return Answer(
            id=check.id,
            outcome="covered",
            checked_at=check.checked_at,
            proof=uuid4().hex[:12],
            proof_expires_at=check.checked_at + timedelta(days=30),
            rights={"from": right.valid_from, "to": right.valid_to},
            benefits=benefits,
        )

    return app


def main() -> None:
    listening, url, size = socket.socket(fileno=int(sys.argv[1])), sys.argv[2], int(sys.argv[3])
    app = create(url, "x" * max(1, size - 330))
    server = uvicorn.Server(uvicorn.Config(app, log_level="error", access_log=False, loop="uvloop", http="httptools"))
    server.run(sockets=[listening])


if __name__ == "__main__":
    main()
