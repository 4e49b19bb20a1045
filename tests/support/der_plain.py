"""Values as the trees that asn1tools encodes by `docs/uptane.asn1`; written from that file, not from the code."""

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

from uptane.formats.profile import Payload
from uptane.metadata.delegations import Delegation, Delegations
from uptane.metadata.digests import Digests
from uptane.metadata.envelope import Signature
from uptane.metadata.extensions import Extensions
from uptane.metadata.keys import PublicKey
from uptane.metadata.repository_map import RepositoryMap
from uptane.metadata.root import Common, Role, RoleKeys, Root
from uptane.metadata.snapshot import MetadataFile, Snapshot
from uptane.metadata.targets import Custom, EcuAssignment, EncryptedImage, ImageFile, MustMatch, Targets
from uptane.metadata.time_attestation import TimeAttestation
from uptane.metadata.timestamp import Timestamp
from uptane.metadata.vehicle_manifest import VehicleVersionManifest
from uptane.metadata.version_report import EcuVersionReport

Tree = dict[str, Any]


def signed_object(payload: Payload, signatures: Iterable[Signature]) -> tuple[str, Tree]:
    """The name of the ASN.1 type, and the tree."""
    name, tree = _payload(payload)
    return name, {"formatVersion": 1, "signed": tree, "signatures": [_signature(entry) for entry in signatures]}


def key_file(key: PublicKey) -> Tree:
    """A KeyFile."""
    return {"formatVersion": 1, "key": _key(key)}


def map_file(value: RepositoryMap) -> Tree:
    """A MapFile."""
    repositories = [
        {"name": entry.name, "kind": str(entry.kind), "urls": list(entry.urls)} for entry in value.repositories
    ]
    mappings = [
        {"paths": list(entry.paths), "repositories": list(entry.repositories), "terminating": entry.terminating}
        for entry in value.mappings
    ]
    tree = {"repositories": repositories, "mappings": mappings, **_extensions(value.extensions)}
    return {"formatVersion": 1, "map": tree}


def _payload(payload: Payload) -> tuple[str, Tree]:
    extensions = _extensions(payload.extensions)
    match payload:
        case EcuVersionReport():
            return "SignedEcuVersionReport", {
                "ecu": payload.ecu,
                "installed": _file(payload.installed),
                "attacksDetected": payload.attacks_detected,
                "time": _time(payload.time),
                "previousTime": _time(payload.previous_time),
                "counter": payload.counter,
                "nonce": payload.nonce,
                **extensions,
            }
        case VehicleVersionManifest():
            reports = sorted(payload.reports, key=lambda report: report.payload.ecu)
            return "SignedVehicleVersionManifest", {
                "vehicle": payload.vehicle,
                "primary": payload.primary,
                "reports": [signed_object(report.payload, report.signatures)[1] for report in reports],
                "counter": payload.counter,
                **extensions,
            }
        case TimeAttestation():
            return "SignedTimeAttestation", {"time": _time(payload.time), "nonces": list(payload.nonces), **extensions}
        case Common():
            tree = {"version": payload.version, "expires": _time(payload.expires)}
            vehicle = {} if payload.vehicle is None else {"vehicle": payload.vehicle}
            kind, body = _body(payload)
            return "SignedRole", {**tree, **vehicle, "body": (kind, {**body, **extensions})}


def _body(payload: Root | Timestamp | Snapshot | Targets) -> tuple[str, Tree]:
    match payload:
        case Root():
            return "root", {
                "keys": [_key(payload.keys[key_id]) for key_id in sorted(payload.keys)],
                "roles": {str(role): _role_keys(payload.roles[role]) for role in Role},
                "consistentSnapshot": payload.consistent_snapshot,
            }
        case Timestamp():
            return "timestamp", {"snapshot": _metadata_file("snapshot.der", payload.snapshot)}
        case Snapshot():
            files = {f"{role}.der": file for role, file in payload.files.items()}
            return "snapshot", {"files": [_metadata_file(name, files[name]) for name in sorted(files)]}
        case Targets():
            images = []
            for path in sorted(payload.images):
                image = payload.images[path]
                custom = _custom(image.custom)
                images.append({"file": _file(image.file), **({"custom": custom} if custom else {})})
            delegations = _delegations(payload.delegations)
            given = any(delegations.values())
            return "targets", {"images": images, **({"delegations": delegations} if given else {})}


