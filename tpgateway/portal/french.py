"""Days, hours, amounts and plurals as French readers write them: filters of the templates."""

from collections.abc import Callable, Mapping
from datetime import date, datetime
from decimal import Decimal

from babel import Locale
from babel.dates import format_date, format_datetime
from babel.numbers import format_currency, format_decimal

from tpgateway.web.routing import PARIS

_FRENCH = Locale("fr", "FR")


def day(value: date) -> str:
    """``22/11/2026``."""
    return format_date(_paris(value), "dd/MM/yyyy", locale=_FRENCH)


def written_day(value: str) -> str:
    """``22/11/2026``, of a day as JSON has it."""
    return day(date.fromisoformat(value))


def long_day(value: date) -> str:
    """``22 novembre 2026``."""
    return format_date(_paris(value), "long", locale=_FRENCH)


def moment(value: datetime) -> str:
    """``22/11/2026 à 14:05``, by the clocks of Paris."""
    return format_datetime(value, "dd/MM/yyyy 'à' HH:mm", tzinfo=PARIS, locale=_FRENCH)


def hour(value: datetime) -> str:
    """``14:05``, by the clocks of Paris."""
    return format_datetime(value, "HH:mm", tzinfo=PARIS, locale=_FRENCH)


def euros(cents: int) -> str:
    """``1 234,50 €``, from whole cents."""
    return format_currency(Decimal(cents) / 100, "EUR", locale=_FRENCH)


def number(value: int) -> str:
    """``12 345``."""
    return format_decimal(value, locale=_FRENCH)


def counted(count: int, one: str, more: str) -> str:
    """The count with its noun in the form that French wants: ``0 demande``, ``1 demande``, ``2 demandes``."""
    return f"{number(count)} {noun(count, one, more)}"


def noun(count: int, one: str, more: str) -> str:
    """The noun alone, in the form that goes with the count."""
    return one if _FRENCH.plural_form(count) == "one" else more


def born(digits: str) -> str:
    """A birth date of eight digits, as it stands on cards; months and days that are none stay as they are."""
    return f"{digits[6:]}/{digits[4:6]}/{digits[:4]}"


def _paris(value: date) -> date:
    return value.astimezone(PARIS).date() if isinstance(value, datetime) else value


FILTERS: Mapping[str, Callable[..., str]] = {
    "day": day,
    "long_day": long_day,
    "written_day": written_day,
    "moment": moment,
    "hour": hour,
    "euros": euros,
    "number": number,
    "counted": counted,
    "noun": noun,
    "born": born,
}
