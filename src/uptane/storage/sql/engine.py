"""Opening a database, and the border where its errors become ours."""

import os
import sqlite3
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path

from sqlalchemy import Connection, event
from sqlalchemy.engine import URL, make_url
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.pool import ConnectionPoolEntry

from uptane.metadata.errors import FormatError, StorageError

WAIT_SECONDS = 10.0
"""How long a transaction waits for its turn; each takes milliseconds, and a vehicle waits longer for an answer."""

VANISHED: Mapping[str, int] = {
    "connect_timeout": 10,
    "keepalives_idle": 3,
    "keepalives_interval": 2,
    "keepalives_count": 3,
    "tcp_user_timeout": 10_000,
}
"""With these a connection to a PostgreSQL server that is gone without a word ends within ten seconds, idle or not.
Without them a statement waits for as long as the kernel tries, which is a quarter of an hour."""

LOOK_SECONDS = 1.0
"""How often a connection that the event loop listens to is looked at: uvloop forgets one that was lost by an error."""

_ASYNC_DRIVERS = {"sqlite": "sqlite+aiosqlite", "postgresql": "postgresql+psycopg", "postgres": "postgresql+psycopg"}

_NEXT_STEPS = {
    "SQLITE_BUSY": "Another process holds it: end that process, or try again.",
    "SQLITE_LOCKED": "Another process holds it: end that process, or try again.",
    "SQLITE_FULL": "Make room on the disk, then try again; nothing was changed.",
    "SQLITE_NOTADB": "Name another file, or restore this one from a backup.",
    "SQLITE_CORRUPT": "Restore the file from a backup.",
    "SQLITE_CANTOPEN": "See that its folder exists and may be written to.",
    "SQLITE_READONLY": "Allow this user to write to the file and its folder.",
    "SQLITE_IOERR": "Look at the disk, then try again; nothing was changed.",
}


def open_engine(url_or_path: str | Path, *, wait_seconds: float = WAIT_SECONDS) -> AsyncEngine:
    """An engine for a file (SQLite) or a database URL; it connects when it is first used.

    A file that does not exist is made, readable by its owner alone.

    Args:
        url_or_path: a path, or text with `://` in it, such as `postgresql://user:password@host/name`.
        wait_seconds: how long a transaction waits for others before it fails.

    Raises:
        StorageError: no database can be there, or its driver is not installed.
    """
    url = _url(url_or_path)
    try:
        if url.get_backend_name() == "sqlite":
            return _sqlite_engine(url, wait_seconds)
        engine = create_async_engine(
            url,
            hide_parameters=True,
            pool_pre_ping=True,
            pool_timeout=wait_seconds,
            connect_args=dict(VANISHED) if url.get_backend_name() == "postgresql" else {},
        )
    except (ImportError, SQLAlchemyError) as error:
        raise StorageError(
            f"no driver for the database {url.render_as_string()}: {error}",
            next_step="Install the driver, or use a file name to keep the inventory in SQLite.",
            database=url.render_as_string(),
        ) from error
    if engine.dialect.name == "postgresql":
        event.listen(engine.sync_engine, "connect", _postgresql_set_up(wait_seconds))
    return engine


def require_existing(url_or_path: str | Path) -> None:
    """Raises StorageError where an SQLite file does not exist, which `open_engine` would make."""
    url = _url(url_or_path)
    if url.get_backend_name() == "sqlite" and url.database and not Path(url.database).exists():
        raise StorageError(
            f"the inventory {url.database} does not exist",
            next_step="Name the right file, restore it from a backup, or make a new one with: uptane init FOLDER.",
            database=url.database,
        )


def database_name(engine: AsyncEngine) -> str:
    """The file, or the URL without its password."""
    if engine.dialect.name == "sqlite":
        return str(engine.url.database)
    return engine.url.render_as_string()


@contextmanager
def storage_errors(database: str) -> Iterator[None]:
    """Turns what the database and its library raise into StorageError, with the driver's error as cause."""
    try:
        yield
    except SQLAlchemyError as error:
        cause = error.orig if isinstance(error, DBAPIError) and error.orig else error
        name = getattr(cause, "sqlite_errorname", "")
        raise StorageError(
            f"the inventory {database} failed: {' '.join(str(cause).split()).rstrip('.') or type(cause).__name__}",
            next_step=next((step for start, step in _NEXT_STEPS.items() if name.startswith(start)), "Try again."),
            database=database,
            reason=name or type(cause).__name__,
        ) from cause


