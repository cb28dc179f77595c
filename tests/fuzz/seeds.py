"""Inputs to begin from. Each seed says whether its parser should read it."""

import base64
import gzip
import hashlib
import hmac
import io
import json
from datetime import UTC, datetime
from typing import Any, NamedTuple
from uuid import UUID

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from jwt.algorithms import OKPAlgorithm
from lxml import etree
from PIL import Image

from tests import builders
from tpgateway.cards.codec import datamatrix
from tpgateway.cards.codec.rights_files import zstd
from tpgateway.dre.codec.signatures import Signer

BASE_URL = "https://gateway.example"
CLIENT_ID = UUID("01a20082-3212-791c-86f8-c7e4ea720af7")
NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
WEBHOOK_SECRET = "whsec_" + base64.b64encode(b"0123456789abcdef0123456789abcdef").decode()
PROOF = "HWYA-H1AG-MHEW"
NIR = "295109912611193"
_KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
_PRIVATE_JWK = json.loads(OKPAlgorithm.to_jwk(_KEY))
PUBLIC_JWK = json.loads(OKPAlgorithm.to_jwk(_KEY.public_key()))
SIGNING_KEYS = json.dumps({"keys": [{**_PRIVATE_JWK, "kid": "k", "alg": "EdDSA", "use": "sig"}]})
APPROVAL_NAMESPACE = "urn:tpgateway:prior-approval:1"


class Seed(NamedTuple):
    """``is_read`` where the parser should take it."""

    data: bytes
    is_read: bool = True


