"""Decisions about endpoints and retries, without I/O."""

from datetime import timedelta

import pytest

from tpgateway.insurers.client import PublicResolver, TargetNotPublic
from tpgateway.insurers.rules import RETRY_DELAYS, delay_after, endpoint_fault, is_public


def test_ten_attempts_spread_over_three_days() -> None:
    delays = [delay_after(attempt) for attempt in range(1, 11)]
    assert delays[-1] is None
    assert all(delay is not None for delay in delays[:-1])
    assert timedelta(hours=75) < sum(RETRY_DELAYS, timedelta()) < timedelta(hours=76)


@pytest.mark.parametrize(
    "url",
    [
        "http://mutuelle.example/events",
        "ftp://mutuelle.example/events",
        "https:///events",
        "https://user:secret@mutuelle.example/events",
        "https://mutuelle.example/events#x",
        "https://localhost/events",
        "https://intranet/events",
        "https://queue.internal/events",
        "https://127.0.0.1/events",
        "https://10.1.2.3/events",
        "https://169.254.169.254/latest/meta-data",
        "https://[::1]/events",
        "https://[::ffff:10.0.0.1]/events",
        "https://mutuelle.example:notaport/events",
        "mutuelle.example",
        "https://mutuelle.example/a b",
        "https://mutu elle.example/",
        "https://mutuelle.example/\x01",
        "https://mutuelle.éxample/",
        "https://mutuelle.example:0/",
        "https://-mutuelle.example/",
        "https://" + "a" * 64 + ".example/",
        "https://[v1.x]/",
    ],
)
def test_events_are_not_sent_inside(url: str) -> None:
    assert endpoint_fault(url, allows_private=False)


@pytest.mark.parametrize("url", ["https://mutuelle.example/events", "https://mutuelle.example:8443/a?b=c"])
def test_events_are_sent_to_public_https(url: str) -> None:
    assert endpoint_fault(url, allows_private=False) is None


def test_outside_production_private_targets_may_be_allowed() -> None:
    assert endpoint_fault("http://127.0.0.1:9000/events", allows_private=True) is None
    assert endpoint_fault("ftp://127.0.0.1/events", allows_private=True)


def test_private_addresses_are_known() -> None:
    assert is_public("8.8.8.8")
    assert not any(is_public(each) for each in ("10.0.0.1", "192.168.1.1", "127.0.0.1", "::1", "fe80::1", "224.0.0.1"))


async def test_a_public_name_that_leads_inside_is_not_followed() -> None:
    with pytest.raises(TargetNotPublic):
        await PublicResolver().resolve("localhost", 443)
