"""JSON that means two things, or too much, is refused; whatever comes in, nothing but a FormatError comes out."""

import json
from collections.abc import Callable
from typing import Any

import json_samples
import pytest
from json_refusals import KINDS, PAYLOADS, refused, signed_with, text_of

from uptane.formats.canonical_json import decode_strict
from uptane.formats.json_format import JSON
from uptane.metadata.envelope import MAX_SIGNATURES
from uptane.metadata.errors import FormatError
from uptane.metadata.timestamp import Timestamp


@pytest.mark.standard("STD-5.2.1-3")
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "change",
    [
        lambda text: "",
        lambda text: "\ufeff" + text,
        lambda text: text + "x",
        lambda text: text + text,
        lambda text: text + "\0",
        lambda text: text[:-1],
        lambda text: text[1:],
        lambda text: text.replace('"version"', '"version":1,"version"', 1).replace(
            '"counter"', '"counter":1,"counter"'
        ),
        lambda text: '{"signatures":[],' + text[1:],
        lambda text: text[:-1] + ',"signed":{}}',
        lambda text: "[" + text + "]",
        lambda text: "null",
        lambda text: json.dumps({"signed": json.loads(text)["signed"]}),
        lambda text: json.dumps({"signatures": []}),
        lambda text: json.dumps(json.loads(text) | {"signatures": {}}),
        lambda text: json.dumps(json.loads(text) | {"signed": []}),
        lambda text: json.dumps(json.loads(text) | {"signed": {}}),
        lambda text: json.dumps(json.loads(text) | {"signatures": [1]}),
        lambda text: json.dumps(json.loads(text) | {"signatures": [{}]}),
    ],
)
def test_what_is_not_exactly_one_signed_object_is_refused(kind: str, change: Callable[[str], str]) -> None:
    text = text_of(kind)
    if change(text) == text:
        text = text.replace('"time"', '"time":"2026-01-01T00:00:00Z","time"')
        refused(kind, text.encode())
    else:
        refused(kind, change(text).encode())


@pytest.mark.standard("STD-5.2.1")
@pytest.mark.parametrize("place", ['{"version":1,"version":2}', '[{"a":[{"b":1,"b":1}]}]', '{"a":{"\\u0062":1,"b":1}}'])
def test_a_doubled_key_is_refused_at_any_depth(place: str) -> None:
    """One parser takes the first value and another the last: they would trust different things."""
    with pytest.raises(FormatError, match="one key twice"):
        decode_strict(place.encode())


def test_a_doubled_key_in_custom_data_is_refused() -> None:
    text = text_of("Targets").replace('"release_counter":0', '"release_counter":9,"release_counter":0', 1)
    assert "one key twice" in refused("Targets", text.encode()).what


@pytest.mark.parametrize(
    "text",
    [
        "NaN",
        "Infinity",
        "-Infinity",
        "1e5",
        "1E400",
        "01",
        "+1",
        "0x10",
        "1_000",
        "'a'",
        "{a:1}",
        "[1,]",
        '{"a":1,}',
        "/**/1",
        '"\\x41"',
        '"\\ud800"',
        '"\\udc00\\ud800"',
        '"a\nb"',
        "tru",
        "nul",
        "\u00a01",
        "1" * 5000,
        "-" + "1" * 1_000_000,
        " " + "1" * 21,
    ],
)
def test_what_json_does_not_allow_is_refused(text: str) -> None:
    with pytest.raises(FormatError):
        decode_strict(text.encode())


@pytest.mark.parametrize("raw", [b'"\xff"', b'"\xed\xa0\x80"', b'"\xc0\x80"', "{}".encode("utf-16"), b"\x80"])
def test_what_is_no_utf8_is_refused(raw: bytes) -> None:
    with pytest.raises(FormatError):
        decode_strict(raw)


