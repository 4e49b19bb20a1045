"""Damaged bytes end in a FormatError or in a value that has exactly those bytes, and in nothing else."""

import random

import der_samples
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from uptane.formats.der_format import DER
from uptane.metadata.errors import FormatError
from uptane.metadata.root import Root
from uptane.metadata.targets import Targets

KINDS = tuple(der_samples.payloads())
MUTATIONS = 400


def mutated(raw: bytes, seed: str) -> list[bytes]:
    """Copies with one byte changed, at places and to values that the seed decides."""
    chance = random.Random(seed)
    copies = []
    for _ in range(MUTATIONS):
        place = chance.randrange(len(raw))
        changed = (raw[place] + chance.randrange(1, 256)) % 256
        copies.append(raw[:place] + bytes([changed]) + raw[place + 1 :])
    return copies


@pytest.mark.standard("STD-5.2.1-10")
@pytest.mark.parametrize("kind", KINDS)
def test_one_changed_byte_is_refused_or_is_another_value_with_its_own_encoding(kind: str) -> None:
    payload = der_samples.payloads()[kind]
    refused = 0
    for raw in mutated(der_samples.signed(payload), kind):
        try:
            envelope = der_samples.decode(payload, raw)
            unsigned = DER.encode(envelope.payload)
        except FormatError:
            refused += 1
            continue
        assert DER.assemble(unsigned, envelope.signatures) == raw
    assert 0 < refused < MUTATIONS


def test_one_changed_byte_in_a_key_is_refused() -> None:
    for key in der_samples.all_kinds_of_keys():
        for raw in mutated(DER.encode_key(key), key.key_id):
            with pytest.raises(FormatError):
                DER.decode_key(raw)


def test_one_changed_byte_in_a_map_is_refused_or_is_another_map_with_its_own_encoding() -> None:
    for raw in mutated(DER.encode_map(der_samples.repository_map()), "map"):
        try:
            value = DER.decode_map(raw)
        except FormatError:
            continue
        assert DER.encode_map(value) == raw


@pytest.mark.parametrize("kind", KINDS)
def test_an_object_cut_off_anywhere_is_refused(kind: str) -> None:
    payload = der_samples.payloads()[kind]
    raw = der_samples.signed(payload)
    for length in range(len(raw)):
        with pytest.raises(FormatError):
            der_samples.decode(payload, raw[:length])


@pytest.mark.parametrize("kind", KINDS)
def test_an_object_with_a_byte_behind_it_is_refused(kind: str) -> None:
    payload = der_samples.payloads()[kind]
    for tail in (b"\x00", b"\x05\x00", der_samples.signed(payload)):
        with pytest.raises(FormatError):
            der_samples.decode(payload, der_samples.signed(payload) + tail)


def test_a_key_or_a_map_cut_off_or_with_a_byte_behind_it_is_refused() -> None:
    key, repository_map = DER.encode_key(der_samples.ed25519_key(1)), DER.encode_map(der_samples.repository_map())
    for decode, raw in ((DER.decode_key, key), (DER.decode_map, repository_map)):
        for damaged in (*(raw[:length] for length in range(len(raw))), raw + b"\x00"):
            with pytest.raises(FormatError):
                decode(damaged)


@settings(deadline=None, max_examples=200)
@given(st.binary(max_size=200))
def test_arbitrary_bytes_are_refused(raw: bytes) -> None:
    for kind in (Root, Targets):
        with pytest.raises(FormatError):
            DER.decode(kind, raw)
    with pytest.raises(FormatError):
        DER.decode_key(raw)
    with pytest.raises(FormatError):
        DER.decode_map(raw)
