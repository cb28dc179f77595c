"""What every answer tells browsers not to do with it, whichever way it leaves: whole, as a stream, as a file, or in error.

Whoever answers may have said more fitting things before: what stands there is left.
"""

from aiohttp import web

# What is no page has nothing to load, and is nobody's to show within a page of theirs.
_EVERYWHERE = {
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
}
_BY_HTTPS = {"Strict-Transport-Security": "max-age=63072000; includeSubDomains"}
# Some addresses hold what was mailed to one person. Software's answers lead nowhere that could be told of them, and cannot
# be had from another site: that would bring neither token nor cookie.
_IN_BROWSERS = {"Referrer-Policy": "same-origin", "Cross-Origin-Resource-Policy": "same-origin"}
_FOR_SOFTWARE = ("/v1/", "/oauth/")
_SERVER = "tpgateway"  # the library would say its version, and Python's

# Browsers show a PDF in a page of their own making, which wants its style and the file itself.
_PDF = "application/pdf"
_PDF_POLICY = "default-src 'none'; style-src 'unsafe-inline'; object-src 'self'; frame-ancestors 'none'"


class Safety:
    """Puts the headers of safety on answers."""

    def __init__(self, *, is_https: bool) -> None:
        to_software = _EVERYWHERE | (_BY_HTTPS if is_https else {})
        self._to_software = tuple(to_software.items())
        self._to_browsers = tuple((to_software | _IN_BROWSERS).items())

    def put_on(self, path: str, response: web.StreamResponse) -> None:
        """What an answer to a request for a path says, but for what was said already."""
        said = response.headers
        if said.get("Content-Type") == _PDF:
            said.setdefault("Content-Security-Policy", _PDF_POLICY)
        for name, value in self._to_software if path.startswith(_FOR_SOFTWARE) else self._to_browsers:
            said.setdefault(name, value)
        said["Server"] = _SERVER

    async def before_sending(self, request: web.BaseRequest, response: web.StreamResponse) -> None:
        """The same for streams, as aiohttp calls it for whatever goes out (``on_response_prepare``)."""
        if response.headers.get("Server") != _SERVER:
            self.put_on(request.path, response)


SAFETY: web.AppKey[Safety] = web.AppKey("safety", Safety)
