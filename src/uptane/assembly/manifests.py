"""What vehicles have said and shall have, for operators; each gives what it found, as a JSON object."""

from datetime import datetime
from typing import Any

from uptane.assembly.production import Systems
from uptane.metadata.envelope import Envelope
from uptane.metadata.identifiers import EcuIdentifier, VehicleIdentifier
from uptane.metadata.vehicle_manifest import VehicleVersionManifest
from uptane.metadata.version_report import EcuVersionReport

ALERTS = 20
"""Alerts that are shown of a vehicle, the newest."""


async def show_manifest(systems: Systems, vin: str) -> dict[str, Any]:
    """The latest manifest of a vehicle: the newest report of each ECU, and what the Director thought of it.

    Raises:
        UnknownVehicleError: no such vehicle.
    """
    director, vehicle, codec = systems.director, VehicleIdentifier(vin), systems.settings.profile.format
    record = await director.vehicle(vehicle)
    known = {ecu.ecu: ecu for ecu in await director.ecus(vehicle)}
    reports: dict[EcuIdentifier, Envelope[EcuVersionReport]] = {}
    primary = None
    if record.manifest is not None:
        manifest = codec.decode(VehicleVersionManifest, record.manifest).payload
        primary = str(manifest.primary)
        reports = {report.payload.ecu: report for report in manifest.reports}
    # A diff leaves out what has not changed, so the newest report of an ECU may have come before or after it.
    reports |= {
        name: codec.decode(EcuVersionReport, ecu.report) for name, ecu in known.items() if ecu.report is not None
    }
    assigned = await director.assigned(vehicle)
    return {
        "vehicle": vin,
        "received": _time(record.manifest_received),
        "primary": primary,
        "counter": record.manifest_counter or None,
        "reports": [
            {
                "ecu": str(name),
                "registered": name in known,
                "received": _time(known[name].report_received) if name in known else None,
                "installed": str(report.payload.installed.path),
                "length": report.payload.installed.length,
                **{function: digest.hex() for function, digest in report.payload.installed.digests},
                "shall_have": assigned.get(name),
                "time": _time(report.payload.time),
                "counter": report.payload.counter,
                "attacks_detected": report.payload.attacks_detected,
            }
            for name, report in sorted(reports.items())
        ],
        "silent": [str(name) for name in sorted(known.keys() - reports.keys())],
        "alerts": [
            {"time": _time(alert.time), "code": alert.code, "text": alert.text}
            for alert in await director.alerts(vehicle, ALERTS)
        ],
    }


async def list_assignments(systems: Systems, vin: str | None) -> dict[str, Any]:
    """What the ECUs of a vehicle, or of all, shall have, and whether they are known to have it."""
    director = systems.director
    vehicles = await director.vehicles() if vin is None else [VehicleIdentifier(vin)]
    found = []
    for vehicle in vehicles:
        assigned = await director.assigned(vehicle)
        outstanding = set(await director.outstanding(vehicle)) if assigned else set()
        found += [
            {"vehicle": str(vehicle), "ecu": str(ecu), "image": image, "done": ecu not in outstanding}
            for ecu, image in sorted(assigned.items())
        ]
    return {"assignments": found}


def _time(moment: datetime | None) -> str | None:
    return None if moment is None else f"{moment:%Y-%m-%dT%H:%M:%SZ}"