def _time(time: datetime) -> int:
    return int((time - datetime(1970, 1, 1, tzinfo=UTC)).total_seconds())


def _extensions(extensions: Extensions) -> Tree:
    entries = [{"name": name, "value": value} for name, value in sorted(extensions)]
    return {"extensions": entries} if entries else {}


def _signature(signature: Signature) -> Tree:
    tree: Tree = {"keyid": bytes.fromhex(signature.key_id), "value": signature.value}
    if signature.digest is None:
        return tree
    over = {"method": signature.method, "hashFunction": signature.hash_function, "digest": signature.digest}
    return {**tree, **over}


def _key(key: PublicKey) -> Tree:
    return {
        "keyid": bytes.fromhex(key.key_id),
        "type": str(key.key_type),
        "scheme": str(key.scheme),
        "value": key.material,
    }


def _role_keys(keys: RoleKeys) -> Tree:
    return {"keyids": [bytes.fromhex(key_id) for key_id in keys.key_ids], "threshold": keys.threshold}


def _hashes(digests: Digests) -> list[Tree]:
    return [{"function": name, "value": value} for name, value in digests]


def _metadata_file(name: str, file: MetadataFile) -> Tree:
    tree: Tree = {"name": name, "version": file.version}
    if file.length is not None:
        tree["length"] = file.length
    if file.digests is not None:
        tree["hashes"] = _hashes(file.digests)
    return tree


def _file(file: ImageFile) -> Tree:
    return {"path": file.path, "length": file.length, "hashes": _hashes(file.digests)}


def _custom(custom: Custom) -> Tree:
    tree: Tree = {}
    if must_match := _must_match(custom.must_match):
        tree["mustMatch"] = must_match
    if custom.ecus:
        tree["ecus"] = [{"ecu": ecu, **_assignment(custom.ecus[ecu])} for ecu in sorted(custom.ecus)]
    if custom.url is not None:
        tree["url"] = custom.url
    return {**tree, **_extensions(custom.extensions)}


def _must_match(must_match: MustMatch) -> Tree:
    tree: Tree = {}
    if must_match.release_counter is not None:
        tree["releaseCounter"] = must_match.release_counter
    if must_match.hardware_ids is not None:
        tree["hardwareIds"] = list(must_match.hardware_ids)
    return {**tree, **_extensions(must_match.extensions)}


def _assignment(assignment: EcuAssignment) -> Tree:
    tree: Tree = {}
    if assignment.hardware_id is not None:
        tree["hardwareId"] = assignment.hardware_id
    if assignment.encrypted is not None:
        tree["encryptedImage"] = _encrypted(assignment.encrypted)
    return {**tree, **_extensions(assignment.extensions)}


def _encrypted(encrypted: EncryptedImage) -> Tree:
    tree: Tree = {"file": _file(encrypted.file), "method": encrypted.method, "nonce": encrypted.nonce}
    if (wrapped := encrypted.wrapped_key) is not None:
        tree["wrappedKey"] = {"method": wrapped.method, "value": wrapped.value}
    return {**tree, **_extensions(encrypted.extensions)}


def _delegations(delegations: Delegations) -> Tree:
    return {
        "keys": [_key(delegations.keys[key_id]) for key_id in sorted(delegations.keys)],
        "delegations": [_delegation(entry) for entry in delegations.delegations],
        **_extensions(delegations.extensions),
    }


def _delegation(delegation: Delegation) -> Tree:
    tree: Tree = {
        "roles": [{"name": role.name, "keys": _role_keys(role.keys)} for role in delegation.roles],
        "terminating": delegation.terminating,
    }
    if delegation.group is not None:
        agreement = delegation.min_roles_in_agreement
        tree["group"] = {"name": delegation.group, "minRolesInAgreement": agreement}
    if delegation.paths:
        tree["paths"] = list(delegation.paths)
    if delegation.path_hash_prefixes:
        tree["pathHashPrefixes"] = list(delegation.path_hash_prefixes)
    if delegation.hardware_ids is not None:
        tree["hardwareIds"] = list(delegation.hardware_ids)
    return {**tree, **_extensions(delegation.extensions)}
