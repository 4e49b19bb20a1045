"""Members of JSON objects that are missing, of another type or out of their range, and bytes that are damaged."""

import json
import random
from collections.abc import Callable
from typing import Any

import der_samples
import json_samples
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from json_refusals import KINDS, PAYLOADS, refused, signed_with, text_of

from uptane.formats.json_format import JSON
from uptane.formats.profile import Payload
from uptane.metadata.errors import FormatError
from uptane.metadata.root import Root
from uptane.metadata.snapshot import Snapshot
from uptane.metadata.targets import Targets
from uptane.metadata.vehicle_manifest import VehicleVersionManifest


def edited(kind: str, edit: Callable[[dict[str, Any]], object]) -> bytes:
    value = json.loads(text_of(kind))
    edit(value["signed"])
    return json.dumps(value).encode()


BAD_EDITS: list[tuple[str, Callable[[dict[str, Any]], object]]] = [
    ("Root", lambda s: s["roles"].pop("timestamp")),
    ("Root", lambda s: s["roles"]["root"].update(threshold=0)),
    ("Root", lambda s: s["roles"]["root"].update(threshold=-1)),
    ("Root", lambda s: s["roles"]["root"].update(threshold=1.5)),
    ("Root", lambda s: s["roles"]["root"].update(threshold="1")),
    ("Root", lambda s: s["roles"]["root"].update(threshold=None)),
    ("Root", lambda s: s["roles"]["root"].update(threshold=True)),
    ("Root", lambda s: s["roles"]["root"].update(threshold=99)),
    ("Root", lambda s: s["roles"]["root"].update(keyids=[])),
    ("Root", lambda s: s["roles"]["root"].update(keyids=s["roles"]["root"]["keyids"] * 2)),
    ("Root", lambda s: s["roles"]["root"].update(keyids=["0" * 64])),
    ("Root", lambda s: s["roles"]["root"].update(keyids="0" * 64)),
    ("Root", lambda s: s["roles"]["root"].update(keyids=[1])),
    ("Root", lambda s: s["keys"].update({"0" * 64: next(iter(s["keys"].values()))})),
    ("Root", lambda s: next(iter(s["keys"].values())).update(scheme="none")),
    ("Root", lambda s: next(iter(s["keys"].values())).update(keyval={"public": ""})),
    ("Root", lambda s: s.update(keys={str(n): {} for n in range(1025)})),
    ("Root", lambda s: s.update(keys=[])),
    ("Root", lambda s: s.update(_type="targets")),
    ("Root", lambda s: s.update(spec_version="2.0.0")),
    ("Root", lambda s: s.update(spec_version=1)),
    ("Root", lambda s: s.update(consistent_snapshot="yes")),
    ("Root", lambda s: s.update(vin=None)),
    ("Snapshot", lambda s: s["meta"].pop("targets.json")),
    ("Snapshot", lambda s: s["meta"].update({"targets.der": {"version": 1}})),
    ("Snapshot", lambda s: s["meta"].update({"x.json": {"version": 0}})),
    ("Snapshot", lambda s: s["meta"].update({"x.json": {}})),
    ("Snapshot", lambda s: s["meta"].update({"x.json": {"version": 1, "length": -1}})),
    ("Snapshot", lambda s: s["meta"].update({"x.json": {"version": 1, "hashes": {}}})),
    ("Snapshot", lambda s: s["meta"].update({"x.json": {"version": 1, "hashes": {"md5": "00"}}})),
    ("Snapshot", lambda s: s["meta"].update({"x.json": {"version": 1, "hashes": {"sha256": 5}}})),
    ("Snapshot", lambda s: s["meta"].update({"x.json": {"version": 1, "hashes": {"sha256": "AA" * 32}}})),
    ("Snapshot", lambda s: s["meta"].update({"x.json": {"version": 1, "hashes": {"sha256": "zz" * 32}}})),
    ("Timestamp", lambda s: s["meta"].update({"targets.json": {"version": 1}})),
    ("Timestamp", lambda s: s.update(meta={})),
    ("Targets", lambda s: s["targets"]["a.img"].pop("length")),
    ("Targets", lambda s: s["targets"]["a.img"].pop("hashes")),
    ("Targets", lambda s: s["targets"]["a.img"].update(length=2**53)),
    ("Targets", lambda s: s["targets"]["a.img"].update(custom=None)),
    ("Targets", lambda s: s["targets"]["a.img"].update(custom={"ecus": ["TCU"]})),
    ("Targets", lambda s: s["targets"]["a.img"].update(custom={"must_match": {"release_counter": -1}})),
    ("Targets", lambda s: s["targets"]["a.img"].update(custom={"must_match": {"hardware_ids": []}})),
    ("Targets", lambda s: s["targets"]["a.img"].update(custom={"url": 5})),
    ("Targets", lambda s: _encrypted(s).pop("method")),
    ("Targets", lambda s: _encrypted(s).update(nonce="z")),
    ("Targets", lambda s: _encrypted(s).update(filename="../x")),
    ("Targets", lambda s: _encrypted(s)["wrapped_key"].update(new=1)),
    ("Targets", lambda s: s.update(delegations=None)),
    ("Targets", lambda s: s["delegations"].pop("keys")),
    ("Targets", lambda s: s["delegations"].update(keys={})),
    ("Targets", lambda s: s["delegations"].update(roles={})),
    ("Targets", lambda s: s["delegations"].update(roles=[{}])),
    ("Targets", lambda s: s["delegations"].update(roles=s["delegations"]["roles"] * 2)),
    ("Targets", lambda s: s["delegations"].update(roles=s["delegations"]["roles"][:1] * 4097)),
    ("Targets", lambda s: s["delegations"]["roles"][0].update(threshold=0)),
    ("Targets", lambda s: s["delegations"]["roles"][0].update(name="targets")),
    ("Targets", lambda s: s["delegations"]["roles"][0].update(name="2.root")),
    ("Targets", lambda s: s["delegations"]["roles"][0].update(path_hash_prefixes=["ab"])),
    ("Targets", lambda s: s["delegations"]["roles"][0].pop("paths")),
    ("Targets", lambda s: s["delegations"]["roles"][0].update(terminating="yes")),
    ("Targets", lambda s: s["delegations"]["roles"][0].update(paths=["/a"])),
    ("Targets", lambda s: s["delegations"]["roles"][0].update(group="alone", min_roles_in_agreement=1)),
    ("Targets", lambda s: s["delegations"]["roles"][0].update(group="alone")),
    ("Targets", lambda s: s["delegations"]["roles"][1].update(terminating=True)),
    ("Targets", lambda s: s["delegations"]["roles"][1].update(paths=["other"])),
    ("Targets", lambda s: s["delegations"]["roles"][1].update(new=1)),
    ("Targets", lambda s: [r.update(min_roles_in_agreement=4) for r in s["delegations"]["roles"][1:4]]),
    ("Targets", lambda s: s["delegations"]["roles"][4].update(path_hash_prefixes=[])),
    ("Targets", lambda s: s["delegations"]["roles"][4].update(path_hash_prefixes=["XY"])),
    ("TimeAttestation", lambda s: s.update(nonces=[2**31])),
    ("TimeAttestation", lambda s: s.update(nonces=[[]])),
    ("TimeAttestation", lambda s: s.update(nonces=[0] * 1025)),
    ("EcuVersionReport", lambda s: s.update(counter=0)),
    ("EcuVersionReport", lambda s: s.update(counter=2**63)),
    ("EcuVersionReport", lambda s: s.update(installed_image={"filepath": "a"})),
    ("VehicleVersionManifest", lambda s: s["ecu_version_manifests"].update(X=s["ecu_version_manifests"]["TCU"])),
    ("VehicleVersionManifest", lambda s: s["ecu_version_manifests"].update(TCU={})),
    ("VehicleVersionManifest", lambda s: s.update(ecu_version_manifests=[])),
]


