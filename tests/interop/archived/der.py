"""Signed objects between the archived implementation's dictionaries and its DER, both ways."""

import calendar
import functools
import time
from typing import Any

import asn1tools

from archived.errors import FailedToDecode, FailedToEncode
from archived.list_elements import make_lists_end
from archived.schema import SCHEMA
from archived.signatures import METHOD, Key

Signable = dict[str, Any]
"""`{"signed": {...}, "signatures": [{"keyid", "method", "sig"}]}`."""

ROLE, TIME, ECU, VEHICLE = "RoleFile", "TimeAttestation", "EcuManifest", "VehicleManifest"
_SIGNED = {ROLE: "RoleSigned", TIME: "TimeSigned", ECU: "EcuSigned", VEHICLE: "VehicleSigned"}
_SIGNED_TAG = {ROLE: 0xA0, TIME: 0x30, ECU: 0x30, VEHICLE: 0x30}
_KEYS_ORDER = ("root", "timestamp", "snapshot", "targets")
_ROLES_ORDER = ("root", "snapshot", "targets", "timestamp")
_DATE = "%Y-%m-%dT%H:%M:%SZ"


@functools.cache
def _codec() -> Any:
    codec = asn1tools.compile_string(SCHEMA, "der")
    for kind in _SIGNED:
        make_lists_end(codec.types[kind].type)
    return codec


def kind_of(signed: dict[str, Any]) -> str:
    """Which object a `signed` part belongs to."""
    if "_type" in signed:
        return ROLE
    if "nonces" in signed:
        return TIME
    return VEHICLE if "ecu_version_manifests" in signed else ECU


def epoch(date: str) -> int:
    """Seconds since 1970 of `YYYY-MM-DDTHH:MM:SSZ`."""
    return calendar.timegm(time.strptime(date, _DATE))


def date(seconds: int) -> str:
    """`YYYY-MM-DDTHH:MM:SSZ` of seconds since 1970."""
    return time.strftime(_DATE, time.gmtime(seconds))


def encode_signed(signed: dict[str, Any]) -> bytes:
    """The complete TLV of `signed` as it stands in its file; SHA-256 of it is what is signed."""
    kind = kind_of(signed)
    return bytes((_SIGNED_TAG[kind],)) + _encode(_SIGNED[kind], _SIGNED_VALUE[kind](signed))[1:]


def encode(signable: Signable) -> bytes:
    """A whole signed object."""
    return _encode(kind_of(signable["signed"]), _object_value(signable))


def _encode(name: str, value: dict[str, Any]) -> bytes:
    try:
        # What ECUs report may hold line ends, which a strict codec refuses and the archived one wrote.
        encoded: bytes = _codec().encode(name, value, check_constraints=name in (ROLE, _SIGNED[ROLE]))
    except (asn1tools.Error, ValueError) as error:
        raise FailedToEncode(f"no {name}: {error}") from error
    return encoded


def decode(kind: str, data: bytes) -> Signable:
    """A whole signed object; bytes after it are ignored, as the archived decoder ignored them.

    Raises:
        FailedToDecode: the bytes are no object of that kind.
    """
    try:
        outer, content, _ = _tlv(data)
        inner = content[0]
        if (outer, inner) != (0x30, _SIGNED_TAG[kind]):
            raise FailedToDecode(f"tags {outer:#x}, {inner:#x} do not begin a {kind}")
        return _from_object(kind, _codec().decode(kind, data))
    except (asn1tools.Error, ValueError, LookupError, TypeError) as error:
        raise FailedToDecode(f"no {kind}: {type(error).__name__}: {error}") from error


def _tlv(data: bytes) -> tuple[int, bytes, bytes]:
    """Tag, content and rest; also of every part inside, because the codec trusts lengths."""
    tag, length, start = data[0], data[1], 2
    if length >= 0x80:
        start += length & 0x7F
        length = int.from_bytes(data[2:start], "big")
    content, rest = data[start : start + length], data[start + length :]
    if len(content) != length:
        raise ValueError("a length runs past the end")
    inside = content if tag & 0x20 else b""
    while inside:
        _, _, inside = _tlv(inside)
    return tag, content, rest


def _object_value(signable: Signable) -> dict[str, Any]:
    signed = signable["signed"]
    return {
        "signed": _SIGNED_VALUE[kind_of(signed)](signed),
        "numberOfSignatures": len(signable["signatures"]),
        "signatures": [
            {
                "keyid": bytes.fromhex(signature["keyid"]),
                "method": signature["method"],
                "value": bytes.fromhex(signature["sig"]),
            }
            for signature in signable["signatures"]
        ],
    }


