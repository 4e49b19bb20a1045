"""The commands of the README, as they are printed: from nothing to an updated vehicle over mutual TLS."""

import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest
from postgresql import running_postgresql
from s3_server import running_s3_server
from shells import REPOSITORY, free_port

SECTION = "## Production servers"
UPTANE = Path(sys.executable).with_name("uptane")


def commands() -> list[list[str]]:
    """The commands of that section of the README."""
    text = (REPOSITORY / "README.md").read_text()
    section = text[text.index(SECTION) :].split("\n## ")[0]
    blocks = re.findall(r"```\n(uptane init.*?)```", section, re.DOTALL)
    return [shlex.split(line) for line in blocks[0].splitlines()]


@contextmanager
def stack(name: str, folder: Path) -> Iterator[tuple[list[str], Mapping[str, str]]]:
    """What `uptane init` is told besides, and the environment of all commands."""
    if name == "SQLite and a folder":
        yield [], {}
        return
    with running_postgresql() as database, running_s3_server(folder / "s3") as server:
        added = ["--database", database, "--storage", server.url("images")]
        workers = {"UPTANE_LISTEN__WORKERS": "2"}
        yield added, {**server.environment, **workers, "UPTANE_STORAGE__UNSAFE_PLAIN_HTTP": "true"}


@pytest.mark.slow
@pytest.mark.parametrize("name", ["SQLite and a folder", "PostgreSQL and S3"])
def test_the_commands_of_the_readme_lead_from_nothing_to_an_updated_vehicle(name: str, tmp_path: Path) -> None:
    lines, port = commands(), free_port()
    assert [line[1] for line in lines[:2]] == ["init", "serve"] and len(lines) <= 8
    work = tmp_path / "work"
    work.mkdir()
    (work / "firmware.img").write_text("Fresh firmware image")
    with stack(name, tmp_path) as (added, variables):
        environment = {**os.environ, **variables}
        environment.pop("PYTHONPATH", None)

        def run(words: list[str]) -> str:
            done = subprocess.run(
                [str(UPTANE), *words[1:]], cwd=work, env=environment, capture_output=True, text=True, timeout=120
            )
            assert done.returncode == 0, (words, done.stderr)
            return done.stdout

        run([*lines[0], "--port", str(port), *added])
        serving = [word for word in lines[1][1:] if word != "&"]
        with subprocess.Popen(
            [str(UPTANE), *serving], cwd=work, env=environment, stdout=subprocess.PIPE, text=True
        ) as server:
            try:
                assert server.stdout is not None and any(f":{port}" in line for line in server.stdout)
                said = [run(line) for line in lines[2:]]
            finally:
                server.terminate()
            assert server.wait(60) == 0, "it ends in good order when it is asked to"
        assert said[1] == "VIN123-primary runs factory.img\n"
        assert said[-1] == "VIN123-primary runs firmware.img\n"
        for secret in [*work.rglob("token"), work / "fleet" / "uptane.toml", *(work / "fleet" / "keys").glob("*")]:
            if not secret.name.endswith((".pub", ".json")):
                assert secret.stat().st_mode & 0o077 == 0, secret


def test_a_second_server_on_one_sqlite_folder_is_refused_in_one_line(tmp_path: Path) -> None:
    fleet = str(tmp_path / "fleet")
    subprocess.run([str(UPTANE), "init", fleet, "--port", "0"], check=True, capture_output=True, timeout=60)
    with subprocess.Popen([str(UPTANE), "serve", fleet], stdout=subprocess.PIPE, text=True) as first:
        try:
            assert first.stdout is not None and first.stdout.readline()
            second = subprocess.run(
                [str(UPTANE), "serve", fleet], capture_output=True, text=True, timeout=60, check=False
            )
        finally:
            first.terminate()
    assert second.returncode == 4
    assert len(second.stderr.splitlines()) == 1 and "another process" in second.stderr
    assert "(E-STORAGE)" in second.stderr


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("nonsense = 1", "nonsense in"),
        ("[listen]\nprot = 1", "listen.prot in"),
        ("[listen]\nport = 70000", "listen.port"),
        ("format = 'xml'", "format"),
        ("[listen]\ntrusted_fronts = ['all']", "listen.trusted_fronts"),
        ("[database]\nurl = 'sqlite:///data/inventory.sqlite'", "without sqlite://"),
        ("a = [", "not TOML"),
    ],
)
def test_settings_that_are_none_are_refused_by_name(text: str, named: str, tmp_path: Path) -> None:
    (tmp_path / "uptane.toml").write_text(text)
    done = subprocess.run(
        [str(UPTANE), "serve", str(tmp_path)], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 1 and named in done.stderr and "(E-SETTINGS)" in done.stderr


def test_a_missing_key_is_named_and_nothing_is_served(tmp_path: Path) -> None:
    fleet = tmp_path / "fleet"
    subprocess.run([str(UPTANE), "init", str(fleet), "--port", "0"], check=True, capture_output=True, timeout=60)
    shutil.move(fleet / "keys" / "director-targets", tmp_path)
    (fleet / "keys" / "director-targets.pub").unlink()
    done = subprocess.run([str(UPTANE), "serve", str(fleet)], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 5 and "director-targets" in done.stderr
    assert "(E-PROVISIONING)" in done.stderr
    assert not (fleet / "keys" / "director-targets").exists()