def _encrypted(signed: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = signed["targets"]["tcu/firmware.img"]["custom"]["ecus"]["TCU"]["encrypted_image"]
    return found


@pytest.mark.standard("STD-5.2.1-1", "STD-5.2.1-2", "STD-5.2.1-5", "STD-5.2.2-1", "STD-5.2.2-3", "STD-5.2.3.1-4")
@pytest.mark.standard("STD-5.2.3.1-5", "STD-5.2.3.2-4", "STD-5.2.3.2-8", "STD-5.2.3.2-9", "STD-5.2.3.2-11")
@pytest.mark.standard("STD-5.2.4-1", "STD-5.2.5-1")
@pytest.mark.parametrize(("kind", "edit"), BAD_EDITS, ids=[f"{kind}-{n}" for n, (kind, _) in enumerate(BAD_EDITS)])
def test_a_member_out_of_its_range_is_refused(kind: str, edit: Callable[[dict[str, Any]], object]) -> None:
    refused(kind, edited(kind, edit))


@pytest.mark.standard("STD-5.2.1-5", "STD-5.2.1-6", "STD-5.2.1-7", "STD-5.2.1-9", "STD-5.2.1-10", "STD-5.2.2-1")
@pytest.mark.standard("STD-5.2.4-1", "STD-5.2.5-1", "STD-5.4.2.1.1-6", "STD-5.4.2.1.1-7", "STD-5.4.2.1.1-8")
@pytest.mark.standard("STD-5.4.2.1.2-6", "STD-5.4.2.1.2-7", "STD-5.4.2.1.2-8", "STD-5.4.2.1.2-9", "STD-5.4.2.1.2-10")
@pytest.mark.parametrize("kind", KINDS)
def test_every_member_is_needed_or_optional_and_of_one_type(kind: str) -> None:
    """CVE-2026-23991: JSON of the wrong shape made a client fall over."""
    optional = (
        set() if kind == "VehicleVersionManifest" else {"vin", "spec_version", "delegations", "consistent_snapshot"}
    )
    known = set(json.loads(text_of(kind))["signed"]) - {name for name, _ in der_samples.EXTENSIONS}
    for name in known:
        for wrong in (None, [], {}, "x", 5, True):
            try:
                json_samples.decode(PAYLOADS[kind], signed_with(kind, **{name: wrong}))
            except FormatError:
                continue
            assert (name, wrong) in EMPTY_IS_FINE or name in optional, (name, wrong)
        without = edited(kind, lambda signed, name=name: signed.pop(name))
        if name in optional:
            json_samples.decode(PAYLOADS[kind], without)
        else:
            refused(kind, without)


EMPTY_IS_FINE: list[tuple[str, object]] = [
    ("targets", {}),
    ("nonces", []),
    ("ecu_version_manifests", {}),
    ("vin", "x"),
    ("attacks_detected", "x"),
    ("ecu_serial", "x"),
    ("primary_ecu_serial", "x"),
    ("counter", 5),
    ("nonce", 5),
    ("version", 5),
]


@pytest.mark.standard("STD-5.2.4-2")
def test_an_entry_for_root_in_a_snapshot_has_no_effect() -> None:
    raw = edited("Snapshot", lambda signed: signed["meta"].update({"root.json": {"version": 0, "junk": []}}))
    decoded = JSON.decode(Snapshot, raw)
    assert decoded.payload == PAYLOADS["Snapshot"]
    assert b"root.json" in decoded.message


def test_roles_that_nobody_knows_do_not_spoil_a_root() -> None:
    raw = edited("Root", lambda signed: signed["roles"].update({"mirrors": {"keyids": [], "threshold": 0}}))
    assert JSON.decode(Root, raw).payload.roles.keys() == PAYLOADS["Root"].roles.keys()  # type: ignore[union-attr]


@pytest.mark.standard("STD-5.4.4.6-7")
def test_an_empty_delegations_object_is_read_as_none() -> None:
    for empty in ({"keys": {}, "roles": []}, {"keys": {}}):
        assert not JSON.decode(Targets, signed_with("Targets", delegations=empty)).payload.delegations


def test_a_key_or_map_that_is_none_is_refused() -> None:
    key = json.loads(JSON.encode_key(der_samples.ed25519_key(1)))
    for bad in ({}, [], key | {"keyval": {}}, key | {"keytype": 5}, {"keyval": key["keyval"]}):
        with pytest.raises(FormatError):
            JSON.decode_key(json.dumps(bad).encode())
    assert (
        JSON.decode_key(json.dumps(key | {"keyid_hash_algorithms": ["sha256"]}).encode()).text
        == "8a88e3dd" + (JSON.decode_key(json.dumps(key).encode()).text[8:])
    )
    plan = json.loads(JSON.encode_map(json_samples.for_json(der_samples.repository_map())))
    for name, bad in (
        ("repositories", []),
        ("repositories", {"../x": plan["repositories"]["director"]}),
        ("repositories", {"director": {"kind": "other", "urls": ["x"]}}),
        ("repositories", {"director": {"kind": "director", "urls": []}}),
        ("repositories", {"director": {"kind": [], "urls": ["x"]}}),
        ("mapping", {}),
        ("mapping", []),
        ("mapping", [{}]),
        ("mapping", [{"paths": ["*"], "repositories": ["nobody"], "terminating": True}]),
        ("mapping", [{"paths": ["*"], "repositories": ["director"], "terminating": 1}]),
    ):
        with pytest.raises(FormatError):
            JSON.decode_map(json.dumps(plan | {name: bad}).encode())


@pytest.mark.parametrize("kind", KINDS)
def test_one_changed_byte_is_refused_or_is_a_value_that_can_be_written_again(kind: str) -> None:
    payload = PAYLOADS[kind]
    raw = json_samples.signed(payload)
    chance = random.Random(kind)
    outcomes = set()
    for _ in range(400):
        place = chance.randrange(len(raw))
        changed = raw[:place] + bytes([chance.randrange(256)]) + raw[place + 1 :]
        outcomes.add(outcome(payload, changed))
    assert outcomes == {"refused", "read"}


def outcome(payload: Payload, raw: bytes) -> str:
    """Anything else than these two is an error of the test."""
    try:
        envelope = json_samples.decode(payload, raw)
    except FormatError:
        return "refused"
    again = json_samples.decode(payload, JSON.assemble(JSON.encode(envelope.payload), envelope.signatures))
    assert again.payload == envelope.payload
    return "read"


@settings(deadline=None, max_examples=200)
@given(st.sampled_from(KINDS), st.binary(max_size=300), st.integers(0, 5000), st.integers(0, 100))
def test_damaged_files_end_in_a_format_error_or_in_a_value(kind: str, junk: bytes, place: int, cut: int) -> None:
    raw = json_samples.signed(PAYLOADS[kind])
    outcome(PAYLOADS[kind], raw[:place] + junk + raw[place + cut :])
    outcome(PAYLOADS[kind], junk)


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The way to every value within a value."""
    found = [path]
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for name, member in items:
        found += places(member, (*path, name))
    return found


def put(value: Any, path: tuple[Any, ...], new: Any) -> Any:
    if not path:
        return new
    copy = dict(value) if isinstance(value, dict) else list(value)
    copy[path[0]] = put(value[path[0]], path[1:], new)
    return copy


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


@settings(deadline=None, max_examples=300)
@given(st.data(), st.sampled_from(KINDS), VALUES)
def test_any_shape_in_any_place_ends_in_a_format_error_or_in_a_value(data: st.DataObject, kind: str, new: Any) -> None:
    value = json.loads(json_samples.signed(PAYLOADS[kind]))
    path = data.draw(st.sampled_from(places(value)))
    outcome(PAYLOADS[kind], json.dumps(put(value, path, new)).encode())


def test_a_manifest_of_too_many_reports_is_refused() -> None:
    value = json.loads(text_of("VehicleVersionManifest"))
    report = json.loads(text_of("EcuVersionReport"))
    reports = {}
    for number in range(1025):
        signed = report["signed"] | {"ecu_serial": f"e{number}"}
        reports[f"e{number}"] = {"signatures": [], "signed": signed}
    value["signed"]["ecu_version_manifests"] = reports
    with pytest.raises(FormatError) as refusal:
        JSON.decode(VehicleVersionManifest, json.dumps(value).encode())
    assert refusal.value.facts["field"] == "reports"
