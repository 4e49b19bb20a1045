"""Commands for the Director's database."""

import json
from pathlib import Path
from typing import Any

from uptane.cli.fleet import AsJson, Servers


def show(*, servers: Servers = Path(), json_output: AsJson = False) -> None:
    """Show the revision of the tables that are there, and the one that this program needs.

    Example: uptane db show --servers fleet

    Args:
        servers: the folder of `uptane init`.
        json_output: print one JSON object.
    """
    import asyncio

    from uptane.assembly.database import show_database
    from uptane.assembly.settings import load_settings

    said = asyncio.run(show_database(load_settings(servers)))
    there = f"has revision {said['revision']}" if said["revision"] else "has no tables"
    _tell(said, f"{said['database']} {there}; this program needs {said['needed']}.", json_output)


def upgrade(*, servers: Servers = Path(), json_output: AsJson = False) -> None:
    """Upgrade the tables to the revision that this program needs, all or nothing.

    Stop every server and make a backup before. No way leads back but that backup.

    Example: uptane db upgrade --servers fleet

    Args:
        servers: the folder of `uptane init`.
        json_output: print one JSON object.
    """
    import asyncio

    from uptane.assembly.database import upgrade_database
    from uptane.assembly.settings import load_settings

    said = asyncio.run(upgrade_database(load_settings(servers)))
    done = "already has" if said["before"] == said["after"] else f"went from revision {said['before']} to"
    _tell(said, f"The database {done} revision {said['after']}.", json_output)


def _tell(said: dict[str, Any], text: str, json_output: bool) -> None:
    print(json.dumps(said) if json_output else text)
