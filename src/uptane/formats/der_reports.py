"""Version reports, vehicle manifests, time attestations and the repository map in DER."""

from collections.abc import Callable

from cryptography.hazmat import asn1

from uptane.formats.der_fields import (
    check_order,
    read,
    read_extensions,
    read_time,
    write_extensions,
    write_time,
)
from uptane.formats.der_images import read_encoded_file, write_file
from uptane.formats.der_objects import Outline
from uptane.formats.der_schema import (
    ReceivedReport,
    WireAttestation,
    WireManifest,
    WireMap,
    WireMapping,
    WireReport,
    WireRepository,
    WireRepositoryKind,
)
from uptane.metadata.envelope import Envelope
from uptane.metadata.errors import FormatError
from uptane.metadata.identifiers import EcuIdentifier, PathPattern, RepositoryName, VehicleIdentifier
from uptane.metadata.repository_map import MappedRepository, Mapping, RepositoryKind, RepositoryMap
from uptane.metadata.time_attestation import TimeAttestation
from uptane.metadata.vehicle_manifest import MAX_REPORTS, VehicleVersionManifest
from uptane.metadata.version_report import EcuVersionReport


def write_report(report: EcuVersionReport) -> WireReport:
    """The payload of a version report."""
    counter, nonce = report.require_freshness()
    return WireReport(
        ecu=report.ecu,
        installed=write_file(report.installed),
        attacks_detected=report.require_one_line(),
        time=write_time(report.time),
        previous_time=write_time(report.previous_time),
        counter=counter,
        nonce=nonce,
        extensions=write_extensions(report.extensions),
    )


def read_report(entry: ReceivedReport) -> EcuVersionReport:
    """The inverse of `write_report`."""
    report = EcuVersionReport(
        ecu=EcuIdentifier(entry.ecu),
        installed=read_encoded_file(asn1.encode_der(entry.installed)),
        attacks_detected=entry.attacks_detected,
        time=read_time(entry.time),
        previous_time=read_time(entry.previous_time),
        counter=entry.counter,
        nonce=entry.nonce,
        extensions=read_extensions(entry.extensions),
    )
    report.require_one_line()
    return report


def write_manifest(manifest: VehicleVersionManifest) -> WireManifest:
    """The payload of a vehicle manifest, with the exact bytes of every report."""
    return WireManifest(
        vehicle=manifest.vehicle,
        primary=manifest.primary,
        reports=[_embed(report) for report in manifest.require_one_report_each()],
        counter=manifest.require_counter(),
        extensions=write_extensions(manifest.extensions),
    )


def _embed(report: Envelope[EcuVersionReport]) -> asn1.TLV:
    read(Outline, report.raw, f"signed version report of {report.payload.ecu}")
    return asn1.decode_der(asn1.TLV, report.raw)


def read_manifest(
    entry: WireManifest, decode_report: Callable[[bytes], Envelope[EcuVersionReport]]
) -> VehicleVersionManifest:
    """The inverse of `write_manifest`; `decode_report` reads each report from its exact bytes."""
    if len(entry.reports) > MAX_REPORTS:
        raise FormatError(f"more than {MAX_REPORTS} reports", field="reports")
    reports = tuple(decode_report(asn1.encode_der(report)) for report in entry.reports)
    check_order([report.payload.ecu for report in reports], "reports")
    return VehicleVersionManifest(
        vehicle=VehicleIdentifier(entry.vehicle),
        primary=EcuIdentifier(entry.primary),
        reports=reports,
        counter=entry.counter,
        extensions=read_extensions(entry.extensions),
    )


def write_attestation(attestation: TimeAttestation) -> WireAttestation:
    """The payload of a time attestation."""
    return WireAttestation(
        time=write_time(attestation.time),
        nonces=list(attestation.nonces),
        extensions=write_extensions(attestation.extensions),
    )


def read_attestation(entry: WireAttestation) -> TimeAttestation:
    """The inverse of `write_attestation`."""
    return TimeAttestation(
        time=read_time(entry.time), nonces=tuple(entry.nonces), extensions=read_extensions(entry.extensions)
    )


def write_map(repository_map: RepositoryMap) -> WireMap:
    """The repository map."""
    return WireMap(
        repositories=[
            WireRepository(
                name=repository.name, kind=WireRepositoryKind[repository.kind.name], urls=list(repository.urls)
            )
            for repository in repository_map.repositories
        ],
        mappings=[
            WireMapping(
                paths=list(mapping.paths), repositories=list(mapping.repositories), terminating=mapping.terminating
            )
            for mapping in repository_map.mappings
        ],
        extensions=write_extensions(repository_map.extensions),
    )


def read_map(entry: WireMap) -> RepositoryMap:
    """The inverse of `write_map`."""
    return RepositoryMap(
        repositories=tuple(
            MappedRepository(
                name=RepositoryName(repository.name),
                kind=RepositoryKind[repository.kind.name],
                urls=tuple(repository.urls),
            )
            for repository in entry.repositories
        ),
        mappings=tuple(
            Mapping(
                paths=tuple(PathPattern(path) for path in mapping.paths),
                repositories=tuple(RepositoryName(name) for name in mapping.repositories),
                terminating=mapping.terminating,
            )
            for mapping in entry.mappings
        ),
        extensions=read_extensions(entry.extensions),
    )
