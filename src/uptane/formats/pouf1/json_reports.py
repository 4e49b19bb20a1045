"""Version reports, vehicle manifests and time attestations as the JSON of the archived implementation."""

from collections.abc import Callable

from uptane.formats.canonical_json import Json, canonical, decode_canonical
from uptane.formats.json_fields import Fields, write_time
from uptane.formats.pouf1.json_roles import read_file, write_file
from uptane.formats.pouf1.rules import FILEINFO_CUSTOM, cannot_carry, check_no_extensions, check_uncounted, write_path
from uptane.metadata.envelope import Envelope
from uptane.metadata.errors import FormatError
from uptane.metadata.extensions import NO_EXTENSIONS, Extensions
from uptane.metadata.identifiers import EcuIdentifier, VehicleIdentifier
from uptane.metadata.time_attestation import TimeAttestation
from uptane.metadata.vehicle_manifest import VehicleVersionManifest
from uptane.metadata.version_report import EcuVersionReport


def write_report(report: EcuVersionReport) -> dict[str, Json]:
    """The `signed` object of an ECU manifest, as the archived implementation calls a version report."""
    check_uncounted(report)
    installed = write_file(report.installed)
    for name, raw in report.extensions:
        if name != FILEINFO_CUSTOM:
            raise cannot_carry(f"the extension {name!r}", "extensions")
        installed["custom"] = Fields(decode_canonical(raw), FILEINFO_CUSTOM).members
    return {
        "ecu_serial": str(report.ecu),
        "installed_image": {"filepath": write_path(report.installed.path), "fileinfo": installed},
        "timeserver_time": write_time(report.time),
        "previous_timeserver_time": write_time(report.previous_time),
        "attacks_detected": report.attacks_detected,
    }


def read_report(value: Json) -> EcuVersionReport:
    """The inverse of `write_report`."""
    fields = _begin(value, "ECU manifest", "ecu_serial")
    installed = Fields(fields.take("installed_image", dict), "installed image")
    described = Fields(installed.take("fileinfo", dict), "fileinfo")
    file = read_file(installed.take("filepath", str), described)
    custom = described.optional("custom", dict)
    described.nothing_else()
    installed.nothing_else()
    report = EcuVersionReport(
        ecu=EcuIdentifier(fields.take("ecu_serial", str)),
        installed=file,
        attacks_detected=fields.take("attacks_detected", str),
        time=fields.time("timeserver_time"),
        previous_time=fields.time("previous_timeserver_time"),
        counter=None,
        nonce=None,
        extensions=NO_EXTENSIONS if custom is None else _keep_custom(custom),
    )
    fields.nothing_else()
    return report


def _keep_custom(custom: Json) -> Extensions:
    """What the archived implementation leaves there: the Director's word for which ECU the image was."""
    fields = Fields(custom, FILEINFO_CUSTOM)
    EcuIdentifier(fields.take("ecu_serial", str))
    fields.nothing_else()
    return Extensions(((FILEINFO_CUSTOM, canonical(custom)),))


def write_manifest(manifest: VehicleVersionManifest, embed: Callable[[bytes], Json]) -> dict[str, Json]:
    """The `signed` object of a vehicle manifest; `embed` makes a signed report's bytes a member.

    The reports of one ECU stand in a list under its identifier, in the order of their arrival.
    """
    check_uncounted(manifest)
    check_no_extensions(manifest.extensions)
    reports: dict[str, list[Json]] = {}
    for report in manifest.reports:
        reports.setdefault(str(report.payload.ecu), []).append(embed(report.raw))
    return {
        "vin": str(manifest.vehicle),
        "primary_ecu_serial": str(manifest.primary),
        "ecu_version_manifests": reports,
    }


def read_manifest(value: Json, extract: Callable[[Json], Envelope[EcuVersionReport]]) -> VehicleVersionManifest:
    """The inverse of `write_manifest`; each report must stand under the ECU that it names."""
    fields = _begin(value, "vehicle manifest", "ecu_version_manifests")
    reports: list[Envelope[EcuVersionReport]] = []
    listed = Fields(fields.take("ecu_version_manifests", dict), "ecu_version_manifests")
    for ecu in tuple(listed.members):
        for member in listed.take(ecu, list):
            report = extract(member)
            if report.payload.ecu != ecu:
                raise FormatError(f"the report under {ecu[:40]!r} is of {report.payload.ecu}", field="reports")
            reports.append(report)
    manifest = VehicleVersionManifest(
        vehicle=VehicleIdentifier(fields.take("vin", str)),
        primary=EcuIdentifier(fields.take("primary_ecu_serial", str)),
        reports=tuple(reports),
        counter=None,
    )
    fields.nothing_else()
    return manifest


def write_attestation(attestation: TimeAttestation) -> dict[str, Json]:
    """The `signed` object of a time attestation."""
    check_no_extensions(attestation.extensions)
    return {"time": write_time(attestation.time), "nonces": list(attestation.nonces)}


def read_attestation(value: Json) -> TimeAttestation:
    """The inverse of `write_attestation`."""
    fields = _begin(value, "time attestation", "nonces")
    attestation = TimeAttestation(time=fields.time("time"), nonces=tuple(fields.take("nonces", list)))
    fields.nothing_else()
    return attestation


def _begin(value: Json, where: str, member: str) -> Fields:
    """The members of an object that no `_type` names: the member tells it, which only its kind has."""
    fields = Fields(value, where)
    if "_type" in fields.members or member not in fields.members:
        raise FormatError(f"not a signed {where}, which has {member} and no _type", field="type")
    return fields
