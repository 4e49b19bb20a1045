"""The JSON of the archived implementation is read in exactly the form that it writes."""

import copy
import json
from collections.abc import Callable
from typing import Any

import pytest
from pouf1_samples import (
    ATTACKS,
    decode,
    manifest,
    payloads,
    public_key,
    report,
    report_with_custom,
    root,
    sign,
    snapshot,
    targets,
    timestamp,
)

from uptane.formats.pouf1.json import POUF1_JSON
from uptane.formats.pouf1.text import archived_text
from uptane.formats.profile import Payload
from uptane.metadata.errors import FormatError
from uptane.metadata.version_report import EcuVersionReport

Change = Callable[[Any], object]


def put(path: str, value: object) -> Change:
    """Sets a member at a path of names and numbers between blanks; the signed object is the start."""

    def change(whole: Any) -> None:
        *folders, last = path.split()
        for name in folders:
            whole = whole[int(name) if name.isdigit() else name]
        whole[int(last) if last.isdigit() else last] = value

    return change


def drop(path: str) -> Change:
    def change(whole: Any) -> None:
        *folders, last = path.split()
        for name in folders:
            whole = whole[int(name) if name.isdigit() else name]
        del whole[last]

    return change


def rename(path: str, old: str, new: str) -> Change:
    def change(whole: Any) -> None:
        for name in path.split():
            whole = whole[name]
        whole[new] = whole.pop(old)

    return change


KEY = public_key(1).key_id
OF_KEY = f"signed keys {KEY}"
FIRST = "signed targets /TCU1.1.txt"
IMAGE = "signed installed_image"