@pytest.mark.parametrize("number", [1.5, 1.0, -0.0, 1e300, float("nan"), float("inf"), 10**20, 10**4000, -(10**20)])
@pytest.mark.parametrize("kind", KINDS)
def test_numbers_that_two_readers_may_read_differently_are_refused_in_unknown_members_too(
    kind: str, number: float
) -> None:
    compact = json.dumps(json.loads(signed_with(kind, new={"deep": [number]})), separators=(",", ":"), sort_keys=True)
    for raw in (signed_with(kind, new={"deep": [number]}), compact.encode()):
        refused(kind, raw)


@pytest.mark.standard("STD-5.2.1-7")
@pytest.mark.parametrize("version", [0, -1, 2**31, 1.0, "1", None, True, [1], 10**18])
def test_a_version_out_of_range_is_refused(version: Any) -> None:
    for kind in ("Root", "Timestamp", "Snapshot", "Targets"):
        refused(kind, signed_with(kind, version=version))


def test_a_version_of_a_million_digits_is_refused_before_it_is_a_number() -> None:
    """Reading it would take quadratic time."""
    text = text_of("Timestamp")
    version = json.loads(text)["signed"]["version"]
    for digits in ("9" * 1_000_000, "-" + "9" * 1_000_000, "1" + "0" * 999_999):
        refused("Timestamp", text.replace(f'"version":{version}}}', f'"version":{digits}}}').encode())


@pytest.mark.parametrize("depth", [100, 900, 5_000, 100_000])
@pytest.mark.parametrize("opening", ["[", '{"a":'])
def test_deep_nesting_ends_in_a_format_error_or_in_a_value(depth: int, opening: str) -> None:
    closing = "]" if opening == "[" else "}"
    nested = opening * depth + "1" + closing * depth
    for kind in KINDS:
        text = text_of(kind)
        for raw in (nested, text[:-2] + f',"new":{nested}}}}}', text[:-1] + f',"new":{nested}}}'):
            try:
                json_samples.decode(PAYLOADS[kind], raw.encode())
            except FormatError:
                continue
            assert depth < 1000


@pytest.mark.standard("STD-5.2.1-6")
@pytest.mark.parametrize("time", ["2026-1-01T00:00:00Z", "2026-01-01T00:00:00", "2026-01-01T00:00:00+00:00"])
def test_a_time_is_in_utc_and_whole_seconds(time: str) -> None:
    refused("Root", signed_with("Root", expires=time))


@pytest.mark.standard("STD-5.2.1-6")
@pytest.mark.parametrize(
    "time",
    [
        "",
        "2026-02-30T00:00:00Z",
        "2026-01-01T24:00:00Z",
        "2026-01-01T00:00:60Z",
        "2026-01-01T00:00:00.5Z",
        "\u0662026-01-01T00:00:00Z",
        "2026-01-01t00:00:00z",
        "99999-01-01T00:00:00Z",
        " 2026-01-01T00:00:00Z",
        5,
        None,
    ],
)
def test_a_time_that_is_none_is_refused(time: object) -> None:
    refused("Targets", signed_with("Targets", expires=time))


def many(count: int, **members: str) -> list[dict[str, str]]:
    return [{"keyid": f"{number:064x}", "sig": ""} | members for number in range(count)]


@pytest.mark.parametrize("count", [MAX_SIGNATURES + 1, 100_000])
def test_a_file_full_of_signatures_is_refused_before_one_is_looked_at(count: int) -> None:
    """CVE-2020-6173: the entries are not even well formed, and nobody notices."""
    value = json.loads(text_of("Timestamp")) | {"signatures": [0] * count}
    error = refused("Timestamp", json.dumps(value).encode())
    assert error.facts["field"] == "signatures" and error.what.startswith(str(count))
    value["signatures"] = many(MAX_SIGNATURES)
    assert len(JSON.decode(Timestamp, json.dumps(value).encode()).signatures) == MAX_SIGNATURES


