"""What the format of the plain TUF client lets pass, what it refuses, and that `json` goes on refusing the former."""

import json
from collections.abc import Callable
from dataclasses import fields, replace
from typing import Any

import pytest
from tuf_simulator import TufSimulator

from uptane.formats.json_format import JSON
from uptane.formats.plain_tuf import PLAIN_TUF
from uptane.formats.plain_tuf_values import SuccinctDelegations, UnsafePath, UnsafeRoleKeys
from uptane.formats.profile import PayloadT, Profile
from uptane.formats.profiles import PROFILES
from uptane.metadata.errors import FormatError
from uptane.metadata.root import Root
from uptane.metadata.snapshot import Snapshot
from uptane.metadata.targets import Targets
from uptane.metadata.time_attestation import TimeAttestation
from uptane.metadata.timestamp import Timestamp

KINDS: dict[str, type[Any]] = {"1.root": Root, "timestamp": Timestamp, "2.snapshot": Snapshot, "2.targets": Targets}


@pytest.fixture(scope="module")
def files() -> dict[str, bytes]:
    """A repository with a delegation and a target."""
    repository = TufSimulator(listed=("sha256",))
    repository.delegate("targets", "a", "dir/*")
    repository.add("targets", "x", b"content")
    repository.publish("a", "targets")
    return repository.files


def changed(raw: bytes, change: Callable[[dict[str, Any]], object]) -> bytes:
    """The file with its `signed` object changed, as text that is canonical still."""
    value = json.loads(raw)
    change(value["signed"])
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def read(kind: type[PayloadT], raw: bytes, profile: Profile = PLAIN_TUF) -> PayloadT:
    """The payload."""
    return profile.format.decode(kind, raw).payload


def delegated(signed: dict[str, Any]) -> dict[str, Any]:
    """The one delegated role."""
    role: dict[str, Any] = signed["delegations"]["roles"][0]
    return role


def bins(signed: dict[str, Any], **changes: object) -> None:
    """Succinct bins in the place of the roles."""
    role = signed["delegations"].pop("roles")[0]
    described = {"keyids": role["keyids"], "threshold": 1, "bit_length": 10, "name_prefix": "bin"}
    signed["delegations"]["succinct_roles"] = described | changes


LOOSE: list[tuple[str, str, Callable[[dict[str, Any]], object]]] = [
    ("a role name that is a path", "2.targets", lambda s: delegated(s).update(name="../x")),
    ("a role name like a version", "2.targets", lambda s: delegated(s).update(name="1.x")),
    ("a pattern that is no relative path", "2.targets", lambda s: delegated(s).update(paths=["/../*"])),
    ("a prefix that is no hexadecimal", "2.targets", lambda s: (delegated(s).pop("paths"),
                                                                delegated(s).update(path_hash_prefixes=["XY", ""]))),
    ("a target that is no relative path", "2.targets", lambda s: s["targets"].update({"../x": s["targets"]["x"]})),
    ("a hash of an unknown function", "2.targets", lambda s: s["targets"]["x"].update(hashes={"md9": "00"})),
    ("custom data of another shape", "2.targets", lambda s: s["targets"]["x"].update(custom=[1])),
    ("hardware of another shape", "2.targets", lambda s: delegated(s).update(hardware_ids=7, group=[])),
    ("a key that nobody knows", "2.targets", lambda s: s["delegations"]["keys"].update({"k": {"keytype": "new"}})),
    ("a role without keys", "2.targets", lambda s: delegated(s).update(keyids=[])),
    ("a key that is not listed", "2.targets", lambda s: delegated(s)["keyids"].append("k")),
    ("a threshold above the keys", "1.root", lambda s: s["roles"]["targets"].update(threshold=3)),
    ("a Snapshot without Targets", "2.snapshot", lambda s: s["meta"].pop("targets.json")),
    ("a Snapshot of any names", "2.snapshot", lambda s: s["meta"].update({"../x": {"version": 1}})),
    ("a Timestamp that lists more", "timestamp", lambda s: s["meta"].update({"x.json": {"version": 1}})),
    ("a vehicle of another shape", "timestamp", lambda s: s.update(vin=[7])),
    ("more members than ours may have", "timestamp", lambda s: s.update({f"x{n}": n for n in range(99)})),
]  # fmt: skip


@pytest.mark.parametrize(("name", "change"), [case[1:] for case in LOOSE], ids=[case[0] for case in LOOSE])
def test_plain_tuf_lets_pass_what_json_goes_on_refusing(
    files: dict[str, bytes], name: str, change: Callable[[dict[str, Any]], object]
) -> None:
    kind, raw = KINDS[name], files[f"metadata/{name}.json"]
    assert read(kind, raw).version == read(kind, raw, PROFILES["json"]).version
    raw = changed(raw, change)
    assert read(kind, raw).version
    with pytest.raises(FormatError):
        payload = read(kind, raw, PROFILES["json"])
        list(getattr(payload, "images", {}).items())


