"""A full Secondary as a stranger writes it who has docs/pouf.md, docs/formats.md and docs/uptane.asn1.

It imports nothing of this project, and knows Ed25519, one key for each role and no delegations. What a page does not
say cannot be in here.
"""

import hashlib
import io
import json
import xmlrpc.client
import zipfile
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol

import asn1tools
from cryptography.hazmat.primitives.asymmetric import ed25519

MODULE = Path(__file__).parents[2] / "docs" / "uptane.asn1"
ROLES = ("root", "timestamp", "snapshot", "targets")


@dataclass
class Opened:
    """A signed object: what is signed, as JSON would have it, the bytes of it, and the signatures."""

    signed: dict[str, Any]
    message: bytes
    signatures: dict[str, bytes]


@dataclass
class Report:
    """What goes into a version report."""

    ecu: str
    path: str
    content: bytes
    time: str
    previous_time: str
    counter: int
    nonce: int
    attacks: str = ""


class Wire(Protocol):
    """One of the two formats."""

    extension: str

    def key(self, public: bytes) -> bytes:
        """A public key as it is registered."""
        ...

    def open(self, raw: bytes) -> Opened:
        """A role or an attestation."""
        ...

    def report(self, report: Report, key: ed25519.Ed25519PrivateKey) -> bytes:
        """A signed version report."""
        ...


