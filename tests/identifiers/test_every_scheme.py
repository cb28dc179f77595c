"""What holds for all twelve schemes alike."""

from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from stdnum.exceptions import ValidationError

from tests.identifiers.numbers import SCHEMES, Scheme, unhurried

every_scheme = pytest.mark.parametrize("scheme", SCHEMES, ids=str)
brief = settings(unhurried, max_examples=50)  # twelve times over

# Characters that slip through `isdigit`, `int`, `\d`, `$`, `strip` or `upper` where they are used without care.
INTRUDERS = [
    *"\0\t\n\v\f\r\x1c\x1f\x7f\x85\xa0",
    *"_+-/.,:'*%eEAZ",
    *"éªºß²½",
    *"ıſﬁ①٣३３𝟛零",
    *"\N{ZERO WIDTH SPACE}\N{COMBINING ACUTE ACCENT}\N{LINE SEPARATOR}\N{RIGHT-TO-LEFT MARK}\N{PILE OF POO}",
    "\ud800",
]
FOREIGN_ZEROES = {
    "Arabic-Indic": "\N{ARABIC-INDIC DIGIT ZERO}",
    "Extended Arabic-Indic": "\N{EXTENDED ARABIC-INDIC DIGIT ZERO}",
    "Devanagari": "\N{DEVANAGARI DIGIT ZERO}",
    "fullwidth": "\N{FULLWIDTH DIGIT ZERO}",
    "mathematical bold": "\N{MATHEMATICAL BOLD DIGIT ZERO}",
    "Adlam": "\N{ADLAM DIGIT ZERO}",
}


def outcome(scheme: Scheme, text: str) -> str | None:
    """The number that was read, None where it was refused as the modules promise; anything else raised is a fault."""
    try:
        number: str | None = scheme.module.validate(text)
    except ValidationError:
        number = None
    assert scheme.module.is_valid(text) is (number is not None), ascii(text)
    if number is not None:
        assert number.isascii(), ascii(text)
        assert scheme.module.validate(number) == number, ascii(text)
    return number


def with_an_intruder(number: str) -> Iterator[str]:
    for intruder in INTRUDERS:
        for place in range(len(number) + 1):
            yield number[:place] + intruder + number[place:]
            yield number[:place] + intruder + number[place + 1 :]


def in_foreign_digits(number: str, zero: str) -> str:
    return "".join(chr(ord(zero) + int(each)) if each in "0123456789" else each for each in number)


@every_scheme
def test_known_numbers_are_valid(scheme: Scheme) -> None:
    assert [number for number in scheme.known if not scheme.module.is_valid(number)] == []


@every_scheme
@brief
@given(data=st.data())
def test_a_valid_number_is_read_once_and_for_all(scheme: Scheme, data: st.DataObject) -> None:
    number = scheme.module.validate(data.draw(scheme.numbers))
    assert scheme.module.validate(number) == number
    assert scheme.module.is_valid(number)
    assert number.isascii()


@every_scheme
@brief
@given(data=st.data())
def test_a_number_as_people_read_it_is_the_same_number(scheme: Scheme, data: st.DataObject) -> None:
    number = scheme.module.validate(data.draw(scheme.numbers))
    written = scheme.module.format(number)
    assert scheme.module.compact(written) == scheme.module.compact(number)
    assert scheme.module.validate(written) == number
    assert scheme.module.format(written) == written


@every_scheme
@brief
@given(data=st.data())
def test_spaces_in_and_around_a_number_do_not_count(scheme: Scheme, data: st.DataObject) -> None:
    number = data.draw(scheme.numbers)
    spaces = data.draw(
        st.lists(st.sampled_from(["", " ", "\N{NO-BREAK SPACE}"]), min_size=len(number), max_size=len(number))
    )
    spaced = "".join(space + character for space, character in zip(spaces, number, strict=True)) + " "
    assert scheme.module.validate(spaced) == scheme.module.validate(number)


@every_scheme
@brief
@given(text=st.text() | st.text("0123456789AB ٣３²\0\n-", max_size=30))
def test_any_text_is_read_or_refused_and_nothing_else(scheme: Scheme, text: str) -> None:
    number = outcome(scheme, text)
    assert number is None or scheme.module.validate(scheme.module.format(text)) == number


@every_scheme
@brief
@given(data=st.data())
def test_a_valid_number_with_any_text_in_it_is_read_or_refused_and_nothing_else(
    scheme: Scheme, data: st.DataObject
) -> None:
    number = data.draw(scheme.numbers)
    place = data.draw(st.integers(0, len(number)))
    taken = data.draw(st.integers(0, 2))
    text = number[:place] + data.draw(st.text(min_size=1, max_size=2)) + number[place + taken :]
    read = outcome(scheme, text)
    assert read is None or scheme.module.validate(scheme.module.format(text)) == read


@every_scheme
def test_a_strange_character_at_any_place_is_read_past_or_refused_and_nothing_else(scheme: Scheme) -> None:
    wrong: list[str] = []
    for known in scheme.known:
        for text in with_an_intruder(known):
            try:
                outcome(scheme, text)
            except Exception as error:
                wrong.append(f"{text!a}: {error!r}")
    assert wrong == []


@every_scheme
@pytest.mark.parametrize("zero", FOREIGN_ZEROES.values(), ids=FOREIGN_ZEROES)
def test_foreign_digits_are_refused_or_read_as_the_ascii_number(scheme: Scheme, zero: str) -> None:
    for known in scheme.known:
        foreign = in_foreign_digits(known, zero)
        places = range(len(known))
        texts = [foreign, *(known[:place] + foreign[place:] for place in places)]
        texts += [known[:place] + foreign[place : place + 2] + known[place + 2 :] for place in places]
        for text in texts:
            assert outcome(scheme, text) in {None, scheme.module.validate(known)}, ascii(text)


@every_scheme
@pytest.mark.parametrize("text", ["", " ", "\0", "\n", "-", "0", "😀", "null", "9" * 10_000], ids=ascii)
def test_what_is_no_number_at_all_is_refused(scheme: Scheme, text: str) -> None:
    with pytest.raises(ValidationError):
        scheme.module.validate(text)
    assert scheme.module.is_valid(text) is False


def test_the_scheme_cannot_be_told_from_the_number() -> None:
    readers = {str(scheme) for scheme in SCHEMES if scheme.module.is_valid("540002698")}
    assert {"finess", "adeli"} <= readers
