"""Which revision the tables of a database have, and whether this program can work with them."""

from sqlalchemy import (
    Column,
    Connection,
    Integer,
    MetaData,
    PrimaryKeyConstraint,
    String,
    Table,
    insert,
    inspect,
    select,
)
from sqlalchemy.ext.asyncio import AsyncEngine

from uptane.metadata.errors import StorageError
from uptane.storage.sql.engine import database_name, storage_errors
from uptane.storage.sql.schema import REVISION, tables

OLDEST = "0005"
"""The oldest revision that can be upgraded."""

REVISION_TABLE = "inventory_revision"

_TURN = 0x757074616E65
"""The number of the advisory lock of those who make or change tables: `uptane` in ASCII."""

revision_table = Table(
    REVISION_TABLE,
    MetaData(),
    Column("version_num", String(32), nullable=False),
    PrimaryKeyConstraint("version_num", name=f"{REVISION_TABLE}_pkc"),
)
"""As Alembic has it, under a name that another application in the same database does not use."""

before_revisions = Table("inventory_schema", MetaData(), Column("version", Integer, primary_key=True))
"""Where programs up to revision 0005 kept a number."""


async def create_schema(engine: AsyncEngine) -> None:
    """Makes the tables in an empty database; leaves those of the same revision as they are.

    Raises:
        StorageError: the tables are of another revision or incomplete, or the database fails; nothing is changed.
    """
    database = database_name(engine)
    with storage_errors(database):
        async with engine.begin() as connection:
            await connection.run_sync(_create, database)


async def check_schema(engine: AsyncEngine) -> None:
    """Changes nothing.

    Raises:
        StorageError: there are no tables, or they are of another revision or incomplete, or the database fails.
    """
    database = database_name(engine)
    with storage_errors(database):
        async with engine.begin() as connection:
            await connection.run_sync(require_current, database)


async def revision_of(engine: AsyncEngine) -> str | None:
    """The revision of the tables, or None where there are none.

    Raises:
        StorageError: there are tables without a revision, or the database fails.
    """
    database = database_name(engine)
    with storage_errors(database):
        async with engine.begin() as connection:
            return await connection.run_sync(stored_revision, database)


def take_turn(connection: Connection) -> None:
    """Waits until nobody else makes or changes tables, and keeps others waiting until the transaction ends."""
    if connection.dialect.name == "postgresql":  # a transaction in SQLite holds the whole file
        connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_TURN})")


def stored_revision(connection: Connection, database: str) -> str | None:
    """The revision of the tables, or None where there are none.

    Raises:
        StorageError: there are tables without a revision.
    """
    present = _present(connection)
    found = None
    if revision_table.name in present:
        found = connection.execute(select(revision_table.c.version_num)).scalar()
    elif before_revisions.name in present:
        number = connection.execute(select(before_revisions.c.version)).scalar()
        found = None if number is None else f"{number:04}"
    elif present.isdisjoint(tables.tables):
        return None
    if found is None:
        raise StorageError(
            f"{database} holds tables of the inventory's names but no version of theirs",
            next_step="Name another database, or restore this one from a backup.",
            database=database,
        )
    return str(found)


def require_current(connection: Connection, database: str) -> None:
    """Raises StorageError where there are no tables, or those of another revision, or not all of them."""
    found = stored_revision(connection, database)
    if found is None:
        raise StorageError(
            f"the inventory {database} has no tables",
            next_step="Name the right database, restore it from a backup, or make a new one with: uptane init FOLDER.",
            database=database,
            expected=REVISION,
        )
    if found != REVISION:
        raise _other_revision(database, found)
    if missing := set(tables.tables) - _present(connection):
        raise StorageError(
            f"the inventory {database} lacks the tables {', '.join(sorted(missing))}",
            next_step="Restore it from a backup.",
            database=database,
        )


def _create(connection: Connection, database: str) -> None:
    take_turn(connection)
    if stored_revision(connection, database) is None:
        tables.create_all(connection)
        revision_table.create(connection)
        connection.execute(insert(revision_table).values(version_num=REVISION))
    else:
        require_current(connection, database)


def _present(connection: Connection) -> set[str]:
    return set(inspect(connection).get_table_names())


def _other_revision(database: str, found: str) -> StorageError:
    # Revisions are numbered, and four digits are sorted as their numbers are.
    if OLDEST <= found < REVISION:
        age, remedy = "an older", "Stop every server, make a backup, then: uptane db upgrade."
    elif found < OLDEST:
        age, remedy = "a much older", f"Use the program that made it; only {OLDEST} and later can be upgraded."
    else:
        age, remedy = "a newer", "Use the program that made it, or install a newer one."
    return StorageError(
        f"the inventory {database} was made by {age} version of this program"
        f" (its tables are revision {found}, this program uses {REVISION})",
        next_step=remedy,
        database=database,
        expected=REVISION,
        offered=found,
    )
