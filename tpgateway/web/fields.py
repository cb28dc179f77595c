"""The field's identifiers as types of request fields: parsed once, here, and trusted within."""

from collections.abc import Callable, Container
from functools import partial
from typing import Annotated, Any

import jwt
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from pydantic import AfterValidator, Field, StringConstraints
from stdnum.exceptions import InvalidChecksum, InvalidLength, ValidationError

from tpgateway.errors import IdentifierWrongForm, IdentifierWrongKey, IdentifierWrongLength, Problem
from tpgateway.identifiers import amc_number, bic, finess, iban, lpp, nir, postal_code, rpps, siret
from tpgateway.web import oauth
from tpgateway.web.validation import fault_error


class PublicKeyInvalid(Problem):
    code = "public_key_invalid"
    status = 422
    title = "The public key cannot be used"
    message_fr = "La clé publique n'est pas utilisable."
    next_step_fr = "Contactez l'éditeur de votre logiciel."
    hint = "A public JWK: Ed25519 (OKP), P-256 (EC) or RSA of 3072 to 4096 bits, without its private part."


def parsed(validate: Callable[[str], Any], name: str) -> Callable[[str], Any]:
    """A field's validator from an identifier's: stdnum's refusals become our problems."""

    def check(value: str) -> Any:
        try:
            return validate(value)
        except InvalidLength:
            raise fault_error(IdentifierWrongLength, detail=f"{name}: wrong length") from None
        except InvalidChecksum:
            raise fault_error(IdentifierWrongKey, detail=f"{name}: wrong check digits") from None
        except ValidationError:
            raise fault_error(IdentifierWrongForm, detail=f"{name}: wrong form") from None

    return check


# One line of text for pages, mails and PDFs: no control characters, no line or direction marks, no mark-up.
Line = StringConstraints(
    min_length=1, pattern=r"^[^\x00-\x1f\x7f-\x9f\u2028\u2029\u200e\u200f\u202a-\u202e\u2066-\u2069<>]+$"
)

_Short = Annotated[str, StringConstraints(max_length=50)]

FinessField = Annotated[_Short, AfterValidator(parsed(finess.validate, "FINESS")), Field(examples=["010000024"])]
RppsField = Annotated[_Short, AfterValidator(parsed(rpps.validate, "RPPS")), Field(examples=["10999999906"])]
SiretField = Annotated[_Short, AfterValidator(parsed(siret.validate, "SIRET")), Field(examples=["26010004500012"])]
NirField = Annotated[_Short, AfterValidator(parsed(nir.validate, "NIR")), Field(examples=["295109912611193"])]
AmcNumberField = Annotated[
    _Short, AfterValidator(parsed(amc_number.validate, "AMC number")), Field(examples=["0075004407"])
]
BicField = Annotated[_Short, AfterValidator(parsed(bic.validate, "BIC")), Field(examples=["AGRIFRPP882"])]
IbanField = Annotated[
    _Short, AfterValidator(parsed(iban.validate, "IBAN")), Field(examples=["FR7630001007941234567890185"])
]
LppField = Annotated[_Short, AfterValidator(parsed(lpp.validate, "LPP code")), Field(examples=["2210546"])]
PostalCodeField = Annotated[
    _Short, AfterValidator(parsed(postal_code.validate, "postal code")), Field(examples=["01606"])
]


_PRIVATE_MEMBERS = frozenset({"d", "k", "p", "q", "dp", "dq", "qi", "oth"})
_JWK_MEMBERS = {"OKP": ("crv", "x"), "EC": ("crv", "x", "y"), "RSA": ("n", "e")}
_RSA_BITS, _FORMER_RSA_BITS = range(3072, 4097), range(2048, 4097)
# Points of small order on Ed25519, under which one signature fits every message (RFC 8032 leaves them to the verifier).
_SMALL_ORDER = {
    *(number.to_bytes(32, "little") for number in (0, 1, 2**255 - 20, 2**255 - 19, 2**255 - 18)),
    bytes.fromhex("c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a"),
    bytes.fromhex("26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05"),
}


def _public_jwk(value: dict[str, Any], rsa_bits: Container[int] = _RSA_BITS) -> dict[str, str]:
    """The key's public members and nothing else; refuses private ones and keys too weak to sign with."""
    if not _PRIVATE_MEMBERS.isdisjoint(value):
        raise fault_error(PublicKeyInvalid, "Une clé privée ne doit jamais être envoyée.", "the key is not public")
    kind = value.get("kty")
    members = {name: value.get(name) for name in ("kty", *_JWK_MEMBERS.get(str(kind), ()))}
    if not all(isinstance(member, str) and member.isascii() for member in members.values()):
        raise fault_error(PublicKeyInvalid)
    try:
        key = jwt.PyJWK(members)
    except (jwt.PyJWTError, ValueError, TypeError, KeyError, NotImplementedError):
        raise fault_error(PublicKeyInvalid) from None
    if key.algorithm_name not in oauth.ASSERTION_ALGORITHMS or not _is_strong(key.key, rsa_bits):
        raise fault_error(PublicKeyInvalid)
    kept = {name: str(member) for name, member in members.items()}
    # An RSA key serves for two of ours: the one that it says it is for, the older one where it says nothing.
    return {**kept, "alg": "PS256"} if kind == "RSA" and value.get("alg") == "PS256" else kept


def _is_strong(key: Any, rsa_bits: Container[int]) -> bool:
    if isinstance(key, RSAPublicKey):
        return key.key_size in rsa_bits and key.public_numbers().n % 2 == 1
    if isinstance(key, Ed25519PublicKey):
        encoded = key.public_bytes_raw()
        return bytes([*encoded[:31], encoded[31] & 0x7F]) not in _SMALL_ORDER
    return True


PublicJwkField = Annotated[
    dict[str, Any],
    AfterValidator(_public_jwk),
    Field(examples=[{"kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]),
]

# Of those who publish their keys, some have published shorter ones for long: they are taken until they are replaced.
PublishedJwkField = Annotated[dict[str, Any], AfterValidator(partial(_public_jwk, rsa_bits=_FORMER_RSA_BITS))]
