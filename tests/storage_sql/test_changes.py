"""What tells of changes to a SQLite file ends without harm, whatever it does at that moment."""

import sqlite3
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from uptane.storage.sql.changes import _DataVersion


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
