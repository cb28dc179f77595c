"""``/openapi.json`` and ``/docs``: Swagger UI from the assets of a Python package, nothing from another host."""

import asyncio
from collections.abc import Callable
from importlib.resources import files

from aiohttp import web

_ASSETS = {
    "swagger-ui.css": "text/css",
    "swagger-ui-bundle.js": "text/javascript",
    "favicon-32x32.png": "image/png",
}
_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<title>tpgateway: API</title>
<link rel="stylesheet" href="/docs/swagger-ui.css">
<link rel="icon" href="/docs/favicon-32x32.png">
</head>
<body>
<div id="api"></div>
<script src="/docs/swagger-ui-bundle.js"></script>
<script src="/docs/start.js"></script>
</body>
</html>
"""
_START = """\
SwaggerUIBundle({
  url: "/openapi.json", dom_id: "#api", deepLinking: true, validatorUrl: null, tryItOutEnabled: true,
});
"""
# Swagger UI sets style attributes and draws its icons from data: URLs; scripts are ours alone.
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; connect-src 'self';"
    " base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


def mount(app: web.Application, openapi_text: Callable[[], str]) -> None:
    """Adds the document and its page to the application. The document is made when it is asked for first."""
    # Each asset is read once: a request then touches no disk.
    assets = {name: (files("swagger_ui").joinpath("static", name).read_bytes(), kind) for name, kind in _ASSETS.items()}
    assets["start.js"] = (_START.encode(), "text/javascript")

    async def show_document(request: web.Request) -> web.Response:
        text = await asyncio.to_thread(openapi_text)  # a third of a second and ten megabytes, once
        return web.Response(body=text.encode(), content_type="application/json")

    async def show_page(request: web.Request) -> web.Response:
        headers = {"Content-Security-Policy": _POLICY}
        return web.Response(text=_PAGE, content_type="text/html", headers=headers)

    async def show_asset(request: web.Request) -> web.Response:
        if (asset := assets.get(request.match_info["name"])) is None:
            raise web.HTTPNotFound
        body, kind = asset
        return web.Response(body=body, content_type=kind, headers={"Cache-Control": "public, max-age=86400"})

    app.router.add_get("/openapi.json", show_document, name="docs.show_document")
    app.router.add_get("/docs", show_page, name="docs.show_page")
    app.router.add_get("/docs/{name}", show_asset, name="docs.show_asset")