def _from_object(kind: str, value: dict[str, Any]) -> Signable:
    signatures = [value["signatures"][index] for index in range(value["numberOfSignatures"])]
    return {
        "signed": _FROM_SIGNED[kind](value["signed"]),
        "signatures": [
            {"keyid": signature["keyid"].hex(), "method": signature["method"], "sig": signature["value"].hex()}
            for signature in signatures
        ],
    }


def _hashes(hashes: dict[str, str]) -> dict[str, Any]:
    listed = [{"function": name, "digest": bytes.fromhex(hashes[name])} for name in sorted(hashes)]
    return {"numberOfHashes": len(listed), "hashes": listed}


def _from_hashes(value: dict[str, Any]) -> dict[str, str]:
    listed = [value["hashes"][index] for index in range(value["numberOfHashes"])]
    unknown = {entry["function"] for entry in listed} - {"sha256", "sha512"}
    if unknown:
        raise KeyError(*unknown)
    return {entry["function"]: entry["digest"].hex() for entry in listed}


# Role files


def _role_value(signed: dict[str, Any]) -> dict[str, Any]:
    role = signed["_type"].lower()
    return {
        "type": role,
        "expires": epoch(signed["expires"]),
        "version": signed["version"],
        "body": (role, _BODY_VALUE[role](signed)),
    }


def _from_role(value: dict[str, Any]) -> dict[str, Any]:
    role, body = value["body"]
    if role != value["type"]:
        raise ValueError(f"{value['type']} metadata with the body of {role}")
    return {
        "_type": role.capitalize(),
        "expires": date(value["expires"]),
        "version": value["version"],
        **_FROM_BODY[role](body),
    }


def _root_value(signed: dict[str, Any]) -> dict[str, Any]:
    keyids = {role: signed["roles"][role]["keyids"][0] for role in _KEYS_ORDER}
    keys = [(keyids[role], signed["keys"][keyids[role]]) for role in _KEYS_ORDER]
    return {
        "numberOfKeys": 4,
        "keys": [
            {
                "publicKeyid": bytes.fromhex(keyid),
                "publicKeyType": key["keytype"],
                "publicKeyValue": bytes.fromhex(key["keyval"]["public"]),
            }
            for keyid, key in keys
        ],
        "numberOfRoles": 4,
        "roles": [
            {"role": role, "numberOfKeyids": 1, "keyids": [bytes.fromhex(keyids[role])], "threshold": 1}
            for role in _ROLES_ORDER
        ],
    }


def _from_root(body: dict[str, Any]) -> dict[str, Any]:
    if (body["numberOfKeys"], body["numberOfRoles"]) != (4, 4):
        raise ValueError("a Root has four keys and four roles")
    keys = [body["keys"][index] for index in range(4)]
    roles = [body["roles"][index] for index in range(4)]
    if any(role["numberOfKeyids"] != 1 or role["threshold"] != 1 for role in roles):
        raise ValueError("a role has one key and threshold 1")
    if any(key["publicKeyType"] != METHOD for key in keys):
        raise ValueError("keys are Ed25519")
    return {
        "consistent_snapshot": False,
        "compression_algorithms": ["gz"],
        "keys": {key["publicKeyid"].hex(): Key(key["publicKeyValue"].hex()).in_metadata() for key in keys},
        "roles": {role["role"]: {"keyids": [role["keyids"][0].hex()], "threshold": 1} for role in roles},
    }


def _targets_value(signed: dict[str, Any]) -> dict[str, Any]:
    if signed["delegations"]["keys"] or signed["delegations"]["roles"]:
        raise ValueError("the archived DER could not carry delegations")
    listed = []
    for name in sorted(signed["targets"]):
        info = signed["targets"][name]
        entry: dict[str, Any] = {"target": {"filename": name, "length": info["length"], **_hashes(info["hashes"])}}
        if "custom" in info:
            entry["custom"] = {"ecuIdentifier": info["custom"]["ecu_serial"]}
        listed.append(entry)
    return {"numberOfTargets": len(listed), "targets": listed}


def _from_targets(body: dict[str, Any]) -> dict[str, Any]:
    targets = {}
    for index in range(body["numberOfTargets"]):
        entry = body["targets"][index]
        target = entry["target"]
        info: dict[str, Any] = {"length": target["length"], "hashes": _from_hashes(target)}
        if "custom" in entry:
            info["custom"] = {"ecu_serial": entry["custom"]["ecuIdentifier"]}
        targets[target["filename"]] = info
    return {"targets": targets, "delegations": {"keys": {}, "roles": []}}


