"""`uptane metadata show`: any metadata file, readably, and whether it verifies under a Root."""

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from uptane.cli.exit_codes import CHECK_FAILED
from uptane.cli.metadata_description import Described, describe, describe_key, describe_map, describe_signatures, lines
from uptane.formats.profile import Format, Payload
from uptane.formats.profiles import profile_of, recognised
from uptane.metadata.envelope import Envelope
from uptane.metadata.errors import BadSignatureError, FormatError, SecurityError, WrongVehicleError
from uptane.metadata.keys import PublicKey
from uptane.metadata.repository_map import RepositoryMap
from uptane.metadata.root import Common, Role, Root
from uptane.metadata.snapshot import Snapshot
from uptane.metadata.targets import Targets
from uptane.metadata.time_attestation import TimeAttestation
from uptane.metadata.timestamp import Timestamp
from uptane.metadata.vehicle_manifest import VehicleVersionManifest
from uptane.metadata.version_report import EcuVersionReport
from uptane.verification.threshold import check_threshold

MAX_FILE_BYTES = 256_000_000
"""Bytes read of a file: more than any repository may publish as one file."""

_KIND_FIELDS = ("_type", "type")
"""The fields that say of what kind a signed object is, in JSON and in DER."""

_ROLES: dict[type[Payload], Role] = {
    Root: Role.ROOT,
    Timestamp: Role.TIMESTAMP,
    Snapshot: Role.SNAPSHOT,
    Targets: Role.TARGETS,
}
_TITLES: dict[type[Payload] | type[RepositoryMap] | type[PublicKey], str] = {
    Root: "Root metadata",
    Timestamp: "Timestamp metadata",
    Snapshot: "Snapshot metadata",
    Targets: "Targets metadata",
    EcuVersionReport: "ECU version report",
    VehicleVersionManifest: "Vehicle version manifest",
    TimeAttestation: "Time attestation",
    RepositoryMap: "Repository map",
    PublicKey: "Public key",
}


@dataclass(frozen=True, slots=True)
class MetadataText:
    """A file that was decoded.

    Args:
        format: its wire format.
        content: the signed object, the map or the key.
    """

    format: Format
    content: Envelope[Payload] | RepositoryMap | PublicKey

    @property
    def title(self) -> str:
        """What it is, in the Standard's words."""
        content = self.content
        return _TITLES[type(content.payload) if isinstance(content, Envelope) else type(content)]

    def described(self) -> dict[str, Described]:
        """Its values and who signed it."""
        if isinstance(self.content, RepositoryMap):
            return describe_map(self.content)
        if isinstance(self.content, PublicKey):
            return describe_key(self.content)
        return describe(self.content.payload) | describe_signatures(self.content)


def show(
    file: Path,
    /,
    *,
    root: Path | None = None,
    json_output: Annotated[bool, Parameter(name="--json", negative=())] = False,
) -> int:
    """Print a metadata file of any role and format readably; with a Root, say whether it verifies.

    Signatures are counted as a vehicle counts them. Expiry, versions and what other roles say are not judged.
    The exit code is 0 if the file is shown and, with a Root, verifies, and 1 if it does not or is malformed.

    Args:
        file: a metadata file, version report, manifest, time attestation, repository map or public key.
        root: Root metadata whose keys and thresholds shall decide.
        json_output: print one JSON object and nothing else.
    """
    read = read_metadata(file)
    problem: SecurityError | None = None
    if root is not None:
        try:
            check_under_root(read, file, root)
        except SecurityError as error:
            problem = error
    if json_output:
        print(json.dumps(_as_json(read, file, root, problem), indent=1))
    else:
        print(f"{read.title} in {read.format.name}: {file}")
        print(*lines(read.described(), "  "), sep="\n")
        if root is not None:
            print(f"Verifies under {root}." if problem is None else f"Does not verify under {root}: {problem}")
    return 0 if problem is None else CHECK_FAILED