def canonical(value: object) -> bytes:
    """Canonical JSON; for texts without control characters."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def key_object(public: bytes) -> dict[str, Any]:
    return {"keytype": "ed25519", "keyval": {"public": public.hex()}, "scheme": "ed25519"}


def key_id(public: bytes) -> str:
    return hashlib.sha256(canonical(key_object(public))).hexdigest()


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


class JsonWire:
    """`json`."""

    extension = "json"

    def key(self, public: bytes) -> bytes:
        return canonical(key_object(public))

    def open(self, raw: bytes) -> Opened:
        whole = json.loads(raw)
        signatures = {entry["keyid"]: bytes.fromhex(entry["sig"]) for entry in whole["signatures"]}
        return Opened(whole["signed"], canonical(whole["signed"]), signatures)

    def report(self, report: Report, key: ed25519.Ed25519PrivateKey) -> bytes:
        fileinfo = {"length": len(report.content), "hashes": {"sha256": sha256(report.content)}}
        signed = {
            "_type": "ecu_version_report",
            "ecu_serial": report.ecu,
            "installed_image": {"filepath": report.path, "fileinfo": fileinfo},
            "attacks_detected": report.attacks,
            "timeserver_time": report.time,
            "previous_timeserver_time": report.previous_time,
            "counter": report.counter,
            "nonce": report.nonce,
        }
        digest = hashlib.sha256(canonical(signed)).digest()
        entry = {
            "keyid": key_id(key.public_key().public_bytes_raw()),
            "method": "ed25519",
            "hash_function": "sha256",
            "hash": digest.hex(),
            "sig": key.sign(digest).hex(),
        }
        return json.dumps({"signed": signed, "signatures": [entry]}).encode()


class DerWire:
    """`der`, by the module."""

    extension = "der"

    def __init__(self) -> None:
        self._module = asn1tools.compile_files([str(MODULE)], "der")

    def key(self, public: bytes) -> bytes:
        value = {"keyid": bytes.fromhex(key_id(public)), "type": "ed25519", "scheme": "ed25519", "value": public}
        return bytes(self._module.encode("KeyFile", {"formatVersion": 1, "key": value}))

    def open(self, raw: bytes) -> Opened:
        message = signed_of(raw)
        kind = {0xA0: "SignedRole", 0xA3: "SignedTimeAttestation"}[message[0]]
        whole = self._module.decode(kind, raw)
        signatures = {entry["keyid"].hex(): entry["value"] for entry in whole["signatures"]}
        return Opened(as_json(kind, whole["signed"]), message, signatures)

    def report(self, report: Report, key: ed25519.Ed25519PrivateKey) -> bytes:
        hashes = [{"function": "sha256", "value": hashlib.sha256(report.content).digest()}]
        signed = {
            "ecu": report.ecu,
            "installed": {"path": report.path, "length": len(report.content), "hashes": hashes},
            "attacksDetected": report.attacks,
            "time": seconds_of(report.time),
            "previousTime": seconds_of(report.previous_time),
            "counter": report.counter,
            "nonce": report.nonce,
        }
        # The bytes of `signed` are the same whatever the signatures are, so they are cut from an object without any.
        bare = self._module.encode("SignedEcuVersionReport", {"formatVersion": 1, "signed": signed, "signatures": []})
        digest = hashlib.sha256(signed_of(bytes(bare))).digest()
        entry = {
            "keyid": bytes.fromhex(key_id(key.public_key().public_bytes_raw())),
            "value": key.sign(digest),
            "method": "ed25519",
            "hashFunction": "sha256",
            "digest": digest,
        }
        whole = {"formatVersion": 1, "signed": signed, "signatures": [entry]}
        return bytes(self._module.encode("SignedEcuVersionReport", whole))


def signed_of(raw: bytes) -> bytes:
    """The complete element after the format version, which takes three bytes."""
    begin = content_of(raw, 0)[0] + 3
    return raw[begin : content_of(raw, begin)[1]]


def content_of(raw: bytes, at: int) -> tuple[int, int]:
    """Where the content of the element at `at` begins and ends."""
    first = raw[at + 1]
    if first < 0x80:
        return at + 2, at + 2 + first
    size = first & 0x7F
    begin = at + 2 + size
    return begin, begin + int.from_bytes(raw[at + 2 : begin], "big")


def seconds_of(time: str) -> int:
    return int(datetime.strptime(time, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC).timestamp())


def time_of(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def as_json(kind: str, signed: dict[str, Any]) -> dict[str, Any]:
    """A decoded object as `json` writes it."""
    if kind == "SignedTimeAttestation":
        return {"_type": "time_attestation", "time": time_of(signed["time"]), "nonces": signed["nonces"]}
    role, body = signed["body"]
    common = {"_type": role, "version": signed["version"], "expires": time_of(signed["expires"])}
    if "vehicle" in signed:
        common["vin"] = signed["vehicle"]
    match role:
        case "root":
            keys = {key["keyid"].hex(): key_object(key["value"]) for key in body["keys"]}
            roles = {name: {**body["roles"][name]} for name in ROLES}
            for named in roles.values():
                named["keyids"] = [each.hex() for each in named["keyids"]]
            return {**common, "keys": keys, "roles": roles}
        case "timestamp":
            return {**common, "meta": {"snapshot.json": metadata_file(body["snapshot"])}}
        case "snapshot":
            files = {f"{file['name'].removesuffix('.der')}.json": metadata_file(file) for file in body["files"]}
            return {**common, "meta": files}
    return {**common, "targets": {image["file"]["path"]: image_entry(image) for image in body["images"]}}


def metadata_file(file: dict[str, Any]) -> dict[str, Any]:
    return {"version": file["version"], "hashes": hashes_of(file.get("hashes", []))}


def image_entry(image: dict[str, Any]) -> dict[str, Any]:
    custom = image.get("custom", {})
    ecus = {each["ecu"]: {} for each in custom.get("ecus", [])}
    described = {"ecus": ecus} | ({"must_match": custom["mustMatch"]} if "mustMatch" in custom else {})
    return {"length": image["file"]["length"], "hashes": hashes_of(image["file"]["hashes"]), "custom": described}


def hashes_of(hashes: list[dict[str, Any]]) -> dict[str, str]:
    return {each["function"]: each["value"].hex() for each in hashes}


def check_hashes(data: bytes, hashes: dict[str, str]) -> None:
    assert hashes and all(hashlib.new(name, data).hexdigest() == value for name, value in hashes.items())


@dataclass
class Stranger:
    """A Secondary with what it is made with: identity, key, Roots, Timeserver's key, time, counter, nonce, image."""

    wire: Wire
    vin: str
    ecu: str
    key: ed25519.Ed25519PrivateKey
    roots: dict[str, bytes]
    director: str
    time_key: bytes
    time: str
    counter: int
    nonce: int
    installed: tuple[str, bytes]
    previous_time: str = ""
    versions: dict[tuple[str, str], int] = field(default_factory=dict)

    def register(self, director_url: str, primary_url: str) -> None:
        """First with the Director, then with the Primary."""
        self.primary = xmlrpc.client.ServerProxy(f"{primary_url}/RPC2", allow_none=True, use_builtin_types=True)
        director = xmlrpc.client.ServerProxy(f"{director_url}/RPC2", allow_none=True, use_builtin_types=True)
        public = self.wire.key(self.key.public_key().public_bytes_raw())
        with director:
            assert director.register_ecu_serial(self.ecu, public, self.vin, False) is None
        assert self.primary.register_new_secondary(self.ecu, public) is None

    def report(self) -> bytes:
        """A new report of what runs."""
        self.counter += 1
        path, content = self.installed
        return self.wire.report(
            Report(self.ecu, path, content, self.time, self.previous_time or self.time, self.counter, self.nonce),
            self.key,
        )

    def send(self, report: bytes) -> None:
        assert self.primary.submit_ecu_manifest(self.vin, self.ecu, self.nonce, report) is None

    def load_time(self) -> bool:
        """Takes over a time that answers the nonce; whether there was one."""
        attestation = self.wire.open(self.primary.get_time_attestation_for_ecu(self.ecu))
        signature = attestation.signatures[key_id(self.time_key)]
        ed25519.Ed25519PublicKey.from_public_bytes(self.time_key).verify(signature, attestation.message)
        time, nonces = attestation.signed["time"], attestation.signed["nonces"]
        if self.nonce not in nonces or time < self.time:
            return False
        self.previous_time, self.time, self.nonce = self.time, time, self.nonce + 1
        return True

    def verify(self) -> tuple[str, dict[str, Any]] | None:
        """Verifies the bundle; the name and entry of the image that both repositories name for this ECU."""
        with zipfile.ZipFile(io.BytesIO(self.primary.get_metadata(self.ecu))) as bundle:
            files = {name: bundle.read(name) for name in bundle.namelist()}
        listed = {repository: self._verify(repository, files) for repository in self.roots}
        directed = listed.pop(self.director)
        (others,) = listed.values()
        mine = [(path, entry) for path, entry in directed.items() if self.ecu in entry["custom"]["ecus"]]
        if not mine:
            return None
        ((path, entry),) = mine
        for part in ("length", "hashes"):
            assert entry[part] == others[path][part]
        assert entry["custom"].get("must_match") == others[path].get("custom", {}).get("must_match")
        return path, entry

    def _verify(self, repository: str, files: dict[str, bytes]) -> dict[str, Any]:
        def file(name: str) -> bytes | None:
            return files.get(f"{repository}/{name}.{self.wire.extension}")

        root = self.wire.open(self.roots[repository])
        while (raw := file(f"{root.signed['version'] + 1}.root")) is not None:
            newer = self.wire.open(raw)
            check_signed(newer, root.signed, "root")
            check_signed(newer, newer.signed, "root")
            assert newer.signed["version"] == root.signed["version"] + 1
            root, self.roots[repository] = newer, raw
        self._check_common(repository, "root", root.signed)
        found: dict[str, dict[str, Any]] = {}
        for role, lister in (("timestamp", None), ("snapshot", "timestamp"), ("targets", "snapshot")):
            listed = None if lister is None else found[lister]["meta"][f"{role}.json"]
            raw = file(role if listed is None else f"{listed['version']}.{role}")
            assert raw is not None
            opened = self.wire.open(raw)
            check_signed(opened, root.signed, role)
            self._check_common(repository, role, opened.signed)
            if listed is not None:
                assert opened.signed["version"] == listed["version"]
                check_hashes(raw, listed["hashes"])
            found[role] = opened.signed
        assert not found["targets"].get("delegations")
        return dict(found["targets"]["targets"])

    def _check_common(self, repository: str, role: str, signed: dict[str, Any]) -> None:
        assert signed["_type"] == role
        assert signed["expires"] > self.time
        assert signed.get("vin") == (self.vin if repository == self.director else None)
        assert signed["version"] >= self.versions.get((repository, role), 1)
        self.versions[repository, role] = signed["version"]

    def fetch(self, path: str, entry: dict[str, Any]) -> None:
        """Gets the image whole and in blocks, which are the same, and installs it."""
        assert self.primary.update_exists_for_ecu(self.ecu) is True
        name, content = self.primary.get_image(self.ecu)
        assert name == path
        function = min(entry["hashes"])
        blocks = b""
        while block := self.primary.get_image_block(self.ecu, f"{function}-{entry['hashes'][function]}", len(blocks)):
            blocks += block
        assert blocks == content
        assert len(content) == entry["length"]
        check_hashes(content, entry["hashes"])
        self.installed = path, content

    def back_up(self) -> None:
        """Leaves what runs with the Primary, and reads it back."""
        content = self.installed[1]
        name, half = f"sha256-{sha256(content)}", len(content) // 2
        assert self.primary.back_up_image(self.ecu, name, 0, b"") is False
        assert self.primary.back_up_image(self.ecu, name, 0, content[:half]) is False
        assert self.primary.back_up_image(self.ecu, name, half, content[half:]) is True
        assert self.primary.get_backup_block(self.ecu, name, half) == content[half:]


def check_signed(opened: Opened, root: dict[str, Any], role: str) -> None:
    """Whether a threshold of different keys of the role signed."""
    named, good = root["roles"][role], set()
    for each in named["keyids"]:
        public = bytes.fromhex(root["keys"][each]["keyval"]["public"])
        assert key_id(public) == each
        if each in opened.signatures:
            ed25519.Ed25519PublicKey.from_public_bytes(public).verify(opened.signatures[each], opened.message)
            good.add(public)
    assert len(good) >= named["threshold"]
