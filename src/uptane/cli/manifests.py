"""Commands for operators: what vehicles said, and what they shall have."""

from pathlib import Path
from typing import Any

from uptane.cli.operating import run, tell
from uptane.cli.options import AsJson, Servers


def manifest_show(vin: str, *, servers: Servers = Path(), json_output: AsJson = False) -> None:
    """Show the latest manifest of a vehicle: what each ECU reported, attacks among it, and the newest alerts.

    Args:
        vin: the vehicle's identifier.
        servers: the folder of `uptane init`.
        json_output: print one JSON object.
    """
    from uptane.assembly.manifests import show_manifest

    said = run(servers, lambda systems: show_manifest(systems, vin))
    tell(said, "\n".join(_lines(said)), json_output)


def _lines(said: dict[str, Any]) -> list[str]:
    if said["received"] is None:
        return [f"{said['vehicle']} has sent no manifest yet."]
    lines = [f"{said['vehicle']}: manifest {said['counter']} of Primary {said['primary']}, received {said['received']}"]
    for report in said["reports"]:
        what = f"  {report['ecu']} runs {report['installed']} ({report['length']} bytes, sha256 {report.get('sha256')})"
        lines.append(what if report["registered"] else f"{what}; NOT REGISTERED, and set aside")
        if report["attacks_detected"]:
            lines.append(f"    attacks detected: {report['attacks_detected']}")
    lines += [f"  {ecu} has reported nothing" for ecu in said["silent"]]
    return lines + [f"  ! {alert['time']} {alert['code']}: {alert['text']}" for alert in said["alerts"]]


def assignment_list(vin: str = "", *, servers: Servers = Path(), json_output: AsJson = False) -> None:
    """List what ECUs shall have, and whether they are known to have it.

    Args:
        vin: the vehicle's identifier; every vehicle where none is given.
        servers: the folder of `uptane init`.
        json_output: print one JSON object.
    """
    from uptane.assembly.manifests import list_assignments

    said = run(servers, lambda systems: list_assignments(systems, vin or None))
    lines = [
        f"{each['vehicle']} {each['ecu']} shall have {each['image']}, {'and has it' if each['done'] else 'not yet'}"
        for each in said["assignments"]
    ]
    tell(said, "\n".join(lines) or "Nothing is assigned.", json_output)