def read_metadata(file: Path) -> MetadataText:
    """The content of a file, which tells its own format.

    Raises:
        FormatError: it is nothing that this project writes.
        OSError: it cannot be read.
    """
    with file.open("rb") as opened:
        raw = opened.read(MAX_FILE_BYTES + 1)
    if len(raw) > MAX_FILE_BYTES:
        raise FormatError(f"{file} has more than {MAX_FILE_BYTES} bytes", field="length")
    wire = (recognised(raw) or profile_of("json" if raw.lstrip()[:1] == b"{" else "der")).format
    reasons: dict[str, FormatError] = {}
    kinds: tuple[type[Any], ...] = (*_ROLES, EcuVersionReport, VehicleVersionManifest, TimeAttestation)
    for kind in kinds:
        try:
            return MetadataText(wire, wire.decode(kind, raw))
        except FormatError as error:
            reasons[_TITLES[kind]] = error
    try:
        return MetadataText(wire, wire.decode_map(raw))
    except FormatError as error:
        reasons[_TITLES[RepositoryMap]] = error
    try:
        return MetadataText(wire, wire.decode_key(raw))
    except FormatError as error:
        reasons[_TITLES[PublicKey]] = error
    raise _nothing(file, wire, reasons)


def check_under_root(read: MetadataText, file: Path, root: Path) -> None:
    """Raises SecurityError unless the file is signed as the Root in `root` asks for its role.

    Raises:
        FormatError: `root` is no Root metadata, or `file` is of no role that a Root names.
        WrongVehicleError: the two are for different vehicles.
        BadSignatureError: too few signatures by the role's keys.
    """
    trusted = read_metadata(root).content
    if not isinstance(trusted, Envelope) or not isinstance(trusted.payload, Root):
        raise FormatError(f"{root} is not Root metadata", field="root")
    content = read.content
    if not isinstance(content, Envelope) or not isinstance(content.payload, Common):
        raise FormatError(
            f"a Root names no keys for a {read.title[:1].lower()}{read.title[1:]}",
            next_step="Its signer's key is registered elsewhere.",
            field="role",
        )
    payload = content.payload
    if payload.vehicle != trusted.payload.vehicle:
        raise WrongVehicleError(
            f"the file is for vehicle {payload.vehicle or 'none'}, the Root for {trusted.payload.vehicle or 'none'}",
            expected=trusted.payload.vehicle,
            offered=payload.vehicle,
        )
    role = _ROLES[type(payload)]
    try:
        check_threshold(content, trusted.payload.keys, trusted.payload.roles[role], repository=str(root), role=role)
    except BadSignatureError as error:
        hint = "Its keys may stand in another version of Root."
        if role is Role.TARGETS:
            hint = "If it is a delegated role, its keys stand in the role that delegates to it."
        raise BadSignatureError(
            f"{file} has {error.facts['offered']} valid signature(s) by the keys that {root} names for {role}, "
            f"and needs {error.facts['expected']}",
            next_step=hint,
            **error.facts,
        ) from error


def _nothing(file: Path, wire: Format, reasons: Mapping[str, FormatError]) -> FormatError:
    """The one error that tells most: of the kind that the file is named after, else the most frequent one.

    That something is of another kind tells least.
    """
    claimed = {title: error.what for title, error in reasons.items() if error.facts.get("field") not in _KIND_FIELDS}
    role = file.name.split(".")[-2:-1]
    named = [what for title, what in claimed.items() if role == [title.split()[0].lower()]]
    whats = named or list(claimed.values()) or [error.what for error in reasons.values()]
    reason, _ = Counter(whats).most_common(1)[0]
    return FormatError(f"{file} is not {wire.name} metadata: {reason}", field="file")


def _as_json(
    read: MetadataText, file: Path, root: Path | None, problem: SecurityError | None
) -> dict[str, str | dict[str, Described]]:
    shown: dict[str, str | dict[str, Described]] = {
        "file": str(file),
        "format": read.format.name,
        "kind": read.title,
        "content": read.described(),
    }
    if root is not None:
        verification: dict[str, Described] = {"root": str(root), "verifies": problem is None}
        if problem is not None:
            verification |= {"reason": str(problem), "code": problem.code}
            verification |= {"attack": str(problem.attack)} if problem.attack else {}
        shown["verification"] = verification
    return shown
