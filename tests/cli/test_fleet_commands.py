"""The operators' commands: each example of a `--help` is run as it is printed, and tells its result as JSON too."""

import json
import re
import shlex
from pathlib import Path

import pytest

from uptane.cli import fleet
from uptane.cli.main import main

COMMANDS = {
    "vehicle add": fleet.vehicle_add,
    "image add": fleet.image_add,
    "assignment set": fleet.assignment_set,
    "vehicle list": fleet.vehicle_list,
    "vehicle show": fleet.vehicle_show,
    "vehicle token": fleet.vehicle_token,
    "vehicle revoke": fleet.vehicle_revoke,
    "image list": fleet.image_list,
    "assignment clear": fleet.assignment_clear,
}


def example(name: str) -> list[str]:
    """The words of the example in a command's help, after `uptane`."""
    found = re.search(r"Example: uptane (.+)", COMMANDS[name].__doc__ or "")
    assert found is not None, name
    return shlex.split(found[1])


@pytest.fixture
def servers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Fresh servers with a vehicle whose ECU is registered, and the work folder of an operator."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("UPTANE_SERVERS", "fleet")
    (tmp_path / "firmware.img").write_text("Fresh firmware image")
    assert main(["init", "fleet", "--port", "0"]) == 0
    return tmp_path / "fleet"


def said(capsys: pytest.CaptureFixture[str], *words: str) -> dict[str, object]:
    """What a command says as JSON."""
    capsys.readouterr()
    assert main([*words, "--json"]) == 0, words
    found: dict[str, object] = json.loads(capsys.readouterr().out)
    return found


def test_every_example_runs_as_it_is_printed(servers: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert said(capsys, *example("vehicle add"))["vehicle"] == "VIN123"
    assert said(capsys, *example("image add"))["length"] == 20
    assert main(example("assignment set")) == 5, "its Primary has not registered yet"
    assert "not registered" in capsys.readouterr().err
    assert said(capsys, *example("vehicle list")) == {"vehicles": ["VIN123"]}
    shown = said(capsys, *example("vehicle show"))
    assert shown == {"vehicle": "VIN123", "last_seen": None, "last_manifest": None, "ecus": [], "alerts": []}
    listed = said(capsys, *example("image list"))
    assert listed == {"images": [{"name": "firmware.img", "role": "targets", "length": 20, "release": 2}]}
    token = said(capsys, *example("vehicle token"))["token"]
    assert isinstance(token, str) and len(token) > 40
    assert said(capsys, *example("vehicle revoke")) == {"vehicle": "VIN123", "revoked": 0}
    assert said(capsys, *example("assignment clear")) == {"vehicle": "VIN123"}


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_says_it_in_words_too(name: str, servers: Path, capsys: pytest.CaptureFixture[str]) -> None:
    if name not in ("vehicle add", "image add"):
        main(example("vehicle add"))
    capsys.readouterr()
    code = main(example(name))
    out = capsys.readouterr().out
    assert (code == 0 and out.strip() and not out.startswith("{")) or (name == "assignment set" and code == 1)


@pytest.mark.parametrize(
    "words",
    [
        ["vehicle", "show", "NOBODY"],
        ["vehicle", "token", "NOBODY"],
        ["vehicle", "revoke", "NOBODY"],
        ["assignment", "clear", "NOBODY"],
    ],
)
def test_a_vehicle_that_is_not_there_is_named_in_one_line(
    words: list[str], servers: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(words) == 5
    told = capsys.readouterr().err
    assert "NOBODY" in told and len(told.splitlines()) == 1