REFUSED: list[tuple[str, Payload, Change]] = [
    ("an unknown member beside signed", timestamp(), put("more", 1)),
    ("an unknown member of a signature", timestamp(), put("signatures 0 more", 1)),
    ("another method", timestamp(), put("signatures 0 method", "rsassa-pss")),
    ("no method", timestamp(), drop("signatures 0 method")),
    ("a signature in capitals", timestamp(), put("signatures 0 sig", "AB" * 64)),
    ("a signature that is no text", timestamp(), put("signatures 0 sig", 1)),
    ("a key identifier in capitals", timestamp(), put("signatures 0 keyid", "A" * 64)),
    ("no signatures", timestamp(), drop("signatures")),
    ("65 signatures", timestamp(), put("signatures", [{}] * 65)),
    ("a type of TUF 1.0", timestamp(), put("signed _type", "timestamp")),
    ("no type of a role", timestamp(), drop("signed _type")),
    ("a version of the specification", timestamp(), put("signed spec_version", "1.0")),
    ("a vehicle", timestamp(), put("signed vin", "democar")),
    ("another date", timestamp(), put("signed expires", "2037-09-28T12:46:29+00:00")),
    ("a version that is a text", timestamp(), put("signed version", "1")),
    ("a version that is true", timestamp(), put("signed version", True)),
    ("a fraction", timestamp(), put("signed version", 1.0)),
    ("another file in Timestamp", timestamp(), put("signed meta root.json", {"version": 1})),
    ("a member of a listed file", timestamp(), put("signed meta snapshot.json more", 1)),
    ("a listed file without length", timestamp(), drop("signed meta snapshot.json length")),
    ("a second hash of Snapshot", timestamp(), put("signed meta snapshot.json hashes sha512", "00" * 64)),
    ("another hash of Snapshot", timestamp(), put("signed meta snapshot.json hashes", {"sha512": "00" * 64})),
    ("no Root entry", snapshot(), drop("signed meta root.json")),
    ("no Targets entry", snapshot(), drop("signed meta targets.json")),
    ("the length of a Targets file", snapshot(), put("signed meta targets.json length", 1)),
    ("the hashes of a Targets file", snapshot(), put("signed meta targets.json hashes", {"sha256": "00" * 32})),
    ("a file of another format", snapshot(), put("signed meta role2.der", {"version": 1})),
    ("other compression", root(), put("signed compression_algorithms", ["gz", "xz"])),
    ("no compression", root(), drop("signed compression_algorithms")),
    ("consistent snapshots", root(), put("signed consistent_snapshot", True)),
    ("consistent snapshots as a number", root(), put("signed consistent_snapshot", 0)),
    ("a fifth role", root(), put("signed roles mirrors", {"keyids": [KEY], "threshold": 1})),
    ("a missing role", root(), drop("signed roles targets")),
    ("a member of a role", root(), put("signed roles root url", "")),
    ("a threshold of none", root(), put("signed roles root threshold", 0)),
    ("a threshold beyond the keys", root(), put("signed roles root threshold", 2)),
    ("a key that is not listed", root(), put("signed roles root keyids", ["0" * 64])),
    ("a key of RSA", root(), put(f"{OF_KEY} keytype", "rsa")),
    ("a key with a scheme", root(), put(f"{OF_KEY} scheme", "ed25519")),
    ("a listed key with its identifier", root(), put(f"{OF_KEY} keyid", KEY)),
    ("a listed key with an empty private member", root(), put(f"{OF_KEY} keyval private", "")),
    ("other hash algorithms of a key", root(), put(f"{OF_KEY} keyid_hash_algorithms", ["sha512", "sha256"])),
    ("a key under another identifier", root(), put("signed keys", {"0" * 64: {}})),
    ("another key under an identifier", root(), put(f"{OF_KEY} keyval public", public_key(9).text)),
    ("a short key", root(), put(f"{OF_KEY} keyval public", "00" * 31)),
    ("no delegations", targets(), drop("signed delegations")),
    ("a delegated role", targets(), put("signed delegations roles", [{"name": "role1"}])),
    ("an image without a slash", targets(), rename("signed targets", "/TCU1.1.txt", "TCU1.1.txt")),
    ("an image with two slashes", targets(), rename("signed targets", "/TCU1.1.txt", "//TCU1.1.txt")),
    ("an image that leaves its folder", targets(), rename("signed targets", "/TCU1.1.txt", "/../TCU1.1.txt")),
    ("empty custom data", targets(), put(f"{FIRST} custom", {})),
    ("other custom data", targets(), put(f"{FIRST} custom release_counter", 1)),
    ("custom data of null", targets(), put(f"{FIRST} custom", None)),
    ("a hash of another function", targets(), put(f"{FIRST} hashes sha384", "00" * 48)),
    ("a hash in capitals", targets(), put(f"{FIRST} hashes sha256", "AB" * 32)),
    ("no hash", targets(), put(f"{FIRST} hashes", {})),
    ("a type of a report", report(), put("signed _type", "ecu_version_report")),
    ("a counter", report(), put("signed counter", 1)),
    ("a nonce", report(), put("signed nonce", 1)),
    ("an installed image without a slash", report(), put(f"{IMAGE} filepath", "a.img")),
    ("a member of the installed image", report(), put(f"{IMAGE} more", 1)),
    ("a member of its file", report(), put(f"{IMAGE} fileinfo more", 1)),
    ("custom data that is a list", report_with_custom(), put(f"{IMAGE} fileinfo custom", [])),
    ("custom data with a fraction", report_with_custom(), put(f"{IMAGE} fileinfo custom a", 0.5)),
    ("custom data of more than the ECU", report_with_custom(), put(f"{IMAGE} fileinfo custom note", "a")),
    ("custom data without the ECU", report_with_custom(), put(f"{IMAGE} fileinfo custom", {})),
    ("an ECU that no call can carry", report_with_custom(), put(f"{IMAGE} fileinfo custom ecu_serial", "a\rb")),
    (
        "a report under another ECU",
        manifest(POUF1_JSON, report()),
        rename("signed ecu_version_manifests", "TCUdemocar", "b"),
    ),
    ("a report outside a list", manifest(POUF1_JSON), put("signed ecu_version_manifests TCU", {})),
    ("an attack in a manifest", manifest(POUF1_JSON), put("signed attacks_detected", "")),
]


@pytest.mark.parametrize(
    ("payload", "change"), [(each[1], each[2]) for each in REFUSED], ids=[each[0] for each in REFUSED]
)
def test_is_refused(payload: Payload, change: Change) -> None:
    value = json.loads(sign(POUF1_JSON, payload))
    assert decode(POUF1_JSON, payload, archived_text(value)).payload == payload
    changed = copy.deepcopy(value)
    change(changed)
    with pytest.raises(FormatError):
        decode(POUF1_JSON, payload, archived_text(changed))


