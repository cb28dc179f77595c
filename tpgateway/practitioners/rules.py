"""Decisions about accounts."""

from collections.abc import Sequence
from datetime import datetime

import phonenumbers
from phonenumbers import NumberParseException, PhoneNumberFormat, PhoneNumberType
from schwifty import registry

from tpgateway.errors import Problem
from tpgateway.identifiers import adeli, bic, finess, iban, rpps, treasury
from tpgateway.practitioners.errors import (
    AccountClosed,
    AccountInReview,
    AccountRefused,
    AccountSuspended,
    BicCountryDiffers,
    IbanOfAnotherBank,
)
from tpgateway.practitioners.model import AccountState, BankDetails, Identifier, Scheme

_VALIDATE = {
    Scheme.FINESS: finess.validate,
    Scheme.ADELI: adeli.validate,
    Scheme.RPPS: rpps.validate,
    Scheme.TREASURY: treasury.validate,
}
_COMPACT = {
    Scheme.FINESS: finess.compact,
    Scheme.ADELI: adeli.compact,
    Scheme.RPPS: rpps.compact,
    Scheme.TREASURY: treasury.format,
}
SCHEME_NAMES = {
    Scheme.FINESS: "FINESS",
    Scheme.ADELI: "Adeli",
    Scheme.RPPS: "RPPS",
    Scheme.TREASURY: "de trésorerie",
}
# ISO 13616: accounts of these territories have an IBAN of the country; ISO 9362 gives their banks codes of their own.
_TERRITORIES = {"FR": frozenset("FR BL GF GP MF MQ NC PF PM RE TF WF YT".split())}  # noqa: SIM905
# In France's numbering a mobile number of overseas is written like one of the mainland, and belongs to its own region.
_REGIONS = ("FR", "GP", "RE", "MQ", "GF", "YT", "PM", "NC", "PF")
_SHOWN_AT_THE_END = 3


def parse_identifier(scheme: Scheme, value: str, *, is_adeli_key_enforced: bool = True) -> Identifier:
    """The identifier; raises stdnum's ``ValidationError``."""
    if scheme is Scheme.ADELI and not is_adeli_key_enforced:
        return Identifier(scheme=scheme, value=adeli.validate_form(value))
    return Identifier(scheme=scheme, value=_VALIDATE[scheme](value))


def written_form(scheme: Scheme, value: str) -> Identifier:
    """The identifier as it is kept, without judging it: what a log-in is compared by."""
    return Identifier(scheme=scheme, value=_COMPACT[scheme](value))


def partly_masked(identifier: Identifier) -> str:
    """A number that its owner recognises: its scheme, beginning and end."""
    value = identifier.value
    hidden = len(value) - 2 - _SHOWN_AT_THE_END
    return f"{SCHEME_NAMES[identifier.scheme]} {value[:2]}{'•' * hidden}{value[-_SHOWN_AT_THE_END:]}"


def parse_mobile(text: str) -> str | None:
    """A mobile number in international form (E.164); None where it is none that can be called."""
    for region in _REGIONS:
        try:
            number = phonenumbers.parse(text, region)
        except NumberParseException:
            return None
        kind = phonenumbers.number_type(number)
        if phonenumbers.is_valid_number(number) and kind in {
            PhoneNumberType.MOBILE,
            PhoneNumberType.FIXED_LINE_OR_MOBILE,
        }:
            return phonenumbers.format_number(number, PhoneNumberFormat.E164)
    return None


def bank_problem(bank: bic.Bic, account: iban.Iban | None) -> type[Problem] | None:
    """Why a BIC and an IBAN do not belong together; None where they do, or where nothing is known of the bank.

    The bank of a French IBAN is its first five digits, looked up in schwifty's register.
    """
    if account is None:
        return None
    country = iban.country(account)
    if bic.country(bank) not in _TERRITORIES.get(country, {country}):
        return BicCountryDiffers
    if country != "FR":
        return None
    known = {each.bic for each in registry.get_banks_by_code("FR", account[4:9]) if each.bic}
    if not known:
        return None
    if bank[:4] not in {each[:4] for each in known}:
        return IbanOfAnotherBank
    # Banks of one group share their first letters: a code that is another bank's, and not this one's, gives it away.
    others = {each.bank_code for each in registry.get_banks_by_bic(bank)} - {account[4:9]}
    is_this_one = bank in known or len(bank) == 8 or bank.endswith("XXX")
    return IbanOfAnotherBank if others and not is_this_one else None


def bank_details_at(history: Sequence[BankDetails], moment: datetime) -> BankDetails | None:
    """The details in force: the latest that had come into force and were not revoked before."""
    counting = [each for each in history if each.in_force_from <= moment and each.revoked_at is None]
    return max(counting, key=lambda each: (each.in_force_from, each.requested_at), default=None)


def pending_bank_details(history: Sequence[BankDetails], moment: datetime) -> BankDetails | None:
    """The details that wait to come into force, if any."""
    waiting = [each for each in history if each.in_force_from > moment and each.revoked_at is None]
    return max(waiting, key=lambda each: each.requested_at, default=None)


def login_problem(state: AccountState, reason: str | None, support: str) -> Problem | None:
    """Why somebody who knows the password may still not come in, and whom to ask."""
    contact = f"Contactez l'assistance du réseau : {support}."
    said = f"Motif : {reason} " if reason else ""
    kinds: dict[AccountState, type[Problem]] = {
        AccountState.SUSPENDED: AccountSuspended,
        AccountState.CLOSED: AccountClosed,
        AccountState.IN_REVIEW: AccountInReview,
        AccountState.REFUSED: AccountRefused,
    }
    kind = kinds.get(state)
    return kind(next_step=said + contact) if kind else None
