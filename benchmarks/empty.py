"""The rival: aiohttp handlers that validate the same bodies and answer a fixed document of the same size, or do nothing."""

import socket
import sys

import uvloop
from aiohttp import web

from tpgateway.cards.payloads import CardCheckRequest
from tpgateway.claims.payloads import PriorApprovalRequest


def main() -> None:
    listening, size = socket.socket(fileno=int(sys.argv[1])), int(sys.argv[2])
    document = b'{"x": "' + b"x" * (size - 9) + b'"}'

    async def answer_check(request: web.Request) -> web.Response:
        CardCheckRequest.model_validate_json(await request.read())
        return web.Response(body=document, content_type="application/json")

    async def answer_request(request: web.Request) -> web.Response:
        PriorApprovalRequest.model_validate_json(await request.read())
        return web.Response(body=document, content_type="application/json")

    async def answer_nothing(request: web.Request) -> web.Response:
        return web.Response()

    async def answer_file(request: web.Request) -> web.FileResponse:
        return web.FileResponse(request.query["path"])

    app = web.Application()
    app.router.add_get("/nothing", answer_nothing)
    app.router.add_get("/file", answer_file)
    app.router.add_post("/v1/card-checks", answer_check)
    app.router.add_post("/v1/prior-approvals", answer_request)
    uvloop.install()
    web.run_app(app, sock=listening, print=None, access_log=None)


if __name__ == "__main__":
    main()
