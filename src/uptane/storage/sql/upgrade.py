"""Upgrading the tables of a database to those that this program uses."""

import sqlite3
from dataclasses import dataclass
from pathlib import Path

from alembic import command
from alembic.config import Config
from sqlalchemy import Connection, event, insert
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.pool import ConnectionPoolEntry

from uptane.metadata.errors import StorageError
from uptane.storage.sql.engine import WAIT_SECONDS, database_name, open_engine, require_existing, storage_errors
from uptane.storage.sql.revision import (
    OLDEST,
    before_revisions,
    require_current,
    revision_table,
    stored_revision,
    take_turn,
)
from uptane.storage.sql.schema import REVISION

MIGRATIONS = Path(__file__).with_name("migrations")


@dataclass(frozen=True, slots=True)
class Upgraded:
    """What an upgrade did.

    Args:
        before, after: the revisions; the same where there was nothing to do.
    """

    before: str
    after: str


async def upgrade(url_or_path: str | Path, *, wait_seconds: float = WAIT_SECONDS) -> Upgraded:
    """Migrates a database to the revision of this program, in one transaction; leaves the newest as it is.

    Of several at the same time one migrates, and the others find nothing to do.

    Args:
        url_or_path, wait_seconds: as `open_inventory` takes them.

    Raises:
        StorageError: there are no tables, they are newer or too old, or the database fails; nothing is changed.
    """
    require_existing(url_or_path)
    engine = open_engine(url_or_path, wait_seconds=wait_seconds)
    database = database_name(engine)
    if engine.dialect.name == "sqlite":
        event.listen(engine.sync_engine, "connect", _without_foreign_keys)
    try:
        with storage_errors(database):
            async with engine.begin() as connection:
                return await connection.run_sync(_upgrade, database)
    finally:
        await engine.dispose()


def migrate(connection: Connection, target: str = "head") -> None:
    """Runs the migrations from the revision that is there up to another one, in the open transaction."""
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    config.attributes["connection"] = connection
    command.upgrade(config, target)


def _upgrade(connection: Connection, database: str) -> Upgraded:
    take_turn(connection)
    before = stored_revision(connection, database)
    if before is None or not OLDEST <= before < REVISION:
        require_current(connection, database)
        return Upgraded(REVISION, REVISION)
    if connection.dialect.has_table(connection, before_revisions.name):
        revision_table.create(connection)
        connection.execute(insert(revision_table).values(version_num=before))
    migrate(connection)
    _check_foreign_keys(connection, database)
    require_current(connection, database)
    return Upgraded(before, REVISION)


def _without_foreign_keys(connection: DBAPIConnection, _entry: ConnectionPoolEntry) -> None:
    """A migration may have to make a table anew, which SQLite would take for deleting what others refer to."""
    try:
        cursor = connection.cursor()
        cursor.execute("PRAGMA foreign_keys=OFF")
        cursor.close()
    except sqlite3.Error:
        connection.close()
        raise


def _check_foreign_keys(connection: Connection, database: str) -> None:
    if connection.dialect.name != "sqlite":
        return
    if broken := connection.exec_driver_sql("PRAGMA foreign_key_check").fetchall():
        raise StorageError(
            f"{len(broken)} rows of the inventory {database} refer to rows that are not there",
            next_step="Nothing was changed. Restore it from a backup.",
            database=database,
        )
