"""Version reports, vehicle manifests and time attestations in the archived DER."""

from collections.abc import Callable
from itertools import pairwise

from cryptography.hazmat import asn1

from uptane.formats.pouf1.der_fields import (
    check_integer,
    check_limit,
    check_number,
    read_hashes,
    read_lines,
    read_time,
    read_visible_string,
    visible_string,
    write_hashes,
    write_lines,
    write_text,
    write_time,
)
from uptane.formats.pouf1.der_schema import (
    WireAttestation,
    WireInstalledImage,
    WireManifest,
    WireReport,
    WireReportOfAttack,
)
from uptane.formats.pouf1.rules import (
    LIMITS,
    check_no_extensions,
    check_uncounted,
    read_path,
    write_path,
)
from uptane.metadata.envelope import Envelope
from uptane.metadata.errors import FormatError
from uptane.metadata.identifiers import EcuIdentifier, VehicleIdentifier
from uptane.metadata.targets import ImageFile
from uptane.metadata.time_attestation import TimeAttestation
from uptane.metadata.vehicle_manifest import MAX_REPORTS, VehicleVersionManifest
from uptane.metadata.version_report import EcuVersionReport

DecodeReport = Callable[[bytes], Envelope[EcuVersionReport]]


def write_report(report: EcuVersionReport) -> WireReport | WireReportOfAttack:
    """The payload of an ECU manifest, as the archived implementation calls a version report."""
    check_uncounted(report)
    check_no_extensions(report.extensions)
    ecu = _write_name(report.ecu, "the ECU identifier")
    previous_time = write_time(report.previous_time, "previous time")
    current_time = write_time(report.time, "time")
    installed = _write_installed(report.installed)
    if not report.attacks_detected:
        return WireReport(ecu=ecu, previous_time=previous_time, current_time=current_time, installed=installed)
    return WireReportOfAttack(
        ecu=ecu,
        previous_time=previous_time,
        current_time=current_time,
        attack=write_lines(report.attacks_detected, "attacks detected"),
        installed=installed,
    )


def read_report(entry: WireReport | WireReportOfAttack) -> EcuVersionReport:
    """The inverse of `write_report`."""
    attacks = read_lines(entry.attack, "attacks detected") if isinstance(entry, WireReportOfAttack) else ""
    return EcuVersionReport(
        ecu=EcuIdentifier(read_visible_string(entry.ecu, "ECU identifier")),
        installed=_read_installed(entry.installed),
        attacks_detected=attacks,
        time=read_time(entry.current_time, "time"),
        previous_time=read_time(entry.previous_time, "previous time"),
        counter=None,
        nonce=None,
    )


def _write_installed(file: ImageFile) -> WireInstalledImage:
    hashes = write_hashes(file.digests)
    return WireInstalledImage(
        filename=_write_name(write_path(file.path), "the image name"),
        length=check_integer(file.length, "a length"),
        number_of_hashes=len(hashes),
        hashes=hashes,
    )


def _read_installed(entry: WireInstalledImage) -> ImageFile:
    return ImageFile(
        path=read_path(read_visible_string(entry.filename, "image name")),
        length=entry.length,
        digests=read_hashes(entry.number_of_hashes, entry.hashes),
    )


def write_manifest(manifest: VehicleVersionManifest, decode_report: DecodeReport) -> WireManifest:
    """The payload of a vehicle manifest, with the exact bytes of every report, which `decode_report` must accept."""
    check_uncounted(manifest)
    check_no_extensions(manifest.extensions)
    check_limit(manifest.reports, LIMITS.reports, "reports")
    for report in manifest.reports:
        decode_report(report.raw)
    return WireManifest(
        vehicle=_write_name(manifest.vehicle, "the vehicle identifier"),
        primary=_write_name(manifest.primary, "the ECU identifier"),
        number_of_reports=len(manifest.reports),
        reports=[asn1.decode_der(asn1.TLV, report.raw) for report in manifest.reports],
    )


def read_manifest(entry: WireManifest, decode_report: DecodeReport) -> VehicleVersionManifest:
    """The inverse of `write_manifest`: reports in the order of their ECUs, those of one ECU as they arrived."""
    check_number(entry.number_of_reports, entry.reports, "reports")
    if len(entry.reports) > MAX_REPORTS:
        raise FormatError(f"more than {MAX_REPORTS} reports", field="reports")
    reports = tuple(decode_report(asn1.encode_der(report)) for report in entry.reports)
    for former, latter in pairwise(report.payload.ecu for report in reports):
        if former > latter:
            raise FormatError(
                f"reports must be in the order of their ECUs: {latter!r} after {former!r}", field="reports"
            )
    return VehicleVersionManifest(
        vehicle=VehicleIdentifier(read_visible_string(entry.vehicle, "vehicle identifier")),
        primary=EcuIdentifier(read_visible_string(entry.primary, "ECU identifier")),
        reports=reports,
        counter=None,
    )


def write_attestation(attestation: TimeAttestation) -> WireAttestation:
    """The payload of a time attestation."""
    check_no_extensions(attestation.extensions)
    return WireAttestation(
        number_of_tokens=len(attestation.nonces),
        tokens=list(attestation.nonces),
        timestamp=write_time(attestation.time, "time"),
    )


def read_attestation(entry: WireAttestation) -> TimeAttestation:
    """The inverse of `write_attestation`."""
    check_number(entry.number_of_tokens, entry.tokens, "tokens")
    return TimeAttestation(time=read_time(entry.timestamp, "time"), nonces=tuple(entry.tokens))


def _write_name(name: str, field: str) -> asn1.TLV:
    return visible_string(write_text(name, field))
