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


def test_a_targets_role_that_is_lost_and_whose_key_is_kept_elsewhere_is_told_until_its_key_is_brought(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("UPTANE_SERVERS", "fleet")
    assert main(["init", "fleet", "--port", "0"]) == 0
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
