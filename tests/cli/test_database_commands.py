"""The commands for the Director's database, over the servers that they belong to."""

import json
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from uptane.cli.main import main
from uptane.storage.sql.schema import REVISION

OLD_STORES = Path(__file__).parents[1] / "storage_sql" / "old_stores"


@pytest.fixture
def servers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Servers with the database of a program of revision 0005."""
    monkeypatch.setenv("UPTANE_SERVERS", str(tmp_path / "fleet"))
    assert main(["init", str(tmp_path / "fleet"), "--port", "0"]) == 0
    file = tmp_path / "fleet" / "data" / "inventory.sqlite"
    file.unlink()
    with closing(sqlite3.connect(file)) as connection:
        for part in ("sqlite", "rows"):
            connection.executescript((OLD_STORES / f"revision_0005_{part}.sql").read_text())
        connection.commit()
    return tmp_path / "fleet"


def test_an_old_database_is_upgraded_by_the_command_that_the_refusal_names(
    servers: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["serve", str(servers)]) == 4
    assert "uptane db upgrade" in capsys.readouterr().err
    assert main(["db", "show"]) == 0
    assert capsys.readouterr().out.endswith(f"inventory.sqlite has revision 0005; this program needs {REVISION}.\n")
    assert main(["db", "upgrade"]) == 0
    assert capsys.readouterr().out == f"The database went from revision 0005 to revision {REVISION}.\n"
    assert main(["db", "upgrade", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"before": REVISION, "after": REVISION}
    assert main(["vehicle", "list"]) == 0
    assert capsys.readouterr().out == "car\ntruck\n"


def test_a_lost_database_is_missed_by_every_command_and_not_made_anew(
    servers: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = servers / "data" / "inventory.sqlite"
    file.unlink()
    for words in (["serve", str(servers)], ["db", "show"], ["db", "upgrade"], ["vehicle", "list"]):
        assert main(words) == 4
        assert "does not exist" in capsys.readouterr().err
    assert not file.exists()


@pytest.mark.parametrize("skip", [-1, 0, 10_000_001, 2**31])
def test_versions_are_not_left_out_until_none_is_left(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], skip: int
) -> None:
    fleet = tmp_path / "fleet"
    assert main(["init", str(fleet), "--port", "0"]) == 0
    before = {file: file.read_bytes() for file in (fleet / "data").rglob("*") if file.is_file()}
    capsys.readouterr()
    assert main(["db", "restored", f"--skip={skip}", "--servers", str(fleet)]) == 1
    assert "1 to 10000000 versions can be left out" in capsys.readouterr().err
    assert {file: file.read_bytes() for file in (fleet / "data").rglob("*") if file.is_file()} == before
