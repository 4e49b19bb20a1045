"""What each profile relaxes, and that the standard ones refuse what the archived ones accept."""

from dataclasses import fields

import pytest
from der_bytes import number, tlv
from msgspec import structs
from pouf1_samples import ATTACKS, FORMATS, payloads, private_key, public_key, report, sample_name, sign

from uptane.formats.der_format import DER
from uptane.formats.json_format import JSON
from uptane.formats.pouf1.der import POUF1
from uptane.formats.pouf1.json import POUF1_JSON
from uptane.formats.profile import Format, Profile
from uptane.formats.profiles import PROFILES, profile_of, recognised
from uptane.metadata.errors import FormatError
from uptane.metadata.keys import KeyIdRule, PublicKey
from uptane.metadata.version_report import EcuVersionReport

RELAXATIONS = tuple(field.name for field in fields(Profile) if field.name.startswith("unsafe_"))
UNSAFE = tuple(name for name in RELAXATIONS if not name.startswith("unsafe_tuf_"))


def test_the_standard_formats_relax_nothing_and_the_archived_ones_everything() -> None:
    relaxed = {name: profile.relaxations for name, profile in PROFILES.items()}
    assert relaxed == {"der": (), "json": (), "pouf1": UNSAFE, "pouf1-json": UNSAFE}


def test_the_relaxations_are_these() -> None:
    assert UNSAFE == (
        "unsafe_plain_names",
        "unsafe_root_through_snapshot",
        "unsafe_versions_only",
        "unsafe_no_vehicle_id",
        "unsafe_no_report_counter",
        "unsafe_no_hash_in_signatures",
        "unsafe_incomplete_manifests",
        "unsafe_several_reports",
        "unsafe_last_image_counts",
        "unsafe_unknown_ecus",
        "unsafe_shared_keys",
        "unsafe_unverified_reports",
        "unsafe_newlines_in_attacks",
        "unsafe_root_only_provisioning",
        "unsafe_partial_without_root",
        "unsafe_any_address_as_host",
    )


def test_what_travels_as_a_struct() -> None:
    calls = {name: (profile.structs_in_calls, profile.key_structs_in_calls) for name, profile in PROFILES.items()}
    assert calls == {
        "der": (False, False),
        "json": (False, False),
        "pouf1": (False, True),
        "pouf1-json": (True, True),
    }


def test_each_profile_has_the_name_of_its_format() -> None:
    assert {name: profile_of(name).name for name in PROFILES} == {name: name for name in PROFILES}
    assert {name: profile.format.extension for name, profile in PROFILES.items()} == {
        "der": "der",
        "json": "json",
        "pouf1": "der",
        "pouf1-json": "json",
    }
    assert {name: profile.format.key_id_rule for name, profile in PROFILES.items()} == {
        "der": KeyIdRule.TUF,
        "json": KeyIdRule.TUF,
        "pouf1": KeyIdRule.POUF1,
        "pouf1-json": KeyIdRule.POUF1,
    }


@pytest.mark.parametrize("wire", FORMATS, ids=sample_name)
def test_lines_in_attacks_are_accepted_in_the_archived_formats(wire: Format) -> None:
    raw = sign(wire, report(attacks=ATTACKS))
    assert wire.decode(EcuVersionReport, raw).payload.attacks_detected == ATTACKS


@pytest.mark.standard("STD-5.2-2")
@pytest.mark.parametrize("wire", [DER, JSON], ids=sample_name)
def test_lines_in_attacks_are_refused_in_the_standard_formats(wire: Format) -> None:
    one_line = structs.replace(report(attacks="one+line"), counter=1, nonce=1)
    with pytest.raises(FormatError, match="a line ends"):
        wire.encode(structs.replace(one_line, attacks_detected="one\nline"))
    raw = wire.assemble(wire.encode(one_line), ())
    assert wire.decode(EcuVersionReport, raw).payload == one_line
    broken = raw.replace(b"one+line", b"one\nline" if wire is DER else b"one\\nline")
    with pytest.raises(FormatError, match="a line ends"):
        wire.decode(EcuVersionReport, broken)


@pytest.mark.standard("STD-5.4.2.1.2-10")
@pytest.mark.parametrize("wire", [DER, JSON], ids=sample_name)
def test_reports_without_counter_and_nonce_are_refused_in_the_standard_formats(wire: Format) -> None:
    with pytest.raises(FormatError, match="lacks its counter or its nonce"):
        wire.encode(report())


def test_each_file_is_recognised_as_what_it_is_written_in() -> None:
    signed = structs.replace(report(), counter=1, nonce=1)
    for wire in (DER, JSON):
        profile = recognised(wire.assemble(wire.encode(signed), ()))
        assert profile is PROFILES[wire.name]
        assert recognised(wire.encode_key(PublicKey.of(private_key(1).public_key()))) is profile
    for wire in FORMATS:
        for payload in payloads(wire).values():
            assert recognised(sign(wire, payload)) is PROFILES[wire.name]
        assert recognised(wire.encode_key(public_key(1))) is PROFILES["pouf1-json"]


ALMOST: dict[str, tuple[bytes, str | None]] = {
    "nothing": (b"", None),
    "a word": (b"hello", None),
    "a list": (b"[]", None),
    "half a text": (b'{"signed":', None),
    "half an object": (b"\x30\x05\x02\x01\x01", None),
    "an empty SEQUENCE": (tlv(0x30), None),
    "a SEQUENCE of something else": (tlv(0x30, tlv(0x04, b"a")), None),
    "a SEQUENCE with a number": (tlv(0x30, number(1), tlv(0xA0)), "der"),
    "an empty object": (b"{}", "json"),
    "an object of another type": (b'{"signed":{"_type":"mirrors"},"signatures":[]}', "json"),
    "a type that is a list": (b'{"signed":{"_type":[]},"signatures":{}}', "json"),
    "what is signed is a list": (b'{"signed":[],"signatures":[1]}', "json"),
    "a method without a hash": (b'{"signed":{"_type":"x"},"signatures":[{"method":"ed25519"}]}', "pouf1-json"),
    "a method with a hash": (b'{"signed":{"_type":"x"},"signatures":[{"method":"ed25519","hash":""}]}', "json"),
    "a capital": (b' {"signed":{"_type":"Root"}}', "pouf1-json"),
}


@pytest.mark.parametrize("what", ALMOST)
def test_a_guess_needs_little_and_never_fails(what: str) -> None:
    raw, expected = ALMOST[what]
    profile = recognised(raw)
    assert (profile and profile.name) == expected


def test_a_file_of_one_format_is_not_read_in_another() -> None:
    wires: tuple[Format, ...] = (DER, JSON, POUF1, POUF1_JSON)
    for wire in wires:
        payload = report() if wire in FORMATS else structs.replace(report(), counter=1, nonce=1)
        raw = wire.assemble(wire.encode(payload), ())
        for other in wires:
            if other is not wire:
                with pytest.raises(FormatError):
                    other.decode(EcuVersionReport, raw)
