"""BIC (ISO 9362): the code of a bank, 8 or 11 characters, with its country but without a key.

The form is python-stdnum's; the country must be one of ISO 3166-1, or Kosovo's XK, under which banks are registered.
"""

from typing import NewType

from stdnum import bic as _bic
from stdnum.exceptions import InvalidComponent, InvalidFormat, ValidationError
from stdnum.util import clean

Bic = NewType("Bic", str)

COUNTRIES = frozenset(
    """
    AD AE AF AG AI AL AM AO AQ AR AS AT AU AW AX AZ BA BB BD BE BF BG BH BI BJ BL BM BN BO BQ BR BS BT
    BV BW BY BZ CA CC CD CF CG CH CI CK CL CM CN CO CR CU CV CW CX CY CZ DE DJ DK DM DO DZ EC EE EG EH
    ER ES ET FI FJ FK FM FO FR GA GB GD GE GF GG GH GI GL GM GN GP GQ GR GS GT GU GW GY HK HM HN HR HT
    HU ID IE IL IM IN IO IQ IR IS IT JE JM JO JP KE KG KH KI KM KN KP KR KW KY KZ LA LB LC LI LK LR LS
    LT LU LV LY MA MC MD ME MF MG MH MK ML MM MN MO MP MQ MR MS MT MU MV MW MX MY MZ NA NC NE NF NG NI
    NL NO NP NR NU NZ OM PA PE PF PG PH PK PL PM PN PR PS PT PW PY QA RE RO RS RU RW SA SB SC SD SE SG
    SH SI SJ SK SL SM SN SO SR SS ST SV SX SY SZ TC TD TF TG TH TJ TK TL TM TN TO TR TT TV TW TZ UA UG
    UM US UY UZ VA VC VE VG VI VN VU WF WS XK YE YT ZA ZM ZW
    """.split()  # noqa: SIM905  # a list would fill pages
)


def compact(number: str) -> str:
    """The code without separators, in upper case."""
    return str(_bic.compact(number))


def validate(number: str) -> Bic:
    """The code as a Bic; raises a stdnum ``ValidationError`` otherwise, ``InvalidComponent`` for an unknown country."""
    if not clean(number).isascii():
        raise InvalidFormat  # before upper case turns ß into SS
    bic = _bic.validate(number)
    if country(Bic(bic)) not in COUNTRIES:
        raise InvalidComponent
    return Bic(bic)


def is_valid(number: str) -> bool:
    """Whether ``validate`` would accept the code."""
    try:
        validate(number)
    except ValidationError:
        return False
    return True


def country(bic: Bic) -> str:
    """The bank's country, two letters."""
    return bic[4:6]


def format(number: str) -> str:
    """The code as people read it: ``AGRI FR PP 882``."""
    number = compact(number)
    return " ".join(part for part in (number[:4], number[4:6], number[6:8], number[8:]) if part)
