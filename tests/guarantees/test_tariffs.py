"""National amounts: read by day, changed by an operator without a release."""

from datetime import date

from tests.driver import Gateway, run_command
from tpgateway.guarantees.model import Tariff, Tariffs, Unit
from tpgateway.guarantees.service import TariffCache


async def value(gateway: Gateway, code: str, on: str) -> int:
    found = (await gateway.call("GET", f"/v1/tariffs?on={on}")).body["tariffs"]
    [one] = [tariff["value"] for tariff in found if tariff["code"] == code]
    return int(one)


async def test_amounts_are_those_of_their_day(gateway: Gateway) -> None:
    assert await value(gateway, "hospital_daily_fee", "2026-02-28") == 2_000
    assert await value(gateway, "hospital_daily_fee", "2026-03-01") == 2_300
    assert await value(gateway, "high_cost_act_fee", "2026-04-22") == 3_200
    every = (await gateway.call("GET", "/v1/tariffs")).body["tariffs"]
    assert {tariff["source"] for tariff in every if tariff["code"] == "optical_ceiling_a"} == {
        "Contrat responsable, CSS R871-2"
    }


async def test_an_operator_changes_them(gateway: Gateway) -> None:
    words = ["tariffs", "set", "hospital_daily_fee", "2400", "--from", "2027-01-01", "--source", "Arrêté du 15/12/2026"]
    status, printed, _ = await run_command(*words, database=gateway.database)
    assert (status, printed.strip()) == (0, "hospital_daily_fee: 2400 from 2027-01-01")
    assert await value(gateway, "hospital_daily_fee", "2026-12-31") == 2_300
    assert await value(gateway, "hospital_daily_fee", "2027-01-01") == 2_400
    corrected = [*words[:3], "2500", *words[4:]]
    await run_command(*corrected, database=gateway.database)
    assert await value(gateway, "hospital_daily_fee", "2027-01-01") == 2_500
    assert await gateway.fetchval("SELECT count(*) FROM audit_entries WHERE action = 'guarantee:tariff:set'") == 2
    status, printed, _ = await run_command("tariffs", "list", "--on", "2027-01-01", database=gateway.database)
    assert "25.00" in printed
    status, _, complaint = await run_command("tariffs", "set", "nothing", *words[3:], database=gateway.database)
    assert (status != 0, "There is no tariff of this code" in complaint) == (True, True)


async def test_running_services_follow(gateway: Gateway) -> None:
    now = [0.0]
    cache = TariffCache(5, lambda: now[0])
    connection = await gateway.connect()
    before = await cache.get(connection)
    await connection.execute("UPDATE tariffs SET value = 1 WHERE code = 'emergency_fee'")
    assert await cache.get(connection) is before
    now[0] = 5
    assert (await cache.get(connection)).at("emergency_fee", date(2026, 1, 1)) == 1
    await connection.close()


def test_a_stay_over_a_change_uses_both_amounts() -> None:
    fee = [
        Tariff(code="fee", valid_from=day, value=value, unit=Unit.CENTS, source="test")
        for day, value in ((date(2020, 1, 1), 2_000), (date(2026, 3, 1), 2_300))
    ]
    tariffs = Tariffs(fee)
    assert tariffs.each_day("fee", date(2026, 2, 27), 4) == [2_000, 2_000, 2_300, 2_300]
    assert tariffs.each_day("fee", date(2019, 12, 31), 2) is None
    assert tariffs.at("other", date(2026, 1, 1)) is None
