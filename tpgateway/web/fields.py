"""The field's identifiers as types of request fields: parsed once, here, and trusted within."""

from collections.abc import Callable
from typing import Annotated, Any

import jwt
from pydantic import AfterValidator, Field, StringConstraints
from stdnum.exceptions import InvalidChecksum, InvalidLength, ValidationError

from tpgateway.errors import IdentifierWrongForm, IdentifierWrongKey, IdentifierWrongLength, Problem
from tpgateway.identifiers import amc_number, bic, finess, iban, lpp, postal_code, rpps, siret
from tpgateway.web import oauth
from tpgateway.web.validation import fault_error


class PublicKeyInvalid(Problem):
    code = "public_key_invalid"
    status = 422
    title = "The public key cannot be used"
    message_fr = "La clé publique n'est pas utilisable."
    next_step_fr = "Contactez l'éditeur de votre logiciel."
    hint = "A public JWK: Ed25519 (OKP), P-256 (EC) or RSA, without its private part."


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


_Short = Annotated[str, StringConstraints(max_length=50)]

FinessField = Annotated[_Short, AfterValidator(parsed(finess.validate, "FINESS")), Field(examples=["010000024"])]
RppsField = Annotated[_Short, AfterValidator(parsed(rpps.validate, "RPPS")), Field(examples=["10999999906"])]
SiretField = Annotated[_Short, AfterValidator(parsed(siret.validate, "SIRET")), Field(examples=["26010004500012"])]
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


def _public_jwk(value: dict[str, Any]) -> dict[str, Any]:
    if "d" in value or "k" in value:
        raise fault_error(PublicKeyInvalid, "Une clé privée ne doit jamais être envoyée.", "the key is not public")
    try:
        name = jwt.PyJWK(value).algorithm_name
    except (jwt.PyJWTError, ValueError, TypeError, KeyError):
        raise fault_error(PublicKeyInvalid) from None
    if name not in oauth.ASSERTION_ALGORITHMS:
        raise fault_error(PublicKeyInvalid)
    return value


PublicJwkField = Annotated[
    dict[str, Any],
    AfterValidator(_public_jwk),
    Field(examples=[{"kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]),
]
