"""`uptane image add`: several images are one release, and each failure is one line that leaves nothing half-written."""

import json
import os
import resource
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from uptane.cli.main import main

UPTANE = Path(sys.executable).with_name("uptane")


@pytest.fixture
def servers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Fresh servers, and the work folder of an operator with two images."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("UPTANE_SERVERS", "fleet")
    (tmp_path / "one.img").write_text("one")
    (tmp_path / "two.img").write_text("two")
    assert main(["init", "fleet", "--port", "0"]) == 0
    return tmp_path / "fleet"


def published(servers: Path) -> dict[str, bytes]:
    """Every published file of the Image repository."""
    root = servers / "data" / "image-repository"
    return {
        str(path.relative_to(root)): path.read_bytes()
        for path in root.rglob("*")
        if path.is_file() and "/.new-" not in str(path)
    }


def timestamp_version(servers: Path) -> int:
    return len([name for name in published(servers) if name.endswith("snapshot.der")]) - 1


def refused(capsys: pytest.CaptureFixture[str], code: int, *words: str) -> str:
    """What a command says that ends with this exit code: one line."""
    capsys.readouterr()
    assert main(["image", "add", *words]) == code
    said = capsys.readouterr()
    assert said.out == "" and len(said.err.splitlines()) == 1
    return said.err


def test_several_images_are_published_as_one_release(servers: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = timestamp_version(servers)
    capsys.readouterr()
    words = ["one.img", "two.img", "--name", "brakes/one.img", "--name", "two.img", "--release", "3"]
    assert main(["image", "add", *words, "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert [(each["name"], each["length"]) for each in said["images"]] == [("brakes/one.img", 3), ("two.img", 3)]
    assert timestamp_version(servers) == before + 1
    files = published(servers)
    for each in said["images"]:
        folder, _, name = each["name"].rpartition("/")
        for function in ("sha256", "sha512"):
            assert f"targets/{folder}{'/' if folder else ''}{each[function]}.{name}" in files
        assert f"targets/{each['name']}" in files
    assert main(["image", "add", *words]) == 0, "again is fine"
    assert capsys.readouterr().out.count("is published: 3 bytes") == 2


@pytest.mark.parametrize(
    ("code", "words", "named"),
    [
        (1, [], "0 files"),
        (1, ["one.img", "two.img", "--name", "x"], "2 files and 1 names"),
        (1, ["one.img", "two.img", "--name", "x", "--name", "x"], "2 files and 1 names"),
        (4, ["one.img", "none.img"], "none.img"),
        (4, ["one.img", "fleet"], "fleet"),
        (1, ["one.img", "--name", "../one.img"], "../one.img"),
        (1, ["one.img", "--name", "0" * 64 + ".img"], "must not begin with a hash"),
    ],
)
def test_what_cannot_be_added_is_told_in_one_line_and_changes_nothing(
    code: int, words: list[str], named: str, servers: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = published(servers)
    assert named in refused(capsys, code, *words)
    assert published(servers) == before


def test_a_store_that_cannot_be_reached_is_told_in_one_line(
    servers: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("UPTANE_STORAGE__URL", "s3://uptane/images")
    for name, value in (
        ("ENDPOINT_URL", "http://127.0.0.1:1"),
        ("ACCESS_KEY_ID", "k"),
        ("SECRET_ACCESS_KEY", "hidden"),
    ):
        monkeypatch.setenv(f"AWS_{name}", value)
    told = refused(capsys, 4, "one.img")
    assert "does not answer" in told and "hidden" not in told


def test_a_file_size_limit_in_the_middle_of_an_image_leaves_nothing_of_it(servers: Path) -> None:
    (servers.parent / "one.img").write_bytes(bytes(2 << 20))
    before = published(servers)
    done = subprocess.run(
        [str(UPTANE), "image", "add", "one.img"],
        env={**os.environ},
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, 1 << 20)),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 4
    assert len(done.stderr.splitlines()) == 1 and "larger than this process may write" in done.stderr
    assert published(servers) == before
    left = [path for path in (servers / "data" / "image-repository").rglob(".new-*/*") if path.is_file()]
    assert left == []


def test_what_was_cut_off_a_day_ago_is_removed_by_the_next_release(servers: Path) -> None:
    incoming = servers / "data" / "image-repository" / "targets" / ".new-images"
    incoming.mkdir(parents=True)
    for name, age in (("0" * 64, timedelta(hours=25)), ("1" * 64, timedelta(hours=1))):
        (incoming / name).write_bytes(b"part")
        at = (datetime.now(UTC) - age).timestamp()
        os.utime(incoming / name, (at, at))
    assert main(["image", "add", "one.img"]) == 0
    assert [path.name for path in incoming.iterdir()] == ["1" * 64]
