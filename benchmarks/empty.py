"""The rival: an aiohttp handler that validates the same body and answers a fixed document of the same size."""

import socket
import sys

import uvloop
from aiohttp import web

from tpgateway.cards.payloads import CardCheckRequest


def main() -> None:
    listening, size = socket.socket(fileno=int(sys.argv[1])), int(sys.argv[2])
    document = b'{"x": "' + b"x" * (size - 9) + b'"}'

    async def answer(request: web.Request) -> web.Response:
        CardCheckRequest.model_validate_json(await request.read())
        return web.Response(body=document, content_type="application/json")

    app = web.Application()
    app.router.add_post("/v1/card-checks", answer)
    uvloop.install()
    web.run_app(app, sock=listening, print=None, access_log=None)


if __name__ == "__main__":
    main()
