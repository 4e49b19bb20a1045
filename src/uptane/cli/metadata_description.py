"""What a metadata file says, as a JSON object for programs and as indented lines for people."""

import json
from collections.abc import Iterator, Mapping
from datetime import datetime

from uptane.formats.profile import Payload
from uptane.metadata.delegations import Delegation, Delegations
from uptane.metadata.digests import Digests
from uptane.metadata.envelope import Envelope, Signature
from uptane.metadata.extensions import Extensions
from uptane.metadata.identifiers import KeyId
from uptane.metadata.keys import PublicKey
from uptane.metadata.repository_map import RepositoryMap
from uptane.metadata.root import Common, RoleKeys, Root
from uptane.metadata.snapshot import MetadataFile, Snapshot
from uptane.metadata.targets import Custom, EcuAssignment, EncryptedImage, Image, ImageFile, Targets
from uptane.metadata.time_attestation import TimeAttestation
from uptane.metadata.timestamp import Timestamp
from uptane.metadata.vehicle_manifest import VehicleVersionManifest
from uptane.metadata.version_report import EcuVersionReport

Described = str | int | bool | list["Described"] | dict[str, "Described"]
"""JSON without null and fractions."""


def describe(payload: Payload) -> dict[str, Described]:
    """The values of a signed payload, under names close to those of the Standard; what is absent is left out."""
    match payload:
        case EcuVersionReport():
            return _report(payload)
        case VehicleVersionManifest():
            return {
                "vehicle": str(payload.vehicle),
                "primary": str(payload.primary),
                **_given("counter", payload.counter),
                "reports": [describe(report.payload) | describe_signatures(report) for report in payload.reports],
                **_extensions(payload.extensions),
            }
        case TimeAttestation():
            return {"time": _time(payload.time), "nonces": [*payload.nonces], **_extensions(payload.extensions)}
        case _:
            return _common(payload) | _role(payload) | _extensions(payload.extensions)


def describe_map(repository_map: RepositoryMap) -> dict[str, Described]:
    """The values of a repository map."""
    return {
        "repositories": {
            str(repository.name): {"kind": str(repository.kind), "urls": [*repository.urls]}
            for repository in repository_map.repositories
        },
        "mappings": [
            {
                "paths": [str(path) for path in mapping.paths],
                "repositories": [str(name) for name in mapping.repositories],
                "terminating": mapping.terminating,
            }
            for mapping in repository_map.mappings
        ],
        **_extensions(repository_map.extensions),
    }


def describe_key(key: PublicKey) -> dict[str, Described]:
    """A public key and its identifier."""
    return {
        "key_id": str(key.key_id),
        "key_type": str(key.key_type),
        "scheme": str(key.scheme),
        "public": key.text,
    }


def describe_signatures(envelope: Envelope[Payload]) -> dict[str, Described]:
    """`{"signatures": [...]}`: who signed, and how."""
    return {"signatures": [_signature(signature) for signature in envelope.signatures]}


def lines(described: Mapping[str, Described], indent: str = "") -> Iterator[str]:
    """One line for each value; what belongs to a name stands below it, indented."""
    width = max((len(name) for name, value in described.items() if not isinstance(value, (dict, list))), default=0)
    for name, value in described.items():
        if isinstance(value, dict):
            yield f"{indent}{name}" if value else f"{indent}{name}: none"
            yield from lines(value, indent + "  ")
        elif isinstance(value, list):
            yield from _list_lines(name, value, indent)
        else:
            yield f"{indent}{name:{width}}  {_text(value)}"


def _list_lines(name: str, values: list[Described], indent: str) -> Iterator[str]:
    if not any(isinstance(value, (dict, list)) for value in values):
        yield f"{indent}{name}: {', '.join(_text(value) for value in values) or 'none'}"
        return
    for number, value in enumerate(values, start=1):
        yield f"{indent}{name} {number}"
        yield from lines(value if isinstance(value, dict) else {"value": value}, indent + "  ")


def _text(value: Described) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    # A text of several lines must not look like lines of ours.
    return str(value).replace("\n", "\\n")


def _given(name: str, value: int | None) -> dict[str, Described]:
    """The value under its name, or nothing where there is none."""
    return {} if value is None else {name: value}


def _common(payload: Common) -> dict[str, Described]:
    described: dict[str, Described] = {"version": payload.version, "expires": _time(payload.expires)}
    return described if payload.vehicle is None else described | {"vehicle": str(payload.vehicle)}


def _role(payload: Root | Timestamp | Snapshot | Targets) -> dict[str, Described]:
    match payload:
        case Root():
            return {
                "consistent_snapshot": payload.consistent_snapshot,
                "roles": {str(role): _role_keys(keys) for role, keys in payload.roles.items()},
                "keys": _keys(payload.keys),
            }
        case Timestamp():
            return {"snapshot": _file(payload.snapshot)}
        case Snapshot():
            files: dict[str, Described] = {str(name): _file(file) for name, file in payload.files.items()}
            described: dict[str, Described] = {"files": files}
            return described if payload.root is None else described | {"root": _file(payload.root)}
        case Targets():
            described = {"images": {str(path): _image(payload.images[path]) for path in payload.images}}
            return described | ({"delegations": _delegations(payload.delegations)} if payload.delegations else {})


