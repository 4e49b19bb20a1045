"""Commands for the Director's database."""

from pathlib import Path

from uptane.cli.operating import tell
from uptane.cli.options import AsJson, Servers
from uptane.metadata.errors import SettingsError

SKIP = 10_000
"""More than a year of publications, one in an hour."""

MOST_SKIPPED = 10_000_000
"""A thousand years of them: version numbers end at 2,147,483,647, and none that was left out comes back."""


def show(*, servers: Servers = Path(), json_output: AsJson = False) -> None:
    """Show the revision of the tables that are there, and the one that this program needs.

    Args:
        servers: the folder of `uptane init`.
        json_output: print one JSON object.
    """
    import asyncio

    from uptane.assembly.database import show_database
    from uptane.assembly.settings import load_settings

    said = asyncio.run(show_database(load_settings(servers)))
    there = f"has revision {said['revision']}" if said["revision"] else "has no tables"
    tell(said, f"{said['database']} {there}; this program needs {said['needed']}.", json_output)


def upgrade(*, servers: Servers = Path(), json_output: AsJson = False) -> None:
    """Upgrade the tables to the revision that this program needs, all or nothing.

    Stop every server and make a backup before. No way leads back but that backup.

    Args:
        servers: the folder of `uptane init`.
        json_output: print one JSON object.
    """
    import asyncio

    from uptane.assembly.database import upgrade_database
    from uptane.assembly.settings import load_settings

    said = asyncio.run(upgrade_database(load_settings(servers)))
    done = "already has" if said["before"] == said["after"] else f"went from revision {said['before']} to"
    tell(said, f"The database {done} revision {said['after']}.", json_output)


def restored(*, skip: int = SKIP, servers: Servers = Path(), json_output: AsJson = False) -> None:
    """Make a restored backup safe to serve: publish everything under versions that no vehicle has seen.

    A vehicle refuses metadata that is older than what it has, so run this after every restore and before the servers
    start, and never else: what is there is taken for genuine, however old. Tokens of first contacts are worth nothing
    afterwards.

    Args:
        skip: how many versions are left out; more than any role has published since the backup.
        servers: the folder of `uptane init`.
        json_output: print one JSON object.
    """
    import asyncio

    from uptane.assembly.database import settle_restored
    from uptane.assembly.settings import load_settings

    if not 1 <= skip <= MOST_SKIPPED:
        raise SettingsError(
            f"1 to {MOST_SKIPPED} versions can be left out, not {skip}", next_step="Leave --skip away.", field="skip"
        )
    said = asyncio.run(settle_restored(load_settings(servers), skip))
    done = f"The Image repository and {said['vehicles']} vehicles have new metadata, {skip} versions on."
    if said["behind"]:
        done += f" The Image repository was {said['behind']} versions older than what was published from here."
    if said["lost"]:
        done += (
            f" Versions of {', '.join(said['lost'])} are lost, and nobody could sign others here: vehicles may refuse "
            "what is lower. docs/operations/backup.md says how to bring them back."
        )
    tell(said, done, json_output)
