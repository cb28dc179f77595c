"""The vault: what is sealed opens under its key, for its purpose and unaltered, or not at all."""

import base64
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tpgateway.vault import SealBroken, Vault

unhurried = settings(deadline=None)

FIRST, SECOND, MATCHING = (bytes([letter]) * 32 for letter in b"abc")
KEY_ID = b"\x02k1"

vault = Vault(current="k1", keys={"k1": FIRST}, matching_key=MATCHING)
rotated = Vault(current="k2", keys={"k1": FIRST, "k2": SECOND}, matching_key=MATCHING)
old_key_gone = Vault(current="k2", keys={"k2": SECOND}, matching_key=MATCHING)


@unhurried
@given(plain=st.binary(), purpose=st.text())
def test_a_sealed_value_opens_for_its_purpose(plain: bytes, purpose: str) -> None:
    assert vault.open(vault.seal(plain, purpose=purpose), purpose=purpose) == plain


@unhurried
@given(plain=st.binary(), purposes=st.lists(st.text(), min_size=2, max_size=2, unique=True))
def test_a_sealed_value_does_not_open_for_another_purpose(plain: bytes, purposes: list[str]) -> None:
    sealed = vault.seal(plain, purpose=purposes[0])
    with pytest.raises(SealBroken):
        vault.open(sealed, purpose=purposes[1])


def test_a_value_with_any_bit_altered_does_not_open() -> None:
    sealed = vault.seal(b"secret", purpose="mail")
    assert vault.open(sealed, purpose="mail") == b"secret"
    for bit in range(len(sealed) * 8):
        altered = bytearray(sealed)
        altered[bit // 8] ^= 1 << bit % 8
        with pytest.raises(SealBroken):
            vault.open(bytes(altered), purpose="mail")


@pytest.mark.parametrize("length", range(1, 37))
def test_a_value_that_lost_its_end_does_not_open(length: int) -> None:
    sealed = vault.seal(b"secret", purpose="mail")
    assert length < len(sealed)
    with pytest.raises(SealBroken):
        vault.open(sealed[:length], purpose="mail")


def test_an_empty_value_does_not_open() -> None:
    with pytest.raises(SealBroken):
        vault.open(b"", purpose="mail")


def test_a_value_with_something_behind_it_does_not_open() -> None:
    with pytest.raises(SealBroken):
        vault.open(vault.seal(b"secret", purpose="mail") + b"\0", purpose="mail")


@unhurried
@given(garbage=st.binary() | st.binary().map(lambda rest: KEY_ID + rest) | st.binary().map(lambda rest: b"\0" + rest))
def test_garbage_is_a_broken_seal_and_nothing_else(garbage: bytes) -> None:
    with pytest.raises(SealBroken):
        vault.open(garbage, purpose="mail")


def test_a_value_under_an_unknown_key_does_not_open() -> None:
    with pytest.raises(SealBroken):
        vault.open(rotated.seal(b"secret", purpose="mail"), purpose="mail")


def test_a_value_under_another_key_of_the_same_name_does_not_open() -> None:
    namesake = Vault(current="k1", keys={"k1": SECOND}, matching_key=MATCHING)
    with pytest.raises(SealBroken):
        vault.open(namesake.seal(b"secret", purpose="mail"), purpose="mail")


def test_a_value_under_the_old_key_opens_after_a_rotation() -> None:
    sealed = vault.seal(b"secret", purpose="mail")
    assert rotated.open(sealed, purpose="mail") == b"secret"


def test_a_value_sealed_after_a_rotation_no_longer_needs_the_old_key() -> None:
    sealed = rotated.seal(b"secret", purpose="mail")
    assert old_key_gone.open(sealed, purpose="mail") == b"secret"


def test_a_value_under_the_old_key_does_not_open_once_that_key_is_gone() -> None:
    sealed = vault.seal(b"secret", purpose="mail")
    with pytest.raises(SealBroken):
        old_key_gone.open(sealed, purpose="mail")


@unhurried
@given(plain=st.binary())
def test_a_sealed_value_names_its_key_and_hides_the_rest(plain: bytes) -> None:
    sealed = vault.seal(plain, purpose="mail")
    assert sealed.startswith(KEY_ID)
    assert len(sealed) == len(KEY_ID) + 12 + len(plain) + 16
    assert len(plain) < 4 or plain not in sealed


def test_a_value_sealed_twice_does_not_look_the_same() -> None:
    sealed = {vault.seal(b"secret", purpose="mail") for _ in range(100)}
    assert len({each[3:15] for each in sealed}) == 100
    assert len({each[15:] for each in sealed}) == 100


def test_a_vault_whose_current_key_is_missing_cannot_be_made() -> None:
    with pytest.raises(ValueError, match="current"):
        Vault(current="k2", keys={"k1": FIRST}, matching_key=MATCHING)


def test_a_vault_is_read_from_json() -> None:
    text = json.dumps(
        {
            "current": "k2",
            "keys": {"k1": base64.b64encode(FIRST).decode(), "k2": base64.b64encode(SECOND).decode()},
            "matching_key": base64.b64encode(MATCHING).decode(),
        }
    )
    read = Vault.from_json(text)
    assert read.open(vault.seal(b"old", purpose="mail"), purpose="mail") == b"old"
    assert old_key_gone.open(read.seal(b"new", purpose="mail"), purpose="mail") == b"new"
    assert read.match(b"value", purpose="mail") == vault.match(b"value", purpose="mail")


def test_fresh_keys_make_a_vault_of_their_own() -> None:
    one, other = (Vault.from_json(Vault.new_json()) for _ in range(2))
    sealed = one.seal(b"secret", purpose="mail")
    assert one.open(sealed, purpose="mail") == b"secret"
    assert one.match(b"value", purpose="mail") != other.match(b"value", purpose="mail")
    with pytest.raises(SealBroken):
        other.open(sealed, purpose="mail")


def test_fresh_keys_are_32_bytes_and_all_different() -> None:
    made = [json.loads(Vault.new_json()) for _ in range(10)]
    keys = [base64.b64decode(key) for each in made for key in [*each["keys"].values(), each["matching_key"]]]
    assert {len(key) for key in keys} == {32}
    assert len(set(keys)) == len(keys) == 20


@unhurried
@given(value=st.binary(), purpose=st.text())
def test_equal_values_of_one_purpose_match(value: bytes, purpose: str) -> None:
    matched = vault.match(value, purpose=purpose)
    assert len(matched) == 32
    assert matched == vault.match(value, purpose=purpose) == rotated.match(value, purpose=purpose)


@unhurried
@given(values=st.lists(st.binary(), min_size=2, max_size=2, unique=True), purpose=st.text())
def test_different_values_do_not_match(values: list[bytes], purpose: str) -> None:
    assert vault.match(values[0], purpose=purpose) != vault.match(values[1], purpose=purpose)


@unhurried
@given(value=st.binary(), purposes=st.lists(st.text(), min_size=2, max_size=2, unique=True))
def test_a_value_does_not_match_itself_for_another_purpose(value: bytes, purposes: list[str]) -> None:
    assert vault.match(value, purpose=purposes[0]) != vault.match(value, purpose=purposes[1])


def test_a_purpose_and_a_value_do_not_run_into_each_other() -> None:
    assert vault.match(b"bc", purpose="a") != vault.match(b"c", purpose="ab")


def test_a_match_tells_nothing_without_the_key() -> None:
    stranger = Vault(current="k1", keys={"k1": FIRST}, matching_key=SECOND)
    assert stranger.match(b"value", purpose="mail") != vault.match(b"value", purpose="mail")