def _report(report: EcuVersionReport) -> dict[str, Described]:
    return {
        "ecu": str(report.ecu),
        "installed": {"path": str(report.installed.path), **_image_file(report.installed)},
        "attacks_detected": report.attacks_detected,
        "time": _time(report.time),
        "previous_time": _time(report.previous_time),
        **_given("counter", report.counter),
        **_given("nonce", report.nonce),
        **_extensions(report.extensions),
    }


def _image(image: Image) -> dict[str, Described]:
    return _image_file(image.file) | _custom(image.custom)


def _image_file(file: ImageFile) -> dict[str, Described]:
    return {"length": file.length, "hashes": _hashes(file.digests)}


def _custom(custom: Custom) -> dict[str, Described]:
    described: dict[str, Described] = {}
    must_match = custom.must_match
    if must_match.release_counter is not None:
        described["release_counter"] = must_match.release_counter
    if must_match.hardware_ids is not None:
        described["hardware_ids"] = [str(hardware) for hardware in must_match.hardware_ids]
    if must_match.extensions:
        described["must_match"] = _extensions(must_match.extensions)
    if custom.ecus:
        described["ecus"] = {str(ecu): _assignment(assignment) for ecu, assignment in custom.ecus.items()}
    if custom.url is not None:
        described["url"] = custom.url
    return described | _extensions(custom.extensions)


def _assignment(assignment: EcuAssignment) -> dict[str, Described]:
    described: dict[str, Described] = {}
    if assignment.hardware_id is not None:
        described["hardware_id"] = str(assignment.hardware_id)
    if assignment.encrypted is not None:
        described["encrypted"] = _encrypted(assignment.encrypted)
    return described | _extensions(assignment.extensions)


def _encrypted(image: EncryptedImage) -> dict[str, Described]:
    described: dict[str, Described] = {
        "path": str(image.file.path),
        **_image_file(image.file),
        "method": image.method,
    }
    if image.nonce:
        described["nonce"] = image.nonce.hex()
    if image.wrapped_key is not None:
        described["wrapped_key"] = {"method": image.wrapped_key.method, "value": image.wrapped_key.value.hex()}
    return described | _extensions(image.extensions)


def _delegations(delegations: Delegations) -> dict[str, Described]:
    return {
        "delegations": [_delegation(delegation) for delegation in delegations.delegations],
        "keys": _keys(delegations.keys),
        **_extensions(delegations.extensions),
    }


def _delegation(delegation: Delegation) -> dict[str, Described]:
    described: dict[str, Described] = {}
    if delegation.group is not None:
        described |= {"group": str(delegation.group), "min_roles_in_agreement": delegation.min_roles_in_agreement}
    if delegation.path_hash_prefixes:
        described["path_hash_prefixes"] = [*delegation.path_hash_prefixes]
    else:
        described["paths"] = [str(path) for path in delegation.paths]
    if delegation.hardware_ids is not None:
        described["hardware_ids"] = [str(hardware) for hardware in delegation.hardware_ids]
    described["terminating"] = delegation.terminating
    described["roles"] = {str(role.name): _role_keys(role.keys) for role in delegation.roles}
    return described | _extensions(delegation.extensions)


def _role_keys(keys: RoleKeys) -> dict[str, Described]:
    return {"threshold": keys.threshold, "key_ids": [str(key_id) for key_id in keys.key_ids]}


def _keys(keys: Mapping[KeyId, PublicKey]) -> dict[str, Described]:
    return {str(key_id): f"{key.key_type}, {key.scheme}" for key_id, key in keys.items()}


def _file(file: MetadataFile) -> dict[str, Described]:
    described: dict[str, Described] = {"version": file.version}
    if file.length is not None:
        described["length"] = file.length
    if file.digests is not None:
        described["hashes"] = _hashes(file.digests)
    return described


def _hashes(digests: Digests) -> dict[str, Described]:
    return {name: digest.hex() for name, digest in digests}


def _signature(signature: Signature) -> dict[str, Described]:
    described: dict[str, Described] = {"key_id": str(signature.key_id)}
    if signature.method is not None:
        described["method"] = signature.method
    if signature.hash_function is not None and signature.digest is not None:
        described |= {"hash_function": signature.hash_function, "hash": signature.digest.hex()}
    return described | {"value": signature.value.hex()}


def _extensions(extensions: Extensions) -> dict[str, Described]:
    """Extensions as the text they are in most cases; other bytes in hexadecimal."""
    if not extensions:
        return {}
    return {"extensions": {name: _readable(value) for name, value in extensions}}


def _readable(value: bytes) -> str:
    try:
        return json.dumps(json.loads(value), separators=(",", ":"))
    except (ValueError, RecursionError):
        return value.hex()


def _time(time: datetime) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ")