@contextmanager
def damaged_rows(database: str) -> Iterator[None]:
    """Turns a row that no value can be made of into StorageError."""
    try:
        yield
    except FormatError as error:
        raise StorageError(
            f"the inventory {database} is damaged: {error.what}",
            next_step="Restore it from a backup.",
            database=database,
        ) from error


def _url(url_or_path: str | Path) -> URL:
    if isinstance(url_or_path, Path) or "://" not in url_or_path:
        return URL.create("sqlite+aiosqlite", database=str(url_or_path))
    try:
        url = make_url(url_or_path)
        return url.set(drivername=_ASYNC_DRIVERS.get(url.drivername, url.drivername))
    except (ArgumentError, NoSuchModuleError, ValueError) as error:
        # The text may hold a password, so neither it nor the library's message about it is repeated.
        raise StorageError(
            "the address of the inventory is not a database URL",
            next_step="Give a file name, or postgresql://user:password@host/name.",
            reason=type(error).__name__,
        ) from None


def _sqlite_engine(url: URL, wait_seconds: float) -> AsyncEngine:
    path = url.database
    if not path or path == ":memory:" or "uri" in url.query:
        raise StorageError(
            "an SQLite inventory without a plain file would be forgotten", next_step="Give the name of a file."
        )
    _make_private_file(path)
    _switch_to_wal(path, wait_seconds)
    # One connection: transactions of this process queue up in order instead of polling for SQLite's lock.
    engine = create_async_engine(
        url,
        hide_parameters=True,
        pool_size=1,
        max_overflow=0,
        pool_timeout=wait_seconds,
        connect_args={"timeout": wait_seconds},
    )
    event.listen(engine.sync_engine, "connect", _set_up_sqlite)
    event.listen(engine.sync_engine, "begin", _begin_immediate)
    return engine


def _postgresql_set_up(wait_seconds: float) -> Callable[[DBAPIConnection, ConnectionPoolEntry], None]:
    def set_up(connection: DBAPIConnection, _entry: ConnectionPoolEntry) -> None:
        cursor = connection.cursor()
        cursor.execute(f"SET lock_timeout = {round(wait_seconds * 1000)}")
        cursor.close()
        connection.commit()

    return set_up


def _make_private_file(path: str) -> None:
    try:
        os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise StorageError(
            f"the inventory {path!r} cannot be opened: {reason}",
            next_step="See that its folder exists and that this user may write to it.",
            database=path,
        ) from error


def _switch_to_wal(path: str, wait_seconds: float) -> None:
    """Makes the file's journal a write-ahead log, once, before anybody works in it.

    SQLite does not wait for a lock when it switches; so several programs that open a new inventory at the same time
    take turns here. Afterwards the switch is no work and needs no lock.
    """
    deadline = time.monotonic() + wait_seconds
    while True:
        try:
            with closing(sqlite3.connect(path, timeout=0)) as connection:
                connection.execute("PRAGMA journal_mode=WAL")
            return
        except sqlite3.Error as error:
            busy = getattr(error, "sqlite_errorname", "").startswith(("SQLITE_BUSY", "SQLITE_LOCKED"))
            if not busy or time.monotonic() > deadline:
                return  # what is wrong with the file is told when the first transaction opens it
            time.sleep(0.01)


def _set_up_sqlite(connection: DBAPIConnection, _entry: ConnectionPoolEntry) -> None:
    # The driver shall not begin transactions by itself: it would begin them without the lock.
    connection.isolation_level = None
    try:
        cursor = connection.cursor()
        try:
            for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON"):
                cursor.execute(f"PRAGMA {pragma}")
        finally:
            cursor.close()
    except sqlite3.Error:
        connection.close()
        raise


def _begin_immediate(connection: Connection) -> None:
    # The write lock comes first: two transactions that both read and then write would else end in a deadlock.
    connection.exec_driver_sql("BEGIN IMMEDIATE")
