"""Statements that go to the server together."""

from tests.driver import Gateway
from tpgateway.database.statements import Statement, together


async def test_statements_together_do_what_each_does_with_its_own_values(gateway: Gateway) -> None:
    one = Statement("INSERT INTO them (name, said) VALUES ($1, $2)", ("one", "$1 of it"))
    two = Statement("INSERT INTO them (said, name) SELECT $2, $1 WHERE $3", ("two", "b", True))
    plain = Statement("INSERT INTO them (name) VALUES ($1) RETURNING name", ("plain",))
    more = Statement("WITH a AS (SELECT $1::text AS name) SELECT name || $2::text FROM a", ("more", "!"))
    connection = await gateway.connect()
    await connection.execute("CREATE TEMPORARY TABLE them (name text, said text)")
    for main, answered in ((plain, "plain"), (more, "more!")):
        text, values = together(main, one, two)
        assert await connection.fetchval(text, *values) == answered
    rows = await connection.fetch("SELECT name, said FROM them ORDER BY name, said")
    assert [tuple(row) for row in rows] == [
        ("one", "$1 of it"),
        ("one", "$1 of it"),
        ("plain", None),
        ("two", "b"),
        ("two", "b"),
    ]
    await connection.close()
