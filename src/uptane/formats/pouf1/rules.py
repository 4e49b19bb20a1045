"""What both archived formats share: names on the wire, and what their wire cannot carry."""

from dataclasses import dataclass

from uptane.metadata.digests import Digests
from uptane.metadata.errors import FormatError
from uptane.metadata.extensions import Extensions
from uptane.metadata.identifiers import EcuIdentifier, ImagePath
from uptane.metadata.root import Common, Root
from uptane.metadata.snapshot import MetadataFile, Snapshot
from uptane.metadata.targets import NO_CUSTOM, Custom, EcuAssignment, Image, MustMatch, Targets
from uptane.metadata.vehicle_manifest import VehicleVersionManifest
from uptane.metadata.version_report import EcuVersionReport

HASH_FUNCTIONS = ("sha256", "sha512")
"""The functions that the archived decoders know."""

FILEINFO_CUSTOM = "installed_image.fileinfo.custom"
"""The extension of a version report that holds what the archived implementation leaves there in JSON: the custom data
of the Director's entry for the installed image. DER never has it."""

_IMAGES_FOLDER = "/"
"""What every image name on the wire begins with, once."""


@dataclass(frozen=True, slots=True)
class ArchivedLimits:
    """What the archived DER encoder can write; it reads more, and so do we.

    The sizes stand in `uptane/encoding/asn1_definitions.py` (client objects) and in the same file of the TUF fork
    (role metadata) of the archived implementation. Where our own values are narrower, no limit is repeated here.

    Args:
        name: characters of a name in role metadata: of an image with its leading `/`, an ECU, a file.
        images: images in Targets.
        files: Targets files in Snapshot.
        signatures: signatures of role metadata.
        reports: reports in a vehicle manifest.
        integer: the greatest integer; of times the first is 1.
    """

    name: int = 32
    images: int = 128
    files: int = 128
    signatures: int = 8
    reports: int = 256
    integer: int = 2**32 - 1


LIMITS = ArchivedLimits()


def cannot_carry(what: str, field: str) -> FormatError:
    """The error for a value that the wire has no place for."""
    return FormatError(
        f"the formats of the archived implementation cannot carry {what}",
        next_step="Leave it out, or use the format der or json.",
        field=field,
    )


def read_path(text: str) -> ImagePath:
    """The relative path of an image name on the wire, which begins with exactly one `/`."""
    if not text.startswith(_IMAGES_FOLDER):
        raise FormatError(f"an image name must begin with {_IMAGES_FOLDER}: {text[:40]!r}", field="image path")
    return ImagePath(text.removeprefix(_IMAGES_FOLDER))


def write_path(path: ImagePath) -> str:
    """The inverse of `read_path`."""
    return f"{_IMAGES_FOLDER}{path}"


def check_hashes(digests: Digests) -> Digests:
    """Returns hashes of the functions that the archived implementation knows; FormatError for another one."""
    for name, _ in digests:
        if name not in HASH_FUNCTIONS:
            raise cannot_carry(f"a hash of {name}", "hashes")
    return digests


def check_no_extensions(extensions: Extensions) -> None:
    """Raises FormatError where there is an extension."""
    for name, _ in extensions:
        raise cannot_carry(f"the extension {name!r}", "extensions")


def check_common(payload: Common) -> None:
    """Raises FormatError for role metadata with anything that the wire has no place for, entries apart."""
    if payload.vehicle is not None:
        raise cannot_carry("the vehicle that metadata is for", "vehicle")
    check_no_extensions(payload.extensions)
    match payload:
        case Root() if payload.consistent_snapshot:
            raise cannot_carry("consistent snapshots", "consistent_snapshot")
        case Targets() if payload.delegations or payload.delegations.extensions:
            raise cannot_carry("delegations, which the archived implementation misreads", "delegations")


def root_entry(snapshot: Snapshot) -> MetadataFile:
    """The Root entry of a Snapshot, which must be there; FormatError also where a Targets file has length or hashes."""
    for name, file in snapshot.files.items():
        if file.length is not None or file.digests is not None:
            raise cannot_carry(f"length or hashes of {name} in Snapshot", "meta")
        if name == "root":
            raise cannot_carry("a Targets file by the name of root", "meta")
    if snapshot.root is None:
        raise cannot_carry("a Snapshot without its Root entry", "meta")
    return snapshot.root


def length_and_hash(file: MetadataFile) -> tuple[int, Digests]:
    """Length and SHA-256 of a listed file, which has both and no other hash."""
    if file.length is None or file.digests is None or [name for name, _ in file.digests] != ["sha256"]:
        raise cannot_carry("a metadata file with anything but its length and its SHA-256", "meta")
    return file.length, file.digests


def assigned_ecu(path: ImagePath, image: Image) -> EcuIdentifier | None:
    """The one ECU that an image is for, if any: that is all custom data there is."""
    if image.file.path != path:
        raise FormatError(f"image {image.file.path!r} is listed under another name: {path!r}", field="images")
    custom = image.custom
    if custom == NO_CUSTOM:
        return None
    for what, there in _beyond_ecus(custom).items():
        if there:
            raise cannot_carry(f"{what} (image {path})", "custom")
    (ecu,) = custom.ecus
    return ecu


def _beyond_ecus(custom: Custom) -> dict[str, bool]:
    assignments = tuple(custom.ecus.values())
    return {
        "a release counter": custom.must_match.release_counter is not None,
        "hardware identifiers": custom.must_match.hardware_ids is not None,
        "custom data that must match": custom.must_match != MustMatch(),
        "a download URL": custom.url is not None,
        "extensions of custom data": bool(custom.extensions),
        "several ECUs for one image": len(assignments) > 1,
        "the hardware identifier of an ECU": any(each.hardware_id is not None for each in assignments),
        "an encrypted image": any(each.encrypted is not None for each in assignments),
        "extensions of an ECU": any(each != EcuAssignment() for each in assignments),
    }


def check_uncounted(payload: EcuVersionReport | VehicleVersionManifest) -> None:
    """Raises FormatError for a report or manifest with a counter or nonce."""
    nonce = payload.nonce if isinstance(payload, EcuVersionReport) else None
    if payload.counter is not None or nonce is not None:
        raise cannot_carry("a counter or a nonce in reports and manifests", "counter")
