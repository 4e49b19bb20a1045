"""Reports and manifests as plain values that a console can print, whatever their wire format."""

from uptane.formats.json_fields import write_digests, write_time
from uptane.metadata.envelope import Envelope
from uptane.metadata.vehicle_manifest import VehicleVersionManifest
from uptane.metadata.version_report import EcuVersionReport


def readable_report(report: Envelope[EcuVersionReport]) -> dict[str, object]:
    """The signed part of a report, under the names of its JSON form."""
    payload = report.payload
    file = payload.installed
    fileinfo = {"length": file.length, "hashes": write_digests(file.digests)}
    installed = {"filepath": str(file.path), "fileinfo": fileinfo}
    readable: dict[str, object] = {
        "ecu_serial": str(payload.ecu),
        "installed_image": installed,
        "attacks_detected": payload.attacks_detected,
        "timeserver_time": write_time(payload.time),
        "previous_timeserver_time": write_time(payload.previous_time),
    }
    if payload.counter is not None:
        readable |= {"counter": payload.counter, "nonce": payload.nonce}
    return readable


def readable_manifest(manifest: Envelope[VehicleVersionManifest]) -> dict[str, object]:
    """The signed part of a manifest, with the reports by ECU: a list of them where it may hold several of one."""
    payload = manifest.payload
    readable: dict[str, object] = {"vin": str(payload.vehicle), "primary_ecu_serial": str(payload.primary)}
    if payload.counter is not None:
        one_each = {str(report.payload.ecu): readable_report(report) for report in payload.reports}
        return readable | {"counter": payload.counter, "ecu_version_manifests": one_each}
    several: dict[str, list[object]] = {}
    for report in payload.reports:
        several.setdefault(str(report.payload.ecu), []).append(readable_report(report))
    return readable | {"ecu_version_manifests": several}
