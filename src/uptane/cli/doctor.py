"""`uptane doctor`: whether production servers can do their work."""

from pathlib import Path
from typing import Literal

from uptane.cli.exit_codes import CHECK_FAILED
from uptane.cli.options import AsJson, Servers


def doctor(
    *systems: Literal["director", "image-repository", "timeserver"],
    servers: Servers = Path(),
    json_output: AsJson = False,
) -> int:
    """Check settings, database, storage, keys, metadata, certificates, clock and disk; change nothing.

    Prints one line for each check, with what to do. Ends with 0 only where all is well.

    Args:
        systems: those that run on this machine; all three where none is named.
        servers: the folder of `uptane init`.
        json_output: print one JSON object.
    """
    import asyncio
    import json
    from dataclasses import asdict

    from uptane.assembly.doctor import examine
    from uptane.assembly.production import System

    which = frozenset(map(System, systems)) or frozenset(System)
    findings = asyncio.run(examine(servers, which=which))
    well = all(finding.well for finding in findings)
    if json_output:
        print(json.dumps({"well": well, "checks": [asdict(finding) for finding in findings]}))
    else:
        for each in findings:
            print(f"{'ok  ' if each.well else 'FAIL'} {each.check}: {each.said}. {each.next_step}".rstrip())
    return 0 if well else CHECK_FAILED
