"""A card's DataMatrix: our own syntax, version 1, as schemas/README.md documents it.

``TPG1/0075004407/SP,IS//1234567/20260101/20261231/19800229-1/20100305-1``: AMC number, convention types, CSR, membership
number, first and last day, then each beneficiary's birth date and rank. Only capitals, digits and ``/ , -``: what a scanner
that types as a keyboard gets through.
"""

import io
import re
from dataclasses import dataclass
from datetime import date

import zxingcpp
from PIL import Image, UnidentifiedImageError

from tpgateway.cards.errors import (
    BeneficiaryNeeded,
    BeneficiaryNotOnCard,
    CardUnreadable,
    NoCodeInPhoto,
    PhotoUnreadable,
)
from tpgateway.cards.model import Card

VERSION = "TPG1"
MOST_BENEFICIARIES = 20
MOST_PIXELS = 40_000_000
"""Of a photo; a larger one is not even opened."""

_FORM = re.compile(
    r"TPG1/(?P<insurer>\d{10})/(?P<types>[A-Z]{2}(?:,[A-Z]{2}){0,9})/(?P<csr>[A-Z0-9]{0,8})/(?P<member>[A-Z0-9]{1,16})"
    r"/(?P<begin>\d{8})/(?P<end>\d{8})(?P<people>(?:/\d{8}-[1-9]){1,20})",
    re.ASCII,
)
_PIXELS_A_MODULE = 8
_DATAMATRIX = zxingcpp.BarcodeFormats(zxingcpp.BarcodeFormat.DataMatrix)


@dataclass(frozen=True, slots=True, kw_only=True)
class PrintedCard:
    """All that a card says. ``beneficiaries`` are birth dates (text of 8 digits) and ranks."""

    insurer_number: str
    convention_types: tuple[str, ...]
    csr: str
    membership_number: str
    valid_from: date
    valid_to: date
    beneficiaries: tuple[tuple[str, int], ...]

    def card_of(
        self, *, birth_date: str | None = None, birth_rank: int | None = None, convention_type: str | None = None
    ) -> Card:
        """One beneficiary's card, the first convention type unless another is named.

        Raises ``BeneficiaryNeeded`` where several fit and ``BeneficiaryNotOnCard`` where none does.
        """
        fitting = [
            (born, rank)
            for born, rank in self.beneficiaries
            if birth_date in {None, born} and birth_rank in {None, rank}
        ]
        chosen_type = convention_type or self.convention_types[0]
        if chosen_type not in self.convention_types:
            raise BeneficiaryNotOnCard(
                "convention_type", next_step="Relisez le type de convention : la carte n'a pas celui-là."
            )
        if not fitting:
            raise BeneficiaryNotOnCard
        if len(fitting) > 1:
            raise BeneficiaryNeeded
        [(born, rank)] = fitting
        return Card(self.insurer_number, chosen_type, self.csr, self.membership_number, born, rank)


def write(card: PrintedCard) -> str:
    """The card as text, in capitals; ``parse`` gives it back."""
    people = "".join(f"/{born}-{rank}" for born, rank in card.beneficiaries)
    return (
        f"{VERSION}/{card.insurer_number}/{','.join(card.convention_types)}/{card.csr}/{card.membership_number}"
        f"/{_day(card.valid_from)}/{_day(card.valid_to)}{people}"
    ).upper()


def _day(day: date) -> str:
    return day.isoformat().replace("-", "")  # strftime leaves out the zeros of a year before 1000


def parse(text: str) -> PrintedCard:
    """The card of a decoded text; raises ``CardUnreadable``."""
    written = text.strip()
    found = _FORM.fullmatch(written.upper()) if written.isascii() else None  # before upper case turns ß into SS
    if not found:
        raise CardUnreadable
    try:
        begin, end = date.fromisoformat(found["begin"]), date.fromisoformat(found["end"])
    except ValueError:
        raise CardUnreadable from None
    if end < begin:
        raise CardUnreadable
    people = [person.split("-") for person in found["people"].split("/")[1:]]
    return PrintedCard(
        insurer_number=found["insurer"],
        convention_types=tuple(found["types"].split(",")),
        csr=found["csr"],
        membership_number=found["member"],
        valid_from=begin,
        valid_to=end,
        beneficiaries=tuple((born, int(rank)) for born, rank in people),
    )


def draw(text: str) -> bytes:
    """The DataMatrix of a text, as a PNG image."""
    code = zxingcpp.create_barcode(text, zxingcpp.BarcodeFormat.DataMatrix, force_square=True)
    image = Image.fromarray(code.to_image(scale=_PIXELS_A_MODULE))
    out = io.BytesIO()
    image.save(out, "PNG")
    return out.getvalue()


def read_photo(photo: bytes) -> str:
    """The text of the one card in a photo (PNG or JPEG); raises ``PhotoUnreadable`` and ``NoCodeInPhoto``."""
    try:
        with Image.open(io.BytesIO(photo), formats=("PNG", "JPEG")) as opened:
            if opened.width * opened.height > MOST_PIXELS:
                raise PhotoUnreadable(
                    f"at most {MOST_PIXELS} pixels",
                    next_step="La photo est trop grande : reprenez-la avec une qualité plus basse.",
                )
            image = opened.convert("L")
        codes = zxingcpp.read_barcodes(image, formats=_DATAMATRIX)
    except (UnidentifiedImageError, OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        raise PhotoUnreadable from None
    cards = {code.text for code in codes if code.text.upper().startswith(f"{VERSION}/")}
    if len(cards) != 1:
        several = "Plusieurs cartes sont sur la photo : n'en montrez qu'une."
        raise NoCodeInPhoto("several cards", next_step=several) if cards else NoCodeInPhoto
    return cards.pop()
