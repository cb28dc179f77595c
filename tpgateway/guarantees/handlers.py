"""Handlers of products."""

from tpgateway.guarantees import service
from tpgateway.guarantees.payloads import (
    ProductPath,
    ProductRequest,
    ProductView,
    TariffListView,
    TariffsQuery,
    TariffView,
)
from tpgateway.insurers.model import InsurerId
from tpgateway.web.routing import Answer, Call


async def record_product(call: Call, *, path: ProductPath, body: ProductRequest) -> Answer:
    """A version that begins the same day as one before takes its place; one that begins later ends it for good.

    Nothing is in force after ``valid_to`` until another version says so.
    """
    version = await service.record_product(
        call.connection, InsurerId(call.caller.account_id), body.terms(path.code), actor=call.actor
    )
    return Answer(body=ProductView.of(version))


async def list_tariffs(call: Call, *, query: TariffsQuery) -> Answer:
    """National amounts and periods that approvals are decided by: values in cents, months or days, with their source."""
    found = await service.list_tariffs(call.connection, query.on)
    return Answer(body=TariffListView(tariffs=[TariffView.showing(tariff) for tariff in found]))
