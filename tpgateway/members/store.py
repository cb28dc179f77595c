"""SQL of people, their sessions and their second factors."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from uuid import UUID

import asyncpg

from tpgateway.database import Connection
from tpgateway.members.model import (
    Guard,
    MailedCode,
    Member,
    MemberId,
    MemberState,
    OpenSession,
    Secrets,
    SessionId,
)
from tpgateway.web.callers import Role

_MEMBER = "id, practitioner_id, insurer_id, role, is_holder, state, name, email, totp_since, invited_at, joined_at"
_SECRETS = "password_hash, totp_secret, totp_since, totp_last_step"


class MemberStore:
    """People. One method, one statement."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection

    async def add_holder(self, practitioner_id: UUID, *, email: str, password_hash: str, now: datetime) -> MemberId:
        added: UUID = await self.connection.fetchval(
            "INSERT INTO practitioner_members (practitioner_id, role, is_holder, state, email, password_hash, invited_at,"
            " joined_at) VALUES ($1, 'owner', true, 'active', $2, $3, $4, $4) RETURNING id",
            practitioner_id,
            email,
            password_hash,
            now,
        )
        return MemberId(added)

    async def invite(
        self, account_id: UUID, *, email: str, name: str | None, role: Role, now: datetime
    ) -> Member | None:
        """A member to be; None where somebody of the account has the address."""
        row = await self.connection.fetchrow(
            "INSERT INTO practitioner_members (practitioner_id, insurer_id, role, state, email, name, invited_at)"  # noqa: S608
            " VALUES ((SELECT id FROM practitioners WHERE id = $1), (SELECT id FROM insurers WHERE id = $1), $2, 'invited',"
            " $3, $4, $5) ON CONFLICT DO NOTHING"
            f" RETURNING {_MEMBER}",
            account_id,
            role,
            email,
            name,
            now,
        )
        return None if row is None else _member(row)

    async def join(self, member_id: MemberId, *, name: str | None, password_hash: str, now: datetime) -> bool:
        """An invited member comes in; False where the invitation was taken back."""
        done = await self.connection.execute(
            "UPDATE practitioner_members SET state = 'active', password_hash = $2, joined_at = $3,"
            " name = coalesce($4, name) WHERE id = $1 AND state = 'invited'",
            member_id,
            password_hash,
            now,
            name,
        )
        return done == "UPDATE 1"

    async def get(self, member_id: MemberId) -> Member | None:
        row = await self.connection.fetchrow(
            f"SELECT {_MEMBER} FROM practitioner_members WHERE id = $1",  # noqa: S608
            member_id,
        )
        return None if row is None else _member(row)

    async def holder(self, practitioner_id: UUID) -> Member | None:
        row = await self.connection.fetchrow(
            f"SELECT {_MEMBER} FROM practitioner_members WHERE practitioner_id = $1 AND is_holder",  # noqa: S608
            practitioner_id,
        )
        return None if row is None else _member(row)

    async def find(self, account_id: UUID, email: str | None) -> tuple[Member, Secrets] | None:
        """Who logs in with these: the holder without an address, another of the account with his own."""
        row = await self.connection.fetchrow(
            f"SELECT {_MEMBER}, {_SECRETS} FROM practitioner_members"  # noqa: S608
            " WHERE (practitioner_id = $1 OR insurer_id = $1) AND state = 'active'"
            " AND CASE WHEN $2::text IS NULL THEN is_holder ELSE lower(email) = lower($2) END",
            account_id,
            email,
        )
        return None if row is None else (_member(row), _secrets(row))

    async def secrets(self, member_id: MemberId) -> Secrets:
        row = await self.connection.fetchrow(
            f"SELECT {_SECRETS} FROM practitioner_members WHERE id = $1 FOR UPDATE",  # noqa: S608
            member_id,
        )
        assert row is not None
        return _secrets(row)

    async def list_all(self, account_id: UUID) -> list[Member]:
        """All of an account but those who were removed, the holder first."""
        rows = await self.connection.fetch(
            f"SELECT {_MEMBER} FROM practitioner_members"  # noqa: S608
            " WHERE (practitioner_id = $1 OR insurer_id = $1) AND state <> 'removed'"
            " ORDER BY is_holder DESC, id",
            account_id,
        )
        return [_member(row) for row in rows]

    async def names(self, account_id: UUID) -> dict[UUID, str]:
        """What to call everybody who ever belonged to the account, and its API clients."""
        rows = await self.connection.fetch(
            "SELECT id, coalesce(name, email) AS name FROM practitioner_members WHERE practitioner_id = $1"
            " UNION ALL SELECT id, coalesce(name, email) FROM practitioner_members WHERE insurer_id = $1"
            " UNION ALL SELECT id, name FROM practitioner_clients WHERE practitioner_id = $1"
            " UNION ALL SELECT id, name FROM insurer_clients WHERE insurer_id = $1",
            account_id,
        )
        return {row["id"]: row["name"] for row in rows}

    async def numbers(self, account_id: UUID) -> list[str]:
        """The account's numbers, which no password may hold."""
        rows = await self.connection.fetch(
            "SELECT value FROM practitioner_identifiers WHERE practitioner_id = $1"
            " UNION ALL SELECT number FROM insurers WHERE id = $1",
            account_id,
        )
        return [row["value"] for row in rows]

    async def set_role(self, member_id: MemberId, role: Role) -> None:
        await self.connection.execute("UPDATE practitioner_members SET role = $2 WHERE id = $1", member_id, role)

    async def remove(self, member_id: MemberId, now: datetime) -> None:
        await self.connection.execute(
            "UPDATE practitioner_members SET state = 'removed', removed_at = $2, password_hash = NULL,"
            " totp_secret = NULL, totp_since = NULL WHERE id = $1",
            member_id,
            now,
        )

    async def set_password(self, member_id: MemberId, password_hash: str) -> None:
        await self.connection.execute(
            "UPDATE practitioner_members SET password_hash = $2 WHERE id = $1", member_id, password_hash
        )

    async def set_email(self, member_id: MemberId, email: str, now: datetime) -> bool:
        """The member's new address, the former kept; False where another of the practice has it."""
        try:
            async with self.connection.transaction():
                await self.connection.execute(
                    "WITH former AS (INSERT INTO member_former_addresses (member_id, email, left_at)"
                    " SELECT id, email, $3 FROM practitioner_members WHERE id = $1)"
                    " UPDATE practitioner_members SET email = $2 WHERE id = $1",
                    member_id,
                    email,
                    now,
                )
        except asyncpg.UniqueViolationError:
            return False
        return True

    async def lock_account(self, account_id: UUID) -> None:
        await self.connection.execute(
            "WITH practice AS (SELECT FROM practitioners WHERE id = $1 FOR UPDATE)"
            " SELECT (SELECT count(*) FROM practice), (SELECT true FROM insurers WHERE id = $1 FOR NO KEY UPDATE)",
            account_id,
        )

    async def forget_former_addresses(self, member_id: MemberId) -> None:
        await self.connection.execute("DELETE FROM member_former_addresses WHERE member_id = $1", member_id)

    async def is_account_in_use(self, account_id: UUID) -> bool:
        state = await self.connection.fetchval(
            "SELECT state FROM practitioners WHERE id = $1 UNION ALL SELECT state FROM insurers WHERE id = $1",
            account_id,
        )
        return bool(state == "active")

    async def addresses(self, member_id: MemberId, within: timedelta) -> list[str]:
        """The member's address, and those he gave up within so long."""
        rows = await self.connection.fetch(
            "SELECT email FROM practitioner_members WHERE id = $1"
            " UNION SELECT email FROM member_former_addresses WHERE member_id = $1 AND left_at > now() - $2::interval",
            member_id,
            within,
        )
        return [row["email"] for row in rows]

    async def set_totp(self, member_id: MemberId, secret: bytes | None, since: datetime | None) -> None:
        await self.connection.execute(
            "UPDATE practitioner_members SET totp_secret = $2, totp_since = $3, totp_last_step = NULL WHERE id = $1",
            member_id,
            secret,
            since,
        )

    async def start_totp(self, member_id: MemberId, now: datetime) -> None:
        """The secret that waited is in use."""
        await self.connection.execute("UPDATE practitioner_members SET totp_since = $2 WHERE id = $1", member_id, now)

    async def use_totp(self, member_id: MemberId, step: int) -> bool:
        """Marks a step of the clock as used; False where it or a later one was used before."""
        done = await self.connection.execute(
            "UPDATE practitioner_members SET totp_last_step = $2 WHERE id = $1 AND coalesce(totp_last_step, 0) < $2",
            member_id,
            step,
        )
        return done == "UPDATE 1"

    async def replace_recovery_codes(self, member_id: MemberId, hashes: Sequence[bytes]) -> None:
        await self.connection.execute(
            "WITH gone AS (DELETE FROM member_recovery_codes WHERE member_id = $1 AND code_hash <> ALL ($2))"
            " INSERT INTO member_recovery_codes (member_id, code_hash) SELECT $1, unnest($2::bytea[])",
            member_id,
            hashes,
        )

    async def use_recovery_code(self, member_id: MemberId, code_hash: bytes, now: datetime) -> bool:
        done = await self.connection.execute(
            "UPDATE member_recovery_codes SET used_at = $3 WHERE member_id = $1 AND code_hash = $2 AND used_at IS NULL",
            member_id,
            code_hash,
            now,
        )
        return done == "UPDATE 1"

    async def count_recovery_codes(self, member_id: MemberId) -> int:
        """How many are left."""
        left: int = await self.connection.fetchval(
            "SELECT count(*) FROM member_recovery_codes WHERE member_id = $1 AND used_at IS NULL", member_id
        )
        return left


