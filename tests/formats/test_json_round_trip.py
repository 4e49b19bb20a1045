"""What is written in JSON comes back: every field of every kind, with the exact bytes beside it."""

import json
from collections.abc import Iterator
from typing import Any

import der_samples
import json_samples
import pytest
from der_strategies import PAYLOADS
from hypothesis import given, settings
from hypothesis import strategies as st
from securesystemslib.formats import encode_canonical

from uptane.formats.canonical_json import canonical, compact, decode_strict
from uptane.formats.json_format import JSON
from uptane.formats.profile import Payload
from uptane.formats.profiles import profile_of
from uptane.metadata.errors import FormatError
from uptane.metadata.extensions import Extensions
from uptane.metadata.identifiers import ImagePath
from uptane.metadata.keys import KeyType
from uptane.metadata.targets import Targets
from uptane.metadata.vehicle_manifest import VehicleVersionManifest

KINDS = tuple(json_samples.payloads())
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**19), 10**19) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


@given(VALUES)
def test_the_canonical_form_is_that_of_tuf(value: Any) -> None:
    assert canonical(value) == encode_canonical(value).encode()


@given(VALUES)
def test_what_is_written_is_read_back(value: Any) -> None:
    assert decode_strict(compact(value)) == value
    assert decode_strict(json.dumps(value).encode()) == value
    assert decode_strict(json.dumps(value, indent=1, ensure_ascii=False).encode()) == value


@pytest.mark.parametrize("text", ['"', "\\", "\x00", "\n", "\u2028", "\x7f", "\U0001f600", "/", "\ufeff"])
def test_hardly_any_character_is_escaped(text: str) -> None:
    assert canonical({text: text}) == encode_canonical({text: text}).encode()


@pytest.mark.parametrize("value", [1.0, [0.5], {"a": {"b": [float("nan")]}}, 10**20, [-(10**20)], object(), {1: b"x"}])
def test_what_has_no_canonical_form_is_refused(value: Any) -> None:
    with pytest.raises(FormatError):
        canonical(value)


def test_text_that_is_no_unicode_is_refused() -> None:
    for value in ("\ud800", {"\udfff": 1}, ["\\\ud800"]):
        with pytest.raises(FormatError):
            canonical(value)


@pytest.mark.parametrize("kind", KINDS)
def test_a_signed_object_comes_back_with_its_exact_bytes(kind: str) -> None:
    payload = json_samples.payloads()[kind]
    unsigned = JSON.encode(payload)
    raw = JSON.assemble(unsigned, der_samples.signatures(payload))
    envelope = json_samples.decode(payload, raw)
    assert envelope.payload == payload
    assert envelope.signatures == der_samples.signatures(payload)
    assert envelope.raw == raw
    assert envelope.message == unsigned.message == encode_canonical(json.loads(raw)["signed"]).encode()
    assert unsigned.wire in raw


@pytest.mark.standard("STD-5.2-1", "STD-5.2.1-10")
@settings(deadline=None, max_examples=100)
@given(PAYLOADS.map(json_samples.for_json))
def test_any_value_comes_back_and_has_one_encoding(payload: Payload) -> None:
    unsigned = JSON.encode(payload)
    envelope = json_samples.decode(payload, JSON.assemble(unsigned, ()))
    assert envelope.payload == payload
    assert JSON.encode(envelope.payload) == unsigned


@pytest.mark.parametrize("kind", KINDS)
def test_blanks_escapes_and_the_order_of_members_do_not_change_what_was_signed(kind: str) -> None:
    payload = json_samples.payloads()[kind]
    raw = json_samples.signed(payload)
    value = json.loads(raw)
    for text in (json.dumps(value, indent=2), json.dumps(dict(reversed(value.items()))), f"\n {raw.decode()} \n"):
        envelope = json_samples.decode(payload, text.encode())
        assert envelope.message == JSON.encode(payload).message
        assert envelope.payload == payload
        assert envelope.raw == text.encode()


def test_a_profile_is_chosen_by_its_name() -> None:
    profile = profile_of("json")
    assert (profile.name, profile.metadata_name("root", 2)) == ("json", "2.root.json")
    with pytest.raises(FormatError) as refusal:
        profile_of("xml")
    assert "der, json" in refusal.value.next_step