def _base64url(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def signed(lines: bytes) -> str:
    """A token whose header and claims are the two lines, whatever they hold, signed by the key."""
    header, _, claims = lines.partition(b"\n")
    message = f"{_base64url(header)}.{_base64url(claims)}"
    return f"{message}.{_base64url(_KEY.sign(message.encode()))}"


def token_of(claims: dict[str, Any], **header: Any) -> bytes:
    """The two lines behind ``+`` that ``signed`` makes a token of."""
    return b"+" + json.dumps({"alg": "EdDSA", **header}).encode() + b"\n" + json.dumps(claims).encode()


def xml_of(root: str, body: dict[str, Any]) -> bytes:
    """A request as a document of our schema."""
    singular = {"supplements": "supplement", "items": "item", "lines": "line", "documents": "document"}

    def fill(parent: Any, values: dict[str, Any]) -> None:
        for name, value in values.items():
            element = etree.SubElement(parent, f"{{{APPROVAL_NAMESPACE}}}{name}")
            if isinstance(value, dict):
                fill(element, value)
            elif isinstance(value, list):
                for each in value:
                    child = etree.SubElement(element, f"{{{APPROVAL_NAMESPACE}}}{singular[name]}")
                    if isinstance(each, dict):
                        fill(child, each)
                    else:
                        child.text = str(each)
            else:
                element.text = str(value).lower() if isinstance(value, bool) else str(value)

    made = etree.Element(f"{{{APPROVAL_NAMESPACE}}}{root}", nsmap={None: APPROVAL_NAMESPACE})
    fill(made, body)
    return bytes(etree.tostring(made))


_LENS = builders.a_lens(correction=None, sphere="-2.25", cylinder="0", addition="1.5")
REQUESTS: dict[str, list[dict[str, Any]]] = {
    "prior_approval": [
        builders.a_request(PROOF, supplements=[builders.a_frame(price_cents=2_000)]),
        builders.a_request(PROOF, right_lens={name: each for name, each in _LENS.items() if each is not None}),
        {
            "insurer_number": "0099990011",
            "proof": PROOF,
            "stay": builders.a_stay(treasury={"office": "033090", "body": "123"}, is_psychiatry=True),
        },
    ],
    "amendment": [
        {
            "version": 2,
            "prescription_date": "2026-11-01",
            "prescriber_rpps": "10999999906",
            "frame": builders.a_frame(),
            "renewal_reason": "sight_change",
        }
    ],
    "extension": [{"version": 1, "stay": builders.a_stay()}],
    "appeal": [{"version": 1, "arguments": "La vue a baissé."}],
    "information": [{"version": 3, "answer": "Voici l'ordonnance."}],
    "use": [{"version": 1, "billed_on": "2026-11-21"}],
    "information_request": [{"version": 1, "question": "Pourquoi ?", "documents": ["prescription", "quote"]}],
    "insurer_decision": [
        {"version": 1, "decision": "partially_approved", "lines": [{"line": 2, "granted_cents": 100}]},
        {"version": 1, "decision": "refused", "comment": "Non."},
    ],
}


def a_rights_document(*rights: str, head: str = '<?xml version="1.0" encoding="UTF-8"?>\n') -> bytes:
    return f'{head}<rights xmlns="urn:tpgateway:rights:1">{"".join(rights)}</rights>'.encode()


def a_right_element(**changes: str) -> str:
    names = builders.RIGHTS_HEADER.split(";")
    fields = {**dict(zip(names, builders.a_right().split(";"), strict=True)), **changes}
    return "<right " + " ".join(f'{name}="{value}"' for name, value in fields.items()) + "/>"


_CSV = "\n".join([builders.RIGHTS_HEADER, builders.a_right("1"), "", builders.a_right("2"), ""]).encode()
_CSV_WITH_NIR = (
    f"{builders.RIGHTS_HEADER};nir\r\n{builders.a_right()};{NIR}\r\n{builders.a_right('2')};\r\nx\r\n".encode()
)
_RIGHTS = a_rights_document(
    "\n<!-- a family -->", a_right_element(nir=NIR), a_right_element(csr="a;b"), "<other><a/></other>"
)

IDENTIFIERS = [
    Seed(bytes([place]) + text.encode())
    for place, text in enumerate(
        ["2a0000014", "752800011", "10 999 999 906", "033090-123-01", "253072B07300470", "75004407", "AGRI FR PP 882",
         "FR7630001007941234567890185", "2210546", "3400935955838", "26010004500012", "01606"]
    )
]  # fmt: skip
RIGHTS_FILES = [
    Seed(_CSV),
    Seed(b"\xef\xbb\xbf" + _CSV_WITH_NIR),
    Seed(_RIGHTS),
    *(Seed(pack(content)) for pack in (gzip.compress, zstd.compress) for content in (_CSV, _CSV_WITH_NIR, _RIGHTS)),
    Seed(_CSV.decode().encode("utf-16"), is_read=False),
    Seed(gzip.compress(_CSV)[:-4], is_read=False),
]
RIGHTS_XML = [
    Seed(_RIGHTS),
    Seed(a_rights_document()),
    Seed(a_rights_document(a_right_element(membership_number="&#x31;&amp;&#10;")).decode().encode("utf-16-le")),
    Seed(
        b'<!DOCTYPE rights [<!ENTITY a "b">]>' + a_rights_document(a_right_element(csr="&a;"), head=""), is_read=False
    ),
]
CARD_TEXTS = [
    Seed(b"TPG1/0075004407/SP,IS//1234567/20260101/20261231/19800229-1/20100305-1"),
    Seed(b" tpg1/0075004407/sp/a1/ABC/20260101/99991231/00000000-9 \n"),
    Seed(b"TPG1/0075004407/SP//1/20260230/20261231/19800229-1", is_read=False),
]


def _picture(mode: str, kind: str, **options: Any) -> bytes:
    out = io.BytesIO()
    Image.open(io.BytesIO(datamatrix.draw("TPG1/0075004407/SP//1/20260101/20261231/19800229-1"))).convert(mode).resize(
        (96, 96)
    ).save(out, kind, **options)
    return out.getvalue()


def _chunk(kind: bytes, content: bytes) -> bytes:
    return kind + len(content).to_bytes(2) + content


_HEAD = _chunk(b"IHDR", bytes([0, 0, 0, 4, 0, 0, 0, 4, 8, 0, 0, 0, 0]))
PHOTOS = [
    Seed(_picture("L", "PNG")),
    Seed(_picture("P", "PNG")),
    Seed(_picture("RGB", "JPEG", quality=60)),
    Seed(_picture("CMYK", "JPEG", progressive=True)),
    Seed(b"PNG" + _HEAD + _chunk(b"IDAT", b"\0abcd" * 4) + _chunk(b"IEND", b""), is_read=False),
    Seed(
        b"PNG" + _chunk(b"IHDR", bytes([0, 0, 0, 4, 0, 0, 0, 4, 2, 3, 0, 0, 1])) + _chunk(b"PLTE", b"abcdefghi")
        + _chunk(b"tRNS", b"ab") + _chunk(b"IDAT", b"\0\1" * 8) + _chunk(b"IEND", b""),
        is_read=False,
    ),
    Seed(
        b"PNG" + _HEAD + _chunk(b"gAMA", bytes(4)) + _chunk(b"pHYs", bytes(9)) + _chunk(b"tEXt", b"a\0b")
        + _chunk(b"iTXt", b"a\0\0\0\0\0b") + _chunk(b"acTL", bytes([0, 0, 0, 2, 0, 0, 0, 0])) + _chunk(b"fcTL", bytes(26))
        + _chunk(b"IDAT", b"\0abcd" * 4) + _chunk(b"fdAT", bytes(8)) + _chunk(b"IEND", b""),
        is_read=False,
    ),
]  # fmt: skip
PROOFS = [
    Seed(b"HWYA-H1AG-MHEW"),
    Seed(b"hwya h1ag mhew"),
    Seed(b"HWYA-HIAG-MHEW"),
    Seed(b"HWYA-H2AG-MHEW", is_read=False),
]
APPROVALS_XML = [Seed(xml_of(root, body)) for root, bodies in REQUESTS.items() for body in bodies]
APPROVALS_JSON = [Seed(f"{root}\n{json.dumps(body)}".encode()) for root, bodies in REQUESTS.items() for body in bodies]
BATCH_LINES = [
    Seed(json.dumps({**builders.a_card(), "domain": "OPTI", "id": "1", "care_date": "2026-11-20"}).encode()),
    Seed(json.dumps({"datamatrix": CARD_TEXTS[0].data.decode(), "birth_date": "19800229", "domain": "PHAR"}).encode()),
    Seed(
        json.dumps(
            {
                "insurer_number": "0099990011",
                "convention_type": "SP",
                "nir": NIR,
                "birth_date": "19800229",
                "domain": "HOSP",
            }
        ).encode()
    ),
]
CLAIMS = {
    "iss": BASE_URL,
    "aud": BASE_URL,
    "sub": str(CLIENT_ID),
    "client_id": str(CLIENT_ID),
    "access": "insurer_client",
    "scope": "cards tables",
    "exp": 4_000_000_000,
}
ASSERTED = {"iss": str(CLIENT_ID), "sub": str(CLIENT_ID), "aud": [BASE_URL], "exp": "SOON", "jti": "1"}
ACCESS_TOKENS = [
    Seed(token_of(CLAIMS, kid="k", typ="at+jwt")),
    Seed(signed(token_of(CLAIMS, kid="k", typ="at+jwt")[1:]).encode()),
    Seed(token_of({**CLAIMS, "exp": 1}, kid="k", typ="at+jwt"), is_read=False),
    Seed(token_of(CLAIMS, kid="k", typ="at+jwt", alg="none"), is_read=False),
]
ASSERTIONS = [
    Seed(token_of(ASSERTED)),
    Seed(signed(token_of(ASSERTED)[1:]).encode(), is_read=False),  # "SOON" is no time where it is signed already
    Seed(token_of({**ASSERTED, "nbf": 1, "iat": 1.5}, kid="x", typ="JWT")),
    Seed(token_of(ASSERTED, alg="HS256"), is_read=False),
]
PUBLIC_KEYS = [
    Seed(json.dumps(PUBLIC_JWK).encode()),
    Seed(
        b'{"kty":"EC","crv":"P-256","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",'
        b'"y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"}'
    ),
    Seed(json.dumps({"kty": "RSA", "n": _base64url(b"\xff" * 384), "e": "AQAB", "alg": "PS256"}).encode()),
    Seed(b'{"kty":"OKP","crv":"Ed25519","x":"AAAA"}', is_read=False),
]
_SIGNER = Signer(SIGNING_KEYS)
SIGNATURES = [
    Seed(b"\0".join([_SIGNER.sign(b"lines", name="optics-1.csv").encode(), b"", b"lines"])),
    Seed(
        b"\0".join(
            [
                _SIGNER.sign(b"lines", name="optics-1.csv").encode(),
                json.dumps([dict(_SIGNER.public_jwk)]).encode(),
                b"lines",
            ]
        )
    ),
    Seed(b"\0".join([_SIGNER.sign(b"lines", name="optics-1.csv").encode(), b"", b"other"]), is_read=False),
]


def _posted(body: bytes) -> bytes:
    stamp = int(NOW.timestamp())
    key = base64.b64decode(WEBHOOK_SECRET.removeprefix("whsec_"))
    made = base64.b64encode(hmac.new(key, f"evt_1.{stamp}.".encode() + body, hashlib.sha256).digest()).decode()
    return f"webhook-id:evt_1\nwebhook-timestamp:{stamp}\nwebhook-signature:v1,{made} v1a,AAAA\n\n".encode() + body


WEBHOOKS = [Seed(_posted(b'{"id": "evt_1"}')), Seed(_posted(b"no JSON"), is_read=False)]
_FINESS = """\
finess;etalab;98;2026-05-12
structureet;010000024;010780054;CH DE FLEYRIAT;CENTRE HOSPITALIER;;;900;RTE;DE PARIS;;;451;01;AIN;01440 VIRIAT;0474454647;;\
355;Centre Hospitalier;1102;CH;26010004500012;8610Z;;;;;1979-02-13;1979-02-13;;
structureet;010000065;010780096;"CH ""TREVOUX""; X";;;;14;R;DU PONT;;;427;01;AIN;01606 TREVOUX CEDEX;;;355;\
CH;;;26010028400017;;;;;;;;;
geolocalisation;010000024;870215.7;6571590.5;1,ATLASANTE,100,IGN,BD_ADRESSE,V2.2,LAMB93;2026-05-12
geolocalisation;970302022;353000;545000;2,ATLASANTE,90,EPSG:2972;2026-05-12
"""
_PROFESSIONALS = """\
Type d'identifiant PP|Identifiant PP|Nom d'exercice|Prénom d'exercice|Code profession|Numéro SIRET site|Numéro FINESS site|\
Code postal (coord. structure)|Bureau cedex (coord. structure)|Libellé commune (coord. structure)|
8|10999999906|VERRIER|Camille|28|||75011||PARIS 11|
0|752800011|VERRIER|Camille|28||||||
"""
_ESTABLISHMENTS = """\
finess,name,category_code,postal_code,town,siret
010000024,"CH, DE FLEYRIAT",355,01440,VIRIAT,26010004500012
"""
DIRECTORIES = [Seed(_FINESS.encode("iso-8859-15")), Seed(_PROFESSIONALS.encode()), Seed(_ESTABLISHMENTS.encode())]
TERMS = """\
title = "Convention des opticiens"
valid_from = 2026-01-01
valid_to = 2027-01-01
domains = ["OPTI"]
payment_days = 10
insurers = ["0099990011"]
approval = ["OPTI"]

[[documents]]
kind = "prescription"
label = "Ordonnance"

[[tariffs]]
code = "MONTURE-A"
label = "Monture"
amount_cents = 3000
domain = "OPTI"
"""
CONVENTION_TERMS = [Seed(TERMS.encode()), Seed(b'insurers = "all"', is_read=False)]
_TEXT = """\
# Convention

## Article 1

> *Cité*, **fort**, `code`

1. un
   - deux

| a | b |
|---|---|
| c | [d](#e) |

---
"""
CONVENTION_TEXTS = [Seed(_TEXT.encode()), Seed(b"a\0b", is_read=False)]
ACCEPTS = [Seed(b"application/json;q=0.5, text/xml"), Seed(b"text/html,application/xml;q=0.9,*/*;q=0.8")]
