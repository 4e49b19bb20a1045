"""What tells of changes misses none, and ends without harm, whatever it does at that moment."""

import asyncio
import sqlite3
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psycopg
import pytest
from postgresql import running_postgresql

from uptane.metadata.identifiers import VehicleIdentifier
from uptane.storage.sql import changes
from uptane.storage.sql.changes import _DataVersion, keep_telling
from uptane.storage.sql.engine import open_engine
from uptane.storage.sql.vehicle_revisions import CHANNEL, ONLY_ASSIGNMENTS


class Slow:
    """A connection that answers when it may, and notes what is asked of it."""

    def __init__(self) -> None:
        self.asked, self.may_answer = threading.Event(), threading.Event()
        self.order: list[str] = []

    def execute(self, statement: str) -> Any:
        self.asked.set()
        assert self.may_answer.wait(30)
        self.order.append("answered")
        return sqlite3.connect(":memory:").execute("SELECT 7")

    def close(self) -> None:
        self.order.append("closed")


def test_a_file_is_not_closed_while_a_thread_reads_it(tmp_path: Path) -> None:
    version, slow = _DataVersion(str(tmp_path / "db")), Slow()
    version._connection.close()
    version._connection = slow  # type: ignore[assignment]
    with ThreadPoolExecutor(2) as threads:
        answer = threads.submit(version.now)
        assert slow.asked.wait(30)
        closing = threads.submit(version.__exit__)
        assert slow.order == [] and not closing.done()
        slow.may_answer.set()
        assert answer.result(30) == 7
        closing.result(30)
    assert slow.order == ["answered", "closed"]


def test_a_write_of_another_connection_is_seen_and_a_closed_file_is_not_read(tmp_path: Path) -> None:
    path = str(tmp_path / "db")
    other = sqlite3.connect(path)
    with _DataVersion(path) as version:
        before = version.now()
        other.execute("CREATE TABLE t (x)")
        other.commit()
        assert version.now() != before
    other.close()
    with pytest.raises(sqlite3.ProgrammingError):
        version.now()


def test_a_loop_that_does_not_hear_of_it_is_no_reason_to_miss_a_change_or_the_end_of_a_connection(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """uvloop calls no reader of a connection that was lost by an error."""
    monkeypatch.setattr(changes, "LOOK_SECONDS", 0.01)
    told: asyncio.Queue[tuple[object, ...]] = asyncio.Queue()

    class Recorder:
        def open(self) -> None:
            told.put_nowait(("open",))

        def close(self) -> None:
            told.put_nowait(("close",))

        def changed(self, vehicle: VehicleIdentifier, revision: int, *, only_assignments: bool) -> None:
            told.put_nowait((vehicle, revision, only_assignments))

        def all_changed(self) -> None:
            told.put_nowait(("all",))

    async def story(url: str) -> None:
        loop, engine = asyncio.get_running_loop(), open_engine(url)
        listens = loop.add_reader

        def forgetful(descriptor: int, heard: Callable[..., None], *given: object) -> None:
            if heard.__name__ != "told":
                listens(descriptor, heard, *given)

        monkeypatch.setattr(loop, "add_reader", forgetful)
        telling = asyncio.create_task(keep_telling(engine, Recorder()))
        try:
            assert await told.get() == ("open",)
            async with await psycopg.AsyncConnection.connect(url, autocommit=True) as other:
                await other.execute(f"NOTIFY {CHANNEL}, '7 a-vehicle'")
                assert await told.get() == ("a-vehicle", 7, False)
                await other.execute(f"NOTIFY {CHANNEL}, '8{ONLY_ASSIGNMENTS} a-vehicle'")
                assert await told.get() == ("a-vehicle", 8, True)
                await other.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE 'LISTEN%'")
                assert await told.get() == ("close",)
        finally:
            telling.cancel()
            await asyncio.gather(telling, return_exceptions=True)
            await engine.dispose()

    with running_postgresql() as url:
        asyncio.run(story(url))
