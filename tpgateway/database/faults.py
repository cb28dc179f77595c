"""What a call to the database raises."""

import asyncpg

LOST = (
    OSError,
    TimeoutError,
    asyncpg.InterfaceError,
    # What asyncpg makes of a server that dies in the middle of an answer.
    asyncpg.InternalClientError,
    asyncpg.PostgresConnectionError,
    asyncpg.CannotConnectNowError,
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
)
"""The connection, or the server with it, went away meanwhile."""

UNABLE = (asyncpg.InsufficientResourcesError, asyncpg.ReadOnlySQLTransactionError)
"""The server is there and cannot do what it should: its disk is full, its connections are used up, it became a standby."""

ANY = (*LOST, asyncpg.PostgresError)
"""That, and whatever the server refuses."""