def test_an_empty_or_malformed_signature_does_not_spoil_a_role_file() -> None:
    """Repositories write such ones; they do not count."""
    value = json.loads(text_of("Timestamp"))
    value["signatures"] = [{"keyid": "0" * 64, "sig": "", "new": 1}, {"keyid": "1" * 64, "sig": "zz"}]
    decoded = JSON.decode(Timestamp, json.dumps(value).encode())
    assert [signature.value for signature in decoded.signatures] == [b"", b""]


@pytest.mark.standard("STD-5.2.1-4")
@pytest.mark.parametrize("sig", [5, None, "00" * 3000])
def test_a_signature_that_is_no_text_or_too_long_is_refused(sig: object) -> None:
    value = json.loads(text_of("Timestamp")) | {"signatures": [{"keyid": "0" * 64, "sig": sig}]}
    refused("Timestamp", json.dumps(value).encode())


@pytest.mark.standard("STD-5.4.2.1.2-1", "STD-5.4.2.1.2-2", "STD-5.4.2.1.2-3", "STD-5.4.2.1.2-4", "STD-5.4.2.1.2-5")
@pytest.mark.standard("STD-5.4.2.1.1-2", "STD-5.4.2.1.1-1", "STD-5.4.2.1.1-3", "STD-5.4.2.1.1-4", "STD-5.4.2.1.1-5")
@pytest.mark.parametrize("member", ["method", "hash_function", "hash", "sig", "keyid"])
def test_a_reports_signature_is_complete(member: str) -> None:
    for kind in ("EcuVersionReport", "VehicleVersionManifest"):
        value = json.loads(text_of(kind))
        removed = json.loads(text_of(kind))
        del removed["signatures"][0][member]
        refused(kind, json.dumps(removed).encode())
        value["signatures"][0][member] = "ZZ"
        if member not in ("method", "hash_function"):
            refused(kind, json.dumps(value).encode())


def test_two_signatures_in_the_name_of_one_key_are_refused() -> None:
    value = json.loads(text_of("Timestamp"))
    value["signatures"] = many(1) * 2
    refused("Timestamp", json.dumps(value).encode())


TEXTS = ["e\u0301", "a\nb", "a\0b", "\u202ea", "", "../a", "/a", "x" * 300, "%2e%2e%2fa"]


def renamed(value: Any, old: str, new: str) -> Any:
    """Every text `old`, as a member's name or value, is `new`."""
    if isinstance(value, dict):
        return {renamed(name, old, new): renamed(member, old, new) for name, member in value.items()}
    if isinstance(value, list):
        return [renamed(member, old, new) for member in value]
    return new if value == old else value


@pytest.mark.standard("STD-5.2-2")
@pytest.mark.parametrize("text", TEXTS)
@pytest.mark.parametrize(
    ("kind", "name"),
    [
        ("Root", "democar"),
        ("Snapshot", "acme.json"),
        ("Targets", "bcu.img"),
        ("Targets", "tcu/firmware.enc"),
        ("Targets", "TCU"),
        ("Targets", "tcu-1"),
        ("Targets", "safety"),
        ("Targets", "brake-group"),
        ("Targets", "tcu/*"),
        ("Targets", "aes-256-gcm"),
        ("Targets", "https://example.com/tcu"),
        ("EcuVersionReport", "TCU"),
        ("EcuVersionReport", "tcu/firmware.img"),
        ("VehicleVersionManifest", "BCU"),
    ],
)
def test_hostile_names_are_refused_wherever_they_stand(kind: str, name: str, text: str) -> None:
    """CVE-2021-41131: a role's name with `../` wrote outside the folder."""
    suffix = ".json" if name.endswith(".json") else ""
    value = json.loads(text_of(kind))
    changed = renamed(value, name, text + suffix)
    assert changed != value
    free_text = name.startswith(("https", "aes"))
    if (free_text and text in ("../a", "/a", "%2e%2e%2fa")) or (name.startswith("https") and len(text) == 300):
        json_samples.decode(PAYLOADS[kind], json.dumps(changed).encode())
    else:
        refused(kind, json.dumps(changed).encode())