class DoorStore:
    """Guards, sessions, codes and known devices. One method, one statement."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection

    async def lock_guard(self, key: bytes) -> Guard | None:
        """What happened at the door, others at it waiting until the transaction ends."""
        await self.connection.execute("SELECT pg_advisory_xact_lock(hashtextextended(encode($1, 'hex'), 1))", key)
        row = await self.connection.fetchrow(
            "SELECT failures, failed_at, locked_until FROM login_guards WHERE key = $1", key
        )
        return (
            None
            if row is None
            else Guard(failures=row["failures"], failed_at=row["failed_at"], locked_until=row["locked_until"])
        )

    async def set_guard(self, key: bytes, guard: Guard) -> None:
        await self.connection.execute(
            "INSERT INTO login_guards (key, failures, failed_at, locked_until) VALUES ($1, $2, $3, $4)"
            " ON CONFLICT (key) DO UPDATE SET failures = $2, failed_at = $3, locked_until = $4",
            key,
            guard.failures,
            guard.failed_at,
            guard.locked_until,
        )

    async def clear_guard(self, key: bytes) -> None:
        await self.connection.execute("DELETE FROM login_guards WHERE key = $1", key)

    async def forget_guards(self, before: datetime) -> int:
        done = await self.connection.execute(
            "DELETE FROM login_guards WHERE failed_at < $1 AND coalesce(locked_until < now(), true)", before
        )
        return int(done.split()[-1])

    async def is_known_device(self, member_id: UUID, token_hash: bytes, now: datetime) -> bool:
        known = await self.connection.fetchval(
            "SELECT EXISTS (SELECT FROM member_devices WHERE member_id = $1 AND token_hash = $2 AND expires_at > $3)",
            member_id,
            token_hash,
            now,
        )
        return bool(known)

    async def is_anybodys_device(self, token_hash: bytes, now: datetime) -> bool:
        known = await self.connection.fetchval(
            "SELECT EXISTS (SELECT FROM member_devices WHERE token_hash = $1 AND expires_at > $2)", token_hash, now
        )
        return bool(known)

    async def know_device(self, member_id: UUID, token_hash: bytes, *, now: datetime, until: datetime) -> None:
        await self.connection.execute(
            "INSERT INTO member_devices (member_id, token_hash, known_at, expires_at) VALUES ($1, $2, $3, $4)"
            " ON CONFLICT (member_id, token_hash) DO UPDATE SET known_at = $3, expires_at = $4",
            member_id,
            token_hash,
            now,
            until,
        )

    async def forget_devices_of_account(self, account_id: UUID) -> None:
        await self.connection.execute(
            "DELETE FROM member_devices d USING practitioner_members m"
            " WHERE m.id = d.member_id AND (m.practitioner_id = $1 OR m.insurer_id = $1)",
            account_id,
        )

    async def forget_devices(self, member_id: UUID) -> None:
        await self.connection.execute("DELETE FROM member_devices WHERE member_id = $1", member_id)

    async def forget_old_devices(self, now: datetime) -> int:
        done = await self.connection.execute("DELETE FROM member_devices WHERE expires_at < $1", now)
        return int(done.split()[-1])

    async def set_code(self, session_id: SessionId, code_hash: bytes, expires_at: datetime) -> None:
        await self.connection.execute(
            "UPDATE sessions SET code_hash = $2, code_expires_at = $3, code_tries = 0 WHERE id = $1",
            session_id,
            code_hash,
            expires_at,
        )

    async def try_code(self, session_id: SessionId) -> MailedCode | None:
        """The session's mailed code, one more try counted."""
        row = await self.connection.fetchrow(
            "UPDATE sessions SET code_tries = code_tries + 1 WHERE id = $1"
            " RETURNING code_hash, code_expires_at, code_tries",
            session_id,
        )
        return (
            None
            if row is None
            else MailedCode(hash=row["code_hash"], expires_at=row["code_expires_at"], tries=row["code_tries"])
        )

    async def use_code(self, session_id: SessionId) -> None:
        await self.connection.execute(
            "UPDATE sessions SET code_hash = NULL, code_expires_at = NULL WHERE id = $1", session_id
        )

    async def mark_factor(self, session_id: SessionId, now: datetime) -> None:
        await self.connection.execute("UPDATE sessions SET second_factor_at = $2 WHERE id = $1", session_id, now)

    async def sessions(self, member_id: MemberId) -> list[OpenSession]:
        """The member's whole sessions, the one used last first."""
        rows = await self.connection.fetch(
            "SELECT id, agent, address, is_kept, created_at, seen_at, expires_at FROM sessions"
            " WHERE member_id = $1 AND NOT is_pending AND expires_at > now() ORDER BY seen_at DESC",
            member_id,
        )
        return [
            OpenSession(
                id=SessionId(row["id"]),
                agent=row["agent"],
                address=row["address"],
                is_kept=row["is_kept"],
                created_at=row["created_at"],
                seen_at=row["seen_at"],
                expires_at=row["expires_at"],
            )
            for row in rows
        ]

    async def is_open(self, session_id: UUID) -> bool:
        found = await self.connection.fetchval("SELECT EXISTS (SELECT FROM sessions WHERE id = $1)", session_id)
        return bool(found)

    async def end_session(self, member_id: MemberId, session_id: SessionId) -> bool:
        done = await self.connection.execute(
            "DELETE FROM sessions WHERE member_id = $1 AND id = $2", member_id, session_id
        )
        return done == "DELETE 1"

    async def end_sessions(self, member_id: UUID, *, but: UUID | None = None) -> int:
        done = await self.connection.execute(
            "DELETE FROM sessions WHERE member_id = $1 AND id IS DISTINCT FROM $2", member_id, but
        )
        return int(done.split()[-1])

    async def members_of_address(self, email: str) -> list[UUID]:
        """Who has a mail address, of whatever practice or insurer."""
        rows = await self.connection.fetch(
            "SELECT id FROM practitioner_members WHERE lower(email) = lower($1) ORDER BY id", email
        )
        return [row["id"] for row in rows]

    async def end_all(self) -> int:
        """Ends everybody's sessions and forgets all browsers; answers how many sessions."""
        await self.connection.execute("DELETE FROM member_devices")
        done = await self.connection.execute("DELETE FROM sessions WHERE member_id IS NOT NULL")
        return int(done.split()[-1])

    async def end_sessions_of_account(self, account_id: UUID) -> None:
        await self.connection.execute(
            "DELETE FROM sessions s USING practitioner_members m"
            " WHERE m.id = s.member_id AND (m.practitioner_id = $1 OR m.insurer_id = $1)",
            account_id,
        )


def _member(row: asyncpg.Record) -> Member:
    return Member(
        id=MemberId(row["id"]),
        account_id=row["practitioner_id"] or row["insurer_id"],
        account_kind="practitioner" if row["practitioner_id"] else "insurer",
        role=Role(row["role"]),
        is_holder=row["is_holder"],
        state=MemberState(row["state"]),
        name=row["name"],
        email=row["email"],
        has_totp=row["totp_since"] is not None,
        invited_at=row["invited_at"],
        joined_at=row["joined_at"],
    )


def _secrets(row: asyncpg.Record) -> Secrets:
    return Secrets(
        password_hash=row["password_hash"],
        totp_secret=row["totp_secret"],
        totp_since=row["totp_since"],
        totp_last_step=row["totp_last_step"],
    )
