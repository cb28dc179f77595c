"""Handlers of products."""

from tpgateway.guarantees import service
from tpgateway.guarantees.payloads import ProductPath, ProductRequest, ProductView
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
