"""Whatever the archived formats carry comes back as it was, and damaged bytes end in a FormatError alone."""

import json
import random
from typing import Any

import pouf1_strategies
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pouf1_samples import (
    FORMATS,
    SAMPLES,
    decode,
    manifest,
    payloads,
    private_key,
    public_key,
    report,
    report_with_custom,
    sample_name,
    sign,
    verifies,
)

from uptane.formats.pouf1.der import POUF1
from uptane.formats.pouf1.json import POUF1_JSON
from uptane.formats.pouf1.rules import FILEINFO_CUSTOM
from uptane.formats.pouf1.text import archived_text
from uptane.formats.profile import Format, Payload
from uptane.formats.profiles import recognised
from uptane.metadata.errors import FormatError
from uptane.metadata.identifiers import PathPattern, RepositoryName
from uptane.metadata.keys import PublicKey
from uptane.metadata.repository_map import MappedRepository, Mapping, RepositoryKind, RepositoryMap
from uptane.metadata.root import Root
from uptane.metadata.version_report import EcuVersionReport

MUTATIONS = 300


@pytest.mark.parametrize(("wire", "name"), SAMPLES, ids=sample_name)
def test_a_sample_comes_back_signed_as_it_was(wire: Format, name: str) -> None:
    payload = payloads(wire)[name]
    raw = sign(wire, payload, 1, 2)
    envelope = decode(wire, payload, raw)
    assert envelope.payload == payload
    assert envelope.raw == raw
    assert verifies(envelope, public_key(1))
    assert verifies(envelope, public_key(2))
    assert not verifies(envelope, public_key(3))
    assert wire.assemble(wire.encode(envelope.payload), envelope.signatures) == raw
    profile = recognised(raw)
    assert profile is not None
    assert profile.format is wire


@pytest.mark.parametrize("wire", FORMATS, ids=sample_name)
def test_an_object_without_signatures_is_carried(wire: Format) -> None:
    for payload in payloads(wire).values():
        raw = wire.assemble(wire.encode(payload), ())
        assert decode(wire, payload, raw).signatures == ()


@pytest.mark.parametrize("wire", FORMATS, ids=sample_name)
def test_an_object_of_one_kind_is_not_read_as_another(wire: Format) -> None:
    samples = payloads(wire)
    for payload in samples.values():
        for other in samples.values():
            if type(other) is not type(payload):
                with pytest.raises(FormatError):
                    decode(wire, other, sign(wire, payload))


@pytest.mark.parametrize("wire", FORMATS, ids=sample_name)
def test_reports_of_one_ecu_stay_in_the_order_of_their_arrival_each_with_its_own_bytes(wire: Format) -> None:
    reports = (report("b", "third"), report("a"), report("b", "first"), report("b", "second"))
    value = manifest(wire, *reports)
    read = decode(wire, value, sign(wire, value)).payload
    assert [(each.payload.ecu, each.payload.attacks_detected) for each in read.reports] == [
        ("a", ""),
        ("b", "third"),
        ("b", "first"),
        ("b", "second"),
    ]
    for each in read.reports:
        assert verifies(each, public_key(7))
        assert wire.decode(EcuVersionReport, each.raw) == each


def test_custom_data_of_the_installed_image_survives_in_json_only() -> None:
    value = report_with_custom()
    raw = sign(POUF1_JSON, value)
    fileinfo = json.loads(raw)["signed"]["installed_image"]["fileinfo"]
    assert fileinfo["custom"] == {"ecu_serial": "TCUdemocar"}
    assert POUF1_JSON.decode(EcuVersionReport, raw).payload.extensions.as_dict().keys() == {FILEINFO_CUSTOM}
    with pytest.raises(FormatError, match="fileinfo"):
        POUF1.encode(value)


def test_a_struct_laid_out_as_a_text_is_read_with_its_members_in_any_order() -> None:
    for payload in payloads(POUF1_JSON).values():
        value = json.loads(sign(POUF1_JSON, payload))
        turned = reversed_members(value)
        envelope = decode(POUF1_JSON, payload, archived_text(turned))
        assert verifies(envelope, public_key(1))
        assert POUF1_JSON.encode(envelope.payload).message == envelope.message


