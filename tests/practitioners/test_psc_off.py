"""Pro Santé Connect is off unless it is configured."""

import pytest
from pydantic import ValidationError

from tests.driver import Gateway
from tpgateway.settings import Settings


async def test_it_is_neither_shown_nor_served(gateway: Gateway) -> None:
    page = (await gateway.call("GET", "/connexion", headers={"Accept": "text/html"})).body.decode()
    assert "pro-sante-connect" not in page
    for path in ("/connexion/pro-sante-connect", "/connexion/pro-sante-connect/retour?code=x&state=y"):
        assert (await gateway.call("GET", path)).status in {401, 404}


def test_an_issuer_without_credentials_is_no_configuration(settings: Settings) -> None:
    with pytest.raises(ValidationError):
        Settings.model_validate({**settings.model_dump(), "psc_issuer": "https://psc.example"})
