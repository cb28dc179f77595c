"""A practitioner, of whichever kind."""

import pytest

from tests.driver import Practitioner


@pytest.fixture
def practitioner(pharmacist: Practitioner) -> Practitioner:
    return pharmacist
