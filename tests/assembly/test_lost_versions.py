"""What a restored backup of the Image repository lacks and nobody can sign there is told, as vehicles may refuse it."""

import json
import shutil
from pathlib import Path

import pytest

from uptane.cli.main import main

STORE = Path("fleet") / "data" / "image-repository"
TARGETS_KEY = Path("fleet") / "keys" / "image-repository-targets"


def release(number: int) -> int:
    Path("firmware.img").write_text(f"release {number}")
    return main(["image", "add", "firmware.img", "--release", str(number)])


@pytest.fixture
def made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Servers in the current folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("UPTANE_SERVERS", "fleet")
    assert main(["init", "fleet", "--port", "0"]) == 0


@pytest.mark.usefixtures("made")
def test_a_targets_role_that_is_lost_and_whose_key_is_kept_elsewhere_is_told_until_its_key_is_brought(
    capsys: pytest.CaptureFixture[str],
) -> None:
    shutil.copytree(STORE, "backup")
    assert release(1) == 0
    shutil.rmtree(STORE)
    shutil.copytree("backup", STORE)
    shutil.move(TARGETS_KEY, "targets-key")
    capsys.readouterr()
    assert main(["db", "restored"]) == 0
    said = capsys.readouterr().out
    assert "Versions of targets are lost" in said and "backup.md" in said
    shutil.move("targets-key", TARGETS_KEY)
    assert main(["db", "restored", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["lost"] == []
    assert release(2) == 0


@pytest.mark.usefixtures("made")
@pytest.mark.parametrize("version", [2**31 - 1, 2**30 + 1])
def test_the_numbers_are_not_used_up_by_one_that_a_thief_has_signed(
    version: int, capsys: pytest.CaptureFixture[str]
) -> None:
    """He had the Timestamp's key; his Timestamp was undone with a backup."""
    newest = Path("fleet") / "keys" / "image-repository-newest.json"
    newest.write_text(newest.read_text().replace('"timestamp":1}', f'"timestamp":{version}}}'))
    before = {file: file.read_bytes() for file in STORE.rglob("*.der")}
    assert main(["db", "restored"]) != 0
    assert f"Remove {newest.resolve()}" in capsys.readouterr().err
    assert {file: file.read_bytes() for file in STORE.rglob("*.der")} == before
    newest.unlink()
    assert main(["db", "restored"]) == 0
    assert release(1) == 0
