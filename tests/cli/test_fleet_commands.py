"""The operators' commands: each example of a `--help` is run as it is printed, and tells its result as JSON too."""

import json
from pathlib import Path

import pytest
from help_examples import examples

from uptane.cli.main import main

COMMANDS = [
    "vehicle add",
    "image add",
    "assignment set",
    "vehicle list",
    "vehicle show",
    "vehicle token",
    "vehicle revoke",
    "image list",
    "assignment list",
    "assignment clear",
    "manifest show",
    "delegation add",
    "delegation list",
    "delegation revoke",
    "vehicle retire",
]


def example(name: str) -> list[str]:
    """The first example in a command's `--help`."""
    return examples(name)[0]


@pytest.fixture
def servers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Fresh servers with a vehicle whose ECU is registered, and the work folder of an operator."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("UPTANE_SERVERS", "fleet")
    (tmp_path / "firmware.img").write_text("Fresh firmware image")
    assert main(example("init")) == 0
    assert main(example("supplier key")) == 0
    return tmp_path / "fleet"


def said(capsys: pytest.CaptureFixture[str], *words: str) -> dict[str, object]:
    """What a command says as JSON."""
    capsys.readouterr()
    assert main([*words, "--json"]) == 0, words
    found: dict[str, object] = json.loads(capsys.readouterr().out)
    return found


def test_every_example_runs_as_it_is_printed(servers: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert said(capsys, *example("vehicle add"))["vehicle"] == "VIN123"
    added = said(capsys, *example("image add"))["images"]
    assert isinstance(added, list) and [each["length"] for each in added] == [20]
    assert main(example("assignment set")) == 5, "its Primary has not registered yet"
    assert "not registered" in capsys.readouterr().err
    assert said(capsys, *example("vehicle list")) == {"vehicles": ["VIN123"], "retired": []}
    shown = said(capsys, *example("vehicle show"))
    expected = {"vehicle": "VIN123", "retired": None, "last_seen": None, "last_manifest": None}
    assert shown == {**expected, "ecus": [], "alerts": []}
    listed = said(capsys, *example("image list"))
    assert listed == {"images": [{"name": "firmware.img", "role": "targets", "length": 20, "release": 2}]}
    token = said(capsys, *example("vehicle token"))["token"]
    assert isinstance(token, str) and len(token) > 40
    assert said(capsys, *example("vehicle revoke")) == {"vehicle": "VIN123", "revoked": 0}
    assert said(capsys, *example("assignment list")) == {"assignments": []}
    assert said(capsys, *example("assignment clear")) == {"vehicle": "VIN123"}
    assert said(capsys, *example("manifest show"))["received"] is None
    added = said(capsys, *example("delegation add"))
    assert (added["paths"], added["terminating"], added["hardware"]) == (["brakes/*"], False, None)
    assert said(capsys, *example("delegation list")) == {"delegations": [{**added, "images": []}]}
    assert said(capsys, *example("delegation revoke"))["role"] == "supplier"
    assert said(capsys, *example("delegation list")) == {"delegations": []}
    retired = said(capsys, *example("vehicle retire"))
    assert said(capsys, *example("vehicle show"))["retired"] == retired["retired"]
    assert said(capsys, *example("vehicle list")) == {"vehicles": ["VIN123"], "retired": ["VIN123"]}


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_says_it_in_words_too(name: str, servers: Path, capsys: pytest.CaptureFixture[str]) -> None:
    if name not in ("vehicle add", "image add"):
        main(example("vehicle add"))
    if name in ("delegation list", "delegation revoke"):
        assert main(example("delegation add")) == 0
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
        ["vehicle", "retire", "NOBODY"],
        ["assignment", "clear", "NOBODY"],
        ["assignment", "list", "NOBODY"],
        ["manifest", "show", "NOBODY"],
        ["delegation", "revoke", "NOBODY"],
    ],
)
def test_a_vehicle_that_is_not_there_is_named_in_one_line(
    words: list[str], servers: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(words) == 5
    told = capsys.readouterr().err
    assert "NOBODY" in told and len(told.splitlines()) == 1


@pytest.mark.parametrize("name", ["vehicle retire", "vehicle token", "assignment set"])
def test_a_retired_vehicle_gets_nothing_any_more(name: str, servers: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for words in ("vehicle add", "image add", "vehicle retire"):
        assert main(example(words)) == 0
    capsys.readouterr()
    assert main(example(name)) == 5
    told = capsys.readouterr().err
    assert "VIN123 was taken out of service at 2" in told and "(E-RETIRED)" in told


def test_the_examples_of_a_supplier_run_one_after_the_other(
    servers: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    (tmp_path / "images" / "brakes").mkdir(parents=True)
    (tmp_path / "images" / "brakes" / "front.img").write_text("brakes")
    assert main(example("delegation add")) == 0
    first, next_version = examples("supplier sign")
    shown, cosigned = examples("supplier cosign")
    assert main(["supplier", "key", cosigned[-1]]) == 0
    for words in (
        first,
        *examples("image-repository upload"),
        next_version,
        shown,
        cosigned,
        *examples("metadata show"),
    ):
        assert main(words) == 0, words
    listed = said(capsys, *example("image list"))
    assert listed == {"images": [{"name": "brakes/front.img", "role": "supplier", "length": 6, "release": 7}]}


def test_every_example_of_a_new_vehicle_runs(servers: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for words in examples("vehicle add"):
        assert main(words) == 0, words
    assert said(capsys, *example("vehicle list"))["vehicles"] == ["VIN123", "VIN456"]


def test_what_could_not_be_made_can_be_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["init", "fleet", "--storage", "gopher://bucket/prefix"]) == 4
    assert "(E-STORAGE)" in capsys.readouterr().err
    assert not (tmp_path / "fleet" / "uptane.toml").exists()
    assert main(["init", "fleet"]) == 0
    assert main(["init", "fleet"]) == 1
    assert "exists" in capsys.readouterr().err and (tmp_path / "fleet" / "uptane.toml").exists()


def test_a_program_gets_errors_as_json_with_a_stable_code(servers: Path, capsys: pytest.CaptureFixture[str]) -> None:
    capsys.readouterr()
    assert main(["vehicle", "show", "NOBODY", "--json"]) == 5
    told = json.loads(capsys.readouterr().err)
    assert (told["code"], told["exit_code"], "NOBODY" in told["error"]) == ("E-UNKNOWN-VEHICLE", 5, True)
