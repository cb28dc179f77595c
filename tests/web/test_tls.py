"""TLS by the service itself, and tokens that are good over connections with their own client certificate alone."""

import asyncio
import ssl
import warnings
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

import aiohttp
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from tests.driver import Gateway, Practitioner
from tests.web.test_serving import service


@dataclass(frozen=True)
class Paper:
    """A certificate and its key, as files."""

    certificate: Path
    key: Path


class Authority:
    """Who vouches for servers and clients of a test."""

    def __init__(self, folder: Path, name: str) -> None:
        self._folder, self._name = folder, name
        self._key = ec.generate_private_key(ec.SECP256R1())
        self.paper = self._sign(name, self._key, x509.BasicConstraints(ca=True, path_length=None))

    def vouch(self, name: str) -> Paper:
        """A certificate for 127.0.0.1, to serve and to call with."""
        return self._sign(
            name,
            ec.generate_private_key(ec.SECP256R1()),
            x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]),
            x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]),
        )

    def _sign(self, name: str, key: ec.EllipticCurvePrivateKey, *extensions: x509.ExtensionType) -> Paper:
        now = datetime.now(UTC)
        made = (
            x509.CertificateBuilder()
            .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]))
            .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, self._name)]))
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(minutes=5))
            .not_valid_after(now + timedelta(days=1))
        )
        for each in extensions:
            made = made.add_extension(each, critical=isinstance(each, x509.BasicConstraints))
        paper = Paper(self._folder / f"{name}.crt", self._folder / f"{name}.key")
        paper.certificate.write_bytes(made.sign(self._key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM))
        paper.key.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
        )
        return paper


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path, "authority")


def settings(server: Paper, **more: str) -> dict[str, str]:
    return {"TPG_TLS_CERTIFICATE": str(server.certificate), "TPG_TLS_KEY": str(server.key), **more}


def trusting(authority: Authority, own: Paper | None = None) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=str(authority.paper.certificate))
    if own is not None:
        context.load_cert_chain(own.certificate, own.key)
    return context


def of_version(authority: Authority, version: ssl.TLSVersion) -> ssl.SSLContext:
    """One that speaks this version and no other, be it one that nobody should speak."""
    context = trusting(authority)
    context.set_ciphers("DEFAULT:@SECLEVEL=0")
    with warnings.catch_warnings(action="ignore", category=DeprecationWarning):
        context.minimum_version = context.maximum_version = version
    return context


async def test_connections_are_safe_and_nothing_older_than_tls_1_2(database: str, authority: Authority) -> None:
    async with service(database, tls=trusting(authority), **settings(authority.vouch("server"))) as (_, url):
        assert url.startswith("https://")
        port = int(url.rpartition(":")[2])
        for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
            _, writer = await asyncio.open_connection("127.0.0.1", port, ssl=of_version(authority, version))
            writer.close()
        with pytest.raises((ssl.SSLError, ConnectionError)):
            await asyncio.open_connection("127.0.0.1", port, ssl=of_version(authority, ssl.TLSVersion.TLSv1_1))
        async with aiohttp.ClientSession() as http:
            with pytest.raises(aiohttp.ClientError):
                await http.get(url.replace("https://", "http://") + "/health/live")


async def test_a_connection_without_a_certificate_is_refused_where_one_is_required(
    database: str, authority: Authority, tmp_path: Path
) -> None:
    known, stranger = authority.vouch("known"), Authority(tmp_path, "somebody").vouch("stranger")
    more = {"TPG_TLS_CLIENT_AUTHORITIES": str(authority.paper.certificate), "TPG_TLS_CLIENT_CERTIFICATES": "required"}
    safe = trusting(authority, known)
    async with service(database, tls=safe, **settings(authority.vouch("server"), **more)) as (_, url):
        for own in (None, stranger):
            async with aiohttp.ClientSession() as http:
                with pytest.raises((aiohttp.ClientError, ConnectionError)):
                    await http.get(f"{url}/health/live", ssl=trusting(authority, own))


async def test_a_token_is_good_with_the_certificate_that_it_was_asked_for_with(
    gateway: Gateway, pharmacist: Practitioner, database: str, authority: Authority
) -> None:
    own, others = authority.vouch("own"), authority.vouch("others")
    more = {"TPG_TLS_CLIENT_AUTHORITIES": str(authority.paper.certificate)}
    async with service(database, tls=trusting(authority), **settings(authority.vouch("server"), **more)) as (_, url):

        async def ask_token(certificate: Paper | None) -> str:
            basic = aiohttp.encode_basic_auth(pharmacist.client_id, pharmacist.client_secret)
            form = aiohttp.FormData({"grant_type": "client_credentials"})
            safe, headers = trusting(authority, certificate), {"Authorization": basic}
            async with (
                aiohttp.ClientSession() as http,
                http.post(f"{url}/oauth/token", data=form, headers=headers, ssl=safe) as answer,
            ):
                return str((await answer.json())["access_token"])

        async def status(token: str, certificate: Paper | None) -> tuple[int, str | None]:
            headers = {"Authorization": f"Bearer {token}"}
            async with aiohttp.ClientSession() as http:
                safe = trusting(authority, certificate)
                async with http.get(f"{url}/v1/conventions", headers=headers, ssl=safe) as answer:
                    return answer.status, (await answer.json()).get("code")

        bound, free = await ask_token(own), await ask_token(None)
        for _ in range(2):  # remembered the second time
            assert await status(bound, own) == (200, None)
            assert await status(bound, others) == (401, "token_invalid")
            assert await status(bound, None) == (401, "token_invalid")
            assert await status(free, others) == (200, None)
        async with aiohttp.ClientSession() as http:
            place = f"{url}/.well-known/oauth-authorization-server"
            async with http.get(place, ssl=trusting(authority)) as answer:
                assert (await answer.json())["tls_client_certificate_bound_access_tokens"] is True