def reversed_members(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: reversed_members(member) for name, member in reversed(value.items())}
    return [reversed_members(member) for member in value] if isinstance(value, list) else value


@pytest.mark.parametrize("wire", FORMATS, ids=sample_name)
def test_keys_and_maps_come_back(wire: Format) -> None:
    key = public_key(9)
    assert wire.decode_key(wire.encode_key(key)) == key
    repositories = tuple(
        MappedRepository(name=RepositoryName(kind.name.lower()), kind=kind, urls=("http://a",))
        for kind in RepositoryKind
    )
    mapping = Mapping(
        paths=(PathPattern("*"),), repositories=tuple(each.name for each in repositories), terminating=True
    )
    value = RepositoryMap(repositories=repositories, mappings=(mapping,))
    assert wire.decode_map(wire.encode_map(value)) == value


@pytest.mark.parametrize("wire", FORMATS, ids=sample_name)
def test_keys_of_other_kinds_are_not_written(wire: Format) -> None:
    with pytest.raises(FormatError, match="identifiers of another format"):
        wire.encode_key(PublicKey.of(private_key(1).public_key()))


@settings(deadline=None, max_examples=150)
@given(pouf1_strategies.payloads(POUF1))
def test_any_value_comes_back_from_der(payload: Payload) -> None:
    comes_back(POUF1, payload)


@settings(deadline=None, max_examples=150)
@given(pouf1_strategies.payloads(POUF1_JSON))
def test_any_value_comes_back_from_json(payload: Payload) -> None:
    comes_back(POUF1_JSON, payload)


def comes_back(wire: Format, payload: Payload) -> None:
    raw = sign(wire, payload)
    envelope = decode(wire, payload, raw)
    assert envelope.payload == payload
    assert verifies(envelope, public_key(1))
    assert wire.assemble(wire.encode(envelope.payload), envelope.signatures) == raw


@pytest.mark.parametrize(("wire", "name"), SAMPLES, ids=sample_name)
def test_one_changed_byte_is_refused_or_is_another_value_with_its_own_encoding(wire: Format, name: str) -> None:
    payload = payloads(wire)[name]
    raw = sign(wire, payload)
    chance = random.Random(f"{wire.name} {name}")
    refused = 0
    for _ in range(MUTATIONS):
        place = chance.randrange(len(raw))
        mutated = raw[:place] + bytes([(raw[place] + chance.randrange(1, 256)) % 256]) + raw[place + 1 :]
        try:
            envelope = decode(wire, payload, mutated)
        except FormatError:
            refused += 1
            continue
        assert not verifies(envelope, public_key(1))
        written = written_again(wire, envelope)
        assert written in (None, mutated) or (wire is POUF1_JSON and json.loads(written) == json.loads(mutated))
    assert refused > 0


def written_again(wire: Format, envelope: Any) -> bytes | None:
    """None where the value is beyond what the archived encoder writes, though it reads it."""
    try:
        return wire.assemble(wire.encode(envelope.payload), envelope.signatures)
    except FormatError as error:
        assert "cannot carry" in str(error)
        return None


@settings(deadline=None, max_examples=200)
@given(st.binary(max_size=200))
def test_arbitrary_bytes_are_refused(raw: bytes) -> None:
    assert recognised(raw) is None or raw[:1] in b"\x30{"
    for wire in FORMATS:
        for kind in (Root, EcuVersionReport):
            with pytest.raises(FormatError):
                wire.decode(kind, raw)
        with pytest.raises(FormatError):
            wire.decode_key(raw)
        with pytest.raises(FormatError):
            wire.decode_map(raw)


@pytest.mark.parametrize("opening", [b"[", b'{"signed":', b"\x30\x80"])
def test_deep_nesting_is_refused(opening: bytes) -> None:
    for wire in FORMATS:
        with pytest.raises(FormatError):
            wire.decode(Root, opening * 100_000)
    assert recognised(opening * 100_000) is None
