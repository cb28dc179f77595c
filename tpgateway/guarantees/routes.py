"""Operations of products."""

from tpgateway.guarantees import errors, handlers
from tpgateway.guarantees.payloads import ProductPath, ProductRequest, ProductView, TariffListView, TariffsQuery
from tpgateway.web.callers import INSURER
from tpgateway.web.routing import Route

ROUTES = [
    Route(
        method="PUT",
        path="/v1/insurer/products/{code}",
        handler=handlers.record_product,
        summary="State a product: its benefit lines, from a day on",
        tag="Guarantees",
        access=INSURER,
        path_shape=ProductPath,
        body=ProductRequest,
        body_limit=512 * 1024,
        answers={200: ProductView},
        problems=[
            errors.ProductValidityOverlaps,
            errors.ResponsibleDailyFee,
            errors.ResponsibleCopayment,
            errors.ResponsibleExcessFees,
            errors.ResponsibleClassA,
            errors.ResponsibleFrame,
            errors.ResponsibleRenewal,
            errors.ResponsibleEquipmentCeiling,
            errors.ResponsibleEquipmentFloor,
        ],
    ),
    Route(
        method="GET",
        path="/v1/tariffs",
        handler=handlers.list_tariffs,
        summary="National amounts and periods, by day",
        tag="Guarantees",
        query=TariffsQuery,
        answers={200: TariffListView},
    ),
]