def test_keys_of_every_kind_come_back() -> None:
    for key in der_samples.all_kinds_of_keys():
        assert JSON.decode_key(JSON.encode_key(key)) == key
    assert {key.key_type for key in der_samples.all_kinds_of_keys()} == set(KeyType)


@pytest.mark.standard("STD-5.2.6-3")
def test_a_repository_map_comes_back() -> None:
    value = json_samples.for_json(der_samples.repository_map())
    decoded = JSON.decode_map(JSON.encode_map(value))
    assert set(decoded.repositories) == set(value.repositories)
    assert (decoded.mappings, decoded.extensions) == (value.mappings, value.extensions)


def test_a_manifest_holds_the_reports_byte_for_byte() -> None:
    manifest = json_samples.payloads()["VehicleVersionManifest"]
    assert isinstance(manifest, VehicleVersionManifest)
    raw = json_samples.signed(manifest)
    decoded = JSON.decode(VehicleVersionManifest, raw).payload
    assert [report.raw for report in decoded.reports] == [report.raw for report in manifest.reports]
    assert all(report.raw in raw for report in manifest.reports)


def bodies(value: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[dict[str, Any], tuple[str, ...]]]:
    """Every object in which the Standard allows additions."""
    keyed_by_name = {"targets", "ecus", "meta", "hashes", "keys", "repositories", "ecu_version_manifests"}
    closed = {"wrapped_key", "keyval", "fileinfo", "installed_image"}
    if isinstance(value, dict):
        last = path[-1] if path else ""
        parent = path[-2] if len(path) > 1 else ""
        is_map = last in keyed_by_name or (last == "roles" and "root" in value)
        is_entry = parent in {"targets", "meta", "keys"} or (parent == "roles" and last != "*")
        if not is_map and not is_entry and last not in closed and "ecu_version_manifests" not in path:
            yield value, path
        for name, member in value.items():
            yield from bodies(member, (*path, name))
    elif isinstance(value, list):
        for member in value:
            yield from bodies(member, (*path, "*"))


@pytest.mark.standard("STD-5.2.3.1.1-1")
@pytest.mark.parametrize("kind", KINDS)
def test_members_that_nobody_knows_survive_a_round_trip(kind: str) -> None:
    payload = json_samples.payloads()[kind]
    value = json.loads(json_samples.signed(payload))
    found = list(bodies(value["signed"]))
    places = [place for _, place in found]
    for body, _ in found:
        body["a new member"] = {"of": ["a", 1, None, True, "later\nversion\0"]}
    if kind == "Targets":
        assert {place[-1] for place in places if place} >= {"delegations", "custom", "must_match", "TCU", "*"}
        for role in value["signed"]["delegations"]["roles"]:
            role["a new member"] = "the same for all members of a group"
    envelope = json_samples.decode(payload, json.dumps(value).encode())
    assert JSON.encode(envelope.payload).message == envelope.message == canonical(value["signed"])


def test_an_addition_cannot_take_the_name_of_a_member_and_must_be_json() -> None:
    """Extensions that came from DER hold any bytes."""
    expires = der_samples.EXPIRES
    for name, raw in (("version", b"1"), ("new", b"not JSON"), ("new", b"[ 1 ]"), ("new", b"1.5"), ("new", b"")):
        with pytest.raises(FormatError):
            JSON.encode(Targets(version=1, expires=expires, extensions=Extensions(((name, raw),))))


def test_images_are_looked_up_by_name_and_counted_without_being_made() -> None:
    payload = json_samples.payloads()["Targets"]
    images = JSON.decode(Targets, json_samples.signed(payload)).payload.images
    assert isinstance(payload, Targets)
    assert len(images) == 3 and set(images) == set(payload.images)
    assert all(type(path) is ImagePath for path in images)
    assert ImagePath("a.img") in images and ImagePath("b.img") not in images
    assert images == payload.images and images != {} and images != 5
    with pytest.raises(KeyError):
        images[ImagePath("b.img")]
    with pytest.raises(TypeError):
        hash(images)
