"""Version reports, vehicle manifests, time attestations and the repository map as JSON."""

from collections.abc import Callable

from uptane.formats.canonical_json import Json
from uptane.formats.json_fields import Fields, add_extensions, write_time
from uptane.formats.json_images import read_file, write_file
from uptane.metadata.envelope import Envelope
from uptane.metadata.errors import FormatError
from uptane.metadata.identifiers import EcuIdentifier, PathPattern, RepositoryName, VehicleIdentifier
from uptane.metadata.repository_map import MappedRepository, Mapping, RepositoryKind, RepositoryMap
from uptane.metadata.time_attestation import TimeAttestation
from uptane.metadata.vehicle_manifest import VehicleVersionManifest
from uptane.metadata.version_report import EcuVersionReport

REPORT_TYPE = "ecu_version_report"
MANIFEST_TYPE = "vehicle_version_manifest"
ATTESTATION_TYPE = "time_attestation"


def write_report(report: EcuVersionReport) -> dict[str, Json]:
    """The `signed` object of an ECU version report."""
    counter, nonce = report.require_freshness()
    members: dict[str, Json] = {
        "_type": REPORT_TYPE,
        "ecu_serial": str(report.ecu),
        "installed_image": {"filepath": str(report.installed.path), "fileinfo": write_file(report.installed)},
        "attacks_detected": report.require_one_line(),
        "timeserver_time": write_time(report.time),
        "previous_timeserver_time": write_time(report.previous_time),
        "counter": counter,
        "nonce": nonce,
    }
    return add_extensions(members, report.extensions)


def read_report(value: Json) -> EcuVersionReport:
    """The inverse of `write_report`."""
    fields = Fields(value, "ECU version report")
    fields.literal("_type", REPORT_TYPE)
    installed = Fields(fields.take("installed_image", dict), "installed image")
    report = EcuVersionReport(
        ecu=EcuIdentifier(fields.take("ecu_serial", str)),
        installed=read_file(installed.take("filepath", str), installed.take("fileinfo", dict)),
        attacks_detected=fields.take("attacks_detected", str),
        time=fields.time("timeserver_time"),
        previous_time=fields.time("previous_timeserver_time"),
        counter=fields.take("counter", int),
        nonce=fields.take("nonce", int),
        extensions=fields.rest(),
    )
    report.require_one_line()
    return report


def write_manifest(manifest: VehicleVersionManifest, embed: Callable[[bytes], Json]) -> dict[str, Json]:
    """The `signed` object of a vehicle manifest; `embed` makes a signed report's bytes a member."""
    members: dict[str, Json] = {
        "_type": MANIFEST_TYPE,
        "vin": str(manifest.vehicle),
        "primary_ecu_serial": str(manifest.primary),
        "ecu_version_manifests": {
            str(report.payload.ecu): embed(report.raw) for report in manifest.require_one_report_each()
        },
        "counter": manifest.require_counter(),
    }
    return add_extensions(members, manifest.extensions)


def read_manifest(value: Json, extract: Callable[[Json], Envelope[EcuVersionReport]]) -> VehicleVersionManifest:
    """The inverse of `write_manifest`; each report must stand under the ECU that it names."""
    fields = Fields(value, "vehicle version manifest")
    fields.literal("_type", MANIFEST_TYPE)
    reports: list[Envelope[EcuVersionReport]] = []
    for ecu, member in fields.take("ecu_version_manifests", dict).items():
        report = extract(member)
        if report.payload.ecu != ecu:
            raise FormatError(f"the report under {ecu[:40]!r} is of {report.payload.ecu}", field="reports")
        reports.append(report)
    return VehicleVersionManifest(
        vehicle=VehicleIdentifier(fields.take("vin", str)),
        primary=EcuIdentifier(fields.take("primary_ecu_serial", str)),
        reports=tuple(reports),
        counter=fields.take("counter", int),
        extensions=fields.rest(),
    )


def write_attestation(attestation: TimeAttestation) -> dict[str, Json]:
    """The `signed` object of a time attestation."""
    members: dict[str, Json] = {
        "_type": ATTESTATION_TYPE,
        "time": write_time(attestation.time),
        "nonces": list(attestation.nonces),
    }
    return add_extensions(members, attestation.extensions)


def read_attestation(value: Json) -> TimeAttestation:
    """The inverse of `write_attestation`."""
    fields = Fields(value, "time attestation")
    fields.literal("_type", ATTESTATION_TYPE)
    return TimeAttestation(
        time=fields.time("time"), nonces=tuple(fields.take("nonces", list)), extensions=fields.rest()
    )


def write_map(repository_map: RepositoryMap) -> dict[str, Json]:
    """The repository map, much as TAP 4 writes it, with the kind of each repository."""
    repositories = {
        str(repository.name): {"kind": str(repository.kind), "urls": list(repository.urls)}
        for repository in repository_map.repositories
    }
    mappings = [
        {
            "paths": [str(path) for path in mapping.paths],
            "repositories": [str(name) for name in mapping.repositories],
            "terminating": mapping.terminating,
        }
        for mapping in repository_map.mappings
    ]
    return add_extensions({"repositories": repositories, "mapping": mappings}, repository_map.extensions)


def read_map(value: Json) -> RepositoryMap:
    """The inverse of `write_map`; repositories come in the order of their names."""
    fields = Fields(value, "repository map")
    repositories: list[MappedRepository] = []
    for name, entry in sorted(fields.take("repositories", dict).items()):
        described = Fields(entry, f"repository {name[:40]}")
        kind = described.take("kind", str)
        if kind not in set(RepositoryKind):
            raise FormatError(f"unknown kind of repository: {kind[:40]!r}", field="kind")
        urls = described.texts("urls", str)
        repositories.append(MappedRepository(name=RepositoryName(name), kind=RepositoryKind(kind), urls=urls))
    mappings: list[Mapping] = []
    for entry in fields.take("mapping", list):
        described = Fields(entry, "mapping")
        mappings.append(
            Mapping(
                paths=described.texts("paths", PathPattern),
                repositories=described.texts("repositories", RepositoryName),
                terminating=described.take("terminating", bool),
            )
        )
    return RepositoryMap(repositories=tuple(repositories), mappings=tuple(mappings), extensions=fields.rest())
