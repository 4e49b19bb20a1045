"""What operators do to the Director's database; each gives what it did, as a JSON object."""

from typing import Any

from uptane.assembly.serving import alone
from uptane.assembly.settings import Settings
from uptane.storage.sql.engine import database_name, open_engine, require_existing
from uptane.storage.sql.revision import revision_of
from uptane.storage.sql.schema import REVISION


async def show_database(settings: Settings) -> dict[str, Any]:
    """The revision of its tables, and the one that this program needs; changes nothing."""
    require_existing(settings.database_url)
    engine = open_engine(settings.database_url)
    try:
        return {"database": database_name(engine), "revision": await revision_of(engine), "needed": REVISION}
    finally:
        await engine.dispose()


async def upgrade_database(settings: Settings) -> dict[str, Any]:
    """Migrates its tables to the revision that this program needs.

    Raises:
        StorageError: a server holds the database, its tables cannot be upgraded, or it fails; nothing is changed.
    """
    from uptane.storage.sql.upgrade import upgrade

    with alone(settings):
        done = await upgrade(settings.database_url)
    return {"before": done.before, "after": done.after}
