"""TLS by the service itself, where no proxy stands in front; and certificates of callers, to which their tokens are bound.

RFC 8705: a token that was asked for over a connection with a client certificate is good over connections with that one
alone. Who steals it steals nothing.
"""

import base64
import hashlib
import ssl

from aiohttp import web

from tpgateway.settings import Settings


def server_context(settings: Settings) -> ssl.SSLContext | None:
    """What connections are made safe by; None where the settings name no certificate.

    Raises ``OSError`` (``ssl.SSLError`` is one) where certificate, key or authorities cannot be read.
    """
    if settings.tls_certificate is None:
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(settings.tls_certificate, settings.tls_key)
    context.set_alpn_protocols(["http/1.1"])
    if settings.tls_client_authorities is not None:
        context.load_verify_locations(settings.tls_client_authorities)
        is_needed = settings.tls_client_certificates == "required"
        context.verify_mode = ssl.CERT_REQUIRED if is_needed else ssl.CERT_OPTIONAL
    return context


def certificate_of(request: web.BaseRequest) -> str | None:
    """The thumbprint (``x5t#S256``) of the caller's certificate, which the handshake verified; None where there is none."""
    secured = None if request.transport is None else request.transport.get_extra_info("ssl_object")
    certificate = None if secured is None else secured.getpeercert(binary_form=True)
    if not certificate:
        return None
    return base64.urlsafe_b64encode(hashlib.sha256(certificate).digest()).rstrip(b"=").decode()
