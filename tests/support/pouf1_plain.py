"""Archived objects as plain trees for a codec compiled from their ASN.1 module, made without our own writer."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from uptane.formats.profile import Payload
from uptane.metadata.digests import Digests
from uptane.metadata.envelope import Signature
from uptane.metadata.root import Role, Root
from uptane.metadata.snapshot import MetadataFile, Snapshot
from uptane.metadata.targets import ImageFile, Targets
from uptane.metadata.time_attestation import TimeAttestation
from uptane.metadata.timestamp import Timestamp
from uptane.metadata.vehicle_manifest import VehicleVersionManifest
from uptane.metadata.version_report import EcuVersionReport

Tree = dict[str, Any]


def signed_object(payload: Payload, signatures: Sequence[Signature], inner: Sequence[Tree] = ()) -> tuple[str, Tree]:
    """The name of the type and the tree; `inner` holds the trees of a manifest's reports."""
    match payload:
        case EcuVersionReport():
            name, signed = "ECUVersionManifest", _report(payload)
        case VehicleVersionManifest():
            name = "VehicleVersionManifest"
            signed = {
                "vehicleIdentifier": str(payload.vehicle),
                "primaryIdentifier": str(payload.primary),
                "numberOfECUVersionManifests": len(inner),
                "ecuVersionManifests": list(inner),
            }
        case TimeAttestation():
            name = "TokensAndTimestampSignable"
            tokens = list(payload.nonces)
            signed = {"numberOfTokens": len(tokens), "tokens": tokens, "timestamp": _seconds(payload.time)}
        case _:
            name = "Metadata"
            signed = {
                "type": type(payload).__name__.lower(),
                "expires": _seconds(payload.expires),
                "version": payload.version,
                "body": (f"{type(payload).__name__.lower()}Metadata", _body(payload)),
            }
    entries = [
        {"keyid": bytes.fromhex(entry.key_id), "method": "ed25519", "value": entry.value} for entry in signatures
    ]
    return name, {"signed": signed, "numberOfSignatures": len(entries), "signatures": entries}


def _seconds(time: datetime) -> int:
    return int((time - datetime(1970, 1, 1, tzinfo=UTC)).total_seconds())


def _body(payload: Root | Timestamp | Snapshot | Targets) -> Tree:
    match payload:
        case Root():
            return _root(payload)
        case Timestamp():
            return _listed("snapshot.der", payload.snapshot)
        case Snapshot():
            names = sorted(f"{name}.der" for name in payload.files)
            infos = [{"filename": name, "version": payload.files[name[:-4]].version} for name in names]  # type: ignore[index]
            assert payload.root is not None
            return {
                "numberOfTargetRoleFiles": len(infos),
                "targetRoleFileInfos": infos,
                "rootRoleFileInfo": _listed("root.der", payload.root),
            }
        case Targets():
            entries = []
            for path in sorted(payload.images):
                image = payload.images[path]
                entry: Tree = {"target": _target(image.file)}
                for ecu in image.custom.ecus:
                    entry["custom"] = {"ecuIdentifier": str(ecu)}
                entries.append(entry)
            return {"numberOfTargets": len(entries), "targets": entries}


def _root(root: Root) -> Tree:
    ids = {role: root.roles[role].key_ids[0] for role in Role}
    keys = [
        {
            "publicKeyid": bytes.fromhex(ids[role]),
            "publicKeyType": "ed25519",
            "publicKeyValue": root.keys[ids[role]].material,
        }
        for role in (Role.ROOT, Role.TIMESTAMP, Role.SNAPSHOT, Role.TARGETS)
    ]
    roles = [
        {"role": str(role), "numberOfKeyids": 1, "keyids": [bytes.fromhex(ids[role])], "threshold": 1}
        for role in (Role.ROOT, Role.SNAPSHOT, Role.TARGETS, Role.TIMESTAMP)
    ]
    return {"numberOfKeys": 4, "keys": keys, "numberOfRoles": 4, "roles": roles}


def _listed(name: str, file: MetadataFile) -> Tree:
    assert file.digests is not None
    return {"filename": name, "version": file.version, "length": file.length, **_hashes(file.digests)}


def _target(file: ImageFile) -> Tree:
    return {"filename": f"/{file.path}", "length": file.length, **_hashes(file.digests)}


def _hashes(digests: Digests) -> Tree:
    entries = [{"function": name, "digest": digest} for name, digest in digests]
    return {"numberOfHashes": len(entries), "hashes": entries}


def _report(report: EcuVersionReport) -> Tree:
    tree: Tree = {
        "ecuIdentifier": str(report.ecu),
        "previousTime": _seconds(report.previous_time),
        "currentTime": _seconds(report.time),
        "installedImage": _target(report.installed),
    }
    return tree | {"securityAttack": report.attacks_detected} if report.attacks_detected else tree