def _described_value(name: str, info: dict[str, Any]) -> dict[str, Any]:
    return {"filename": name, "version": info["version"], "length": info["length"], **_hashes(info["hashes"])}


def _from_described(value: dict[str, Any]) -> dict[str, Any]:
    return {
        value["filename"]: {
            "version": value["version"],
            "length": value["length"],
            "hashes": _from_hashes(value),
        }
    }


def _snapshot_value(signed: dict[str, Any]) -> dict[str, Any]:
    listed = [
        {"filename": name, "version": signed["meta"][name]["version"]}
        for name in sorted(signed["meta"])
        if name != "root.der"
    ]
    return {
        "numberOfTargetRoleFiles": len(listed),
        "targetRoleFileInfos": listed,
        "rootRoleFileInfo": _described_value("root.der", signed["meta"]["root.der"]),
    }


def _from_snapshot(body: dict[str, Any]) -> dict[str, Any]:
    listed = [body["targetRoleFileInfos"][index] for index in range(body["numberOfTargetRoleFiles"])]
    versions = {entry["filename"]: {"version": entry["version"]} for entry in listed}
    return {"meta": {**versions, **_from_described(body["rootRoleFileInfo"])}}


def _timestamp_value(signed: dict[str, Any]) -> dict[str, Any]:
    return _described_value("snapshot.der", signed["meta"]["snapshot.der"])


def _from_timestamp(body: dict[str, Any]) -> dict[str, Any]:
    return {"meta": _from_described(body)}


# What ECUs and the Timeserver sign


def _time_value(signed: dict[str, Any]) -> dict[str, Any]:
    nonces = list(signed["nonces"])
    return {"numberOfTokens": len(nonces), "tokens": nonces, "timestamp": epoch(signed["time"])}


def _from_time(value: dict[str, Any]) -> dict[str, Any]:
    nonces = [value["tokens"][index] for index in range(value["numberOfTokens"])]
    return {"nonces": nonces, "time": date(value["timestamp"])}


def _ecu_value(signed: dict[str, Any]) -> dict[str, Any]:
    image = signed["installed_image"]
    value = {
        "ecuIdentifier": signed["ecu_serial"],
        "previousTime": epoch(signed["previous_timeserver_time"]),
        "currentTime": epoch(signed["timeserver_time"]),
        "installedImage": {
            "filename": image["filepath"],
            "length": image["fileinfo"]["length"],
            **_hashes(image["fileinfo"]["hashes"]),
        },
    }
    if signed["attacks_detected"]:
        value["securityAttack"] = signed["attacks_detected"]
    return value


def _from_ecu(value: dict[str, Any]) -> dict[str, Any]:
    image = value["installedImage"]
    return {
        "ecu_serial": value["ecuIdentifier"],
        "previous_timeserver_time": date(value["previousTime"]),
        "timeserver_time": date(value["currentTime"]),
        "attacks_detected": value.get("securityAttack", ""),
        "installed_image": {
            "filepath": image["filename"],
            "fileinfo": {"length": image["length"], "hashes": _from_hashes(image)},
        },
    }


def _vehicle_value(signed: dict[str, Any]) -> dict[str, Any]:
    by_serial = signed["ecu_version_manifests"]
    manifests = [_object_value(manifest) for serial in sorted(by_serial) for manifest in by_serial[serial]]
    return {
        "vehicleIdentifier": signed["vin"],
        "primaryIdentifier": signed["primary_ecu_serial"],
        "numberOfECUVersionManifests": len(manifests),
        "ecuVersionManifests": manifests,
    }


def _from_vehicle(value: dict[str, Any]) -> dict[str, Any]:
    by_serial: dict[str, list[Signable]] = {}
    for index in range(value["numberOfECUVersionManifests"]):
        manifest = _from_object(ECU, value["ecuVersionManifests"][index])
        by_serial.setdefault(manifest["signed"]["ecu_serial"], []).append(manifest)
    return {
        "vin": value["vehicleIdentifier"],
        "primary_ecu_serial": value["primaryIdentifier"],
        "ecu_version_manifests": by_serial,
    }


_BODY_VALUE = {
    "root": _root_value,
    "targets": _targets_value,
    "snapshot": _snapshot_value,
    "timestamp": _timestamp_value,
}
_FROM_BODY = {"root": _from_root, "targets": _from_targets, "snapshot": _from_snapshot, "timestamp": _from_timestamp}
_SIGNED_VALUE = {ROLE: _role_value, TIME: _time_value, ECU: _ecu_value, VEHICLE: _vehicle_value}
_FROM_SIGNED = {ROLE: _from_role, TIME: _from_time, ECU: _from_ecu, VEHICLE: _from_vehicle}