def test_an_ecu_may_stand_in_a_manifest_without_any_report() -> None:
    """It says nothing, so it is left out of the value; the signature is over the text that came."""
    value = json.loads(sign(POUF1_JSON, manifest(POUF1_JSON)))
    value["signed"]["ecu_version_manifests"]["BCUdemocar"] = []
    read = decode(POUF1_JSON, manifest(POUF1_JSON), archived_text(value))
    assert read.payload == manifest(POUF1_JSON)
    assert b'"BCUdemocar":[]' in read.message


LAYOUTS: dict[str, Callable[[bytes], bytes]] = {
    "no blanks": lambda raw: json.dumps(json.loads(raw), separators=(",", ":")).encode(),
    "two blanks of indent": lambda raw: json.dumps(json.loads(raw), indent=2, separators=(",", ": ")).encode(),
    "a final line end": lambda raw: raw + b"\n",
    "a byte order mark": lambda raw: b"\xef\xbb\xbf" + raw,
    "tabs": lambda raw: raw.replace(b"\n ", b"\n\t", 1),
    "lines of another system": lambda raw: raw.replace(b"\n", b"\r\n"),
    "an escape that is not needed": lambda raw: raw.replace(b'"signed"', b'"\\u0073igned"'),
    "a member twice": lambda raw: raw.replace(b'"version": 128', b'"version": 128,\n  "version": 128'),
    "another number": lambda raw: raw.replace(b'"version": 128', b'"version": 128e0'),
    "UTF-16": lambda raw: raw.decode().encode("utf-16"),
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_another_layout_is_refused(layout: str) -> None:
    raw = sign(POUF1_JSON, timestamp())
    assert LAYOUTS[layout](raw) != raw
    with pytest.raises(FormatError):
        decode(POUF1_JSON, timestamp(), LAYOUTS[layout](raw))


def test_text_beyond_ascii_is_escaped_in_the_file_and_not_in_what_is_signed() -> None:
    value = report("Ärger", ATTACKS)
    raw = sign(POUF1_JSON, value)
    assert b'"\\u00c4rger"' in raw
    assert b"Timestamp error\\nthe time is wrong\\n" in raw
    message = POUF1_JSON.decode(EcuVersionReport, raw).message
    assert '"ecu_serial":"Ärger"'.encode() in message
    assert b"Timestamp error\nthe time is wrong\n" in message


def test_every_file_is_written_as_the_archived_implementation_lays_it_out() -> None:
    for payload in payloads(POUF1_JSON).values():
        raw = sign(POUF1_JSON, payload)
        assert raw == json.dumps(json.loads(raw), indent=1, separators=(",", ": "), sort_keys=True).encode()


def key_text(**members: object) -> bytes:
    value = json.loads(POUF1_JSON.encode_key(public_key(1)))
    for name, member in members.items():
        if member is None:
            del value[name]
        else:
            value[name] = member
    return json.dumps(value).encode()


def test_a_key_is_read_with_or_without_its_identifier_and_with_an_empty_private_member() -> None:
    public = {"public": public_key(1).text}
    for raw in (key_text(), key_text(keyid=None), key_text(keyval={**public, "private": ""})):
        assert POUF1_JSON.decode_key(raw) == public_key(1)


@pytest.mark.parametrize(
    "members",
    [
        {"keyid": public_key(2).key_id},
        {"keyid": "x"},
        {"keytype": "rsa"},
        {"keytype": None},
        {"keyid_hash_algorithms": ["sha256"]},
        {"keyid_hash_algorithms": None},
        {"scheme": "ed25519"},
        {"keyval": {}},
        {"keyval": {"public": public_key(1).text.upper()}},
        {"keyval": {"public": "00" * 33}},
        {"keyval": {"public": public_key(1).text, "more": ""}},
        {"keyval": {"public": public_key(1).text, "private": 1}},
    ],
    ids=str,
)
def test_a_key_in_another_form_is_refused(members: dict[str, object]) -> None:
    with pytest.raises(FormatError):
        POUF1_JSON.decode_key(key_text(**members))


@pytest.mark.standard("STD-5.3.2.2-7")
def test_a_private_key_in_the_place_of_a_public_one_is_refused_with_what_to_do() -> None:
    with pytest.raises(FormatError, match="private key") as refused:
        POUF1_JSON.decode_key(key_text(keyval={"public": public_key(1).text, "private": "00" * 32}))
    assert "replace it" in str(refused.value)
    assert "00" * 32 not in str(refused.value)