STRICT: list[tuple[str, str, Callable[[dict[str, Any]], object]]] = [
    ("another type", "timestamp", lambda s: s.update(_type="snapshot")),
    ("another version of TUF", "timestamp", lambda s: s.update(spec_version="2.0")),
    ("no version", "timestamp", lambda s: s.pop("version")),
    ("version 0", "timestamp", lambda s: s.update(version=0)),
    ("a time that is none", "timestamp", lambda s: s.update(expires="tomorrow")),
    ("no entry of the Snapshot", "timestamp", lambda s: s.update(meta={})),
    ("an entry without version", "2.snapshot", lambda s: s["meta"].update({"x.json": {}})),
    ("a file listed twice", "2.snapshot", lambda s: s["meta"].update(targets={"version": 1})),
    ("a file without a name", "2.snapshot", lambda s: s["meta"].update({".json": {"version": 1}})),
    ("a missing role", "1.root", lambda s: s["roles"].pop("targets")),
    ("a key that is no object", "1.root", lambda s: s["keys"].update(k=7)),
    ("a threshold of 0", "2.targets", lambda s: delegated(s).update(threshold=0)),
    ("a delegated role called targets", "2.targets", lambda s: delegated(s).update(name="targets")),
    ("a delegated role called root", "2.targets", lambda s: delegated(s).update(name="root")),
    ("a delegated role without a name", "2.targets", lambda s: delegated(s).update(name="")),
    ("a role delegated to twice", "2.targets", lambda s: s["delegations"]["roles"].append(delegated(s))),
    ("neither paths nor prefixes", "2.targets", lambda s: delegated(s).pop("paths")),
    ("both paths and prefixes", "2.targets", lambda s: delegated(s).update(path_hash_prefixes=["a"])),
    ("both roles and bins", "2.targets", lambda s: (bins(s), s["delegations"].update(roles=[]))),
    ("no bits", "2.targets", lambda s: bins(s, bit_length=0)),
    ("too many bits", "2.targets", lambda s: bins(s, bit_length=33)),
    ("bits that are no number", "2.targets", lambda s: bins(s, bit_length="8")),
    ("a target that is no object", "2.targets", lambda s: s["targets"].update(x=[])),
    ("a length below 0", "2.targets", lambda s: s["targets"]["x"].update(length=-1)),
    ("a target without hashes", "2.targets", lambda s: s["targets"]["x"].update(hashes={})),
    ("a hash that is no text", "2.targets", lambda s: s["targets"]["x"].update(hashes={"sha256": 7})),
]


@pytest.mark.parametrize(("name", "change"), [case[1:] for case in STRICT], ids=[case[0] for case in STRICT])
def test_plain_tuf_refuses_what_no_client_takes(
    files: dict[str, bytes], name: str, change: Callable[[dict[str, Any]], object]
) -> None:
    with pytest.raises(FormatError):
        read(KINDS[name], changed(files[f"metadata/{name}.json"], change))


@pytest.mark.parametrize("raw", [b"", b"[]", b"{}", b'{"signed":{}}', b'{"signed":[],"signatures":[]}', b"\xff"])
@pytest.mark.parametrize("kind", KINDS.values())
def test_plain_tuf_raises_format_errors_only(kind: type[Any], raw: bytes) -> None:
    with pytest.raises(FormatError):
        read(kind, raw)


def test_deep_nesting_is_a_format_error(files: dict[str, bytes]) -> None:
    raw = files["metadata/timestamp.json"].replace(b'"version":', b'"x":%b,"version":' % (b"[" * 9999 + b"]" * 9999), 1)
    with pytest.raises(FormatError):
        read(Timestamp, raw)


def test_plain_tuf_has_no_other_objects() -> None:
    with pytest.raises(FormatError):
        read(TimeAttestation, b"{}")


def test_an_entry_that_cannot_be_used_is_an_error_when_it_is_looked_up(files: dict[str, bytes]) -> None:
    raw = changed(files["metadata/2.targets.json"], lambda s: s["targets"].update(
        {"bad": {"length": 1, "hashes": {"md9": "00"}}}))  # fmt: skip
    images = read(Targets, raw).images
    assert set(images) == {"bad", "x"} and len(images) == 2
    assert images[UnsafePath("x")].file.length == len(b"content")
    with pytest.raises(FormatError):
        images[UnsafePath("bad")]
    with pytest.raises(FormatError):
        UnsafePath("\udcff")


def test_succinct_bins_are_read_in_the_place_of_roles(files: dict[str, bytes]) -> None:
    delegations = read(Targets, changed(files["metadata/2.targets.json"], bins)).delegations
    assert isinstance(delegations, SuccinctDelegations)
    assert (delegations.bits, delegations.prefix, len(delegations.bin_keys.key_ids)) == (10, "bin", 1)


@pytest.mark.parametrize(("bits", "name"), [(1, "b-1"), (4, "b-f"), (5, "b-1f"), (10, "b-3ff"), (32, "b-ffffffff")])
def test_the_name_of_a_bin_is_its_number(bits: int, name: str) -> None:
    keys = UnsafeRoleKeys(key_ids=(), threshold=1)
    delegations = SuccinctDelegations(bin_keys=keys, bits=bits, prefix="b")
    (bin,) = delegations.toward("f" * 64)
    assert bin.roles[0].name == name
    assert bin.terminating and bin.covers("any", "f" * 64, None)
    (first,) = delegations.toward("0" * 64)
    assert first.roles[0].name == "b-" + "0" * (len(name) - 2)


def test_the_plain_tuf_profile_relaxes_this_and_no_other_profile_does() -> None:
    own = tuple(field.name for field in fields(Profile) if field.name.startswith("unsafe_tuf_"))
    assert PLAIN_TUF.relaxations == own
    assert all(not set(own) & set(profile.relaxations) for profile in PROFILES.values())
    assert PLAIN_TUF.name not in PROFILES
    assert replace(PLAIN_TUF, format=JSON).relaxations == own
