"""Reports and manifests as plain values that a console can print, whatever their wire format."""

from uptane.formats.json_reports import write_report
from uptane.metadata.envelope import Envelope
from uptane.metadata.vehicle_manifest import VehicleVersionManifest
from uptane.metadata.version_report import EcuVersionReport


def readable_report(report: Envelope[EcuVersionReport]) -> dict[str, object]:
    """The signed part of a report, as its JSON form has it."""
    return write_report(report.payload)


def readable_manifest(manifest: Envelope[VehicleVersionManifest]) -> dict[str, object]:
    """The signed part of a manifest, with the reports by ECU."""
    payload = manifest.payload
    return {
        "vin": str(payload.vehicle),
        "primary_ecu_serial": str(payload.primary),
        "counter": payload.counter,
        "ecu_version_manifests": {str(report.payload.ecu): readable_report(report) for report in payload.reports},
    }
