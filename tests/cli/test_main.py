"""The command line as a program: what it imports, what it says, and how it ends."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
from cyclopts import App
from shells import REPOSITORY

from uptane.cli.exit_codes import EXIT_CODES, TABLE, exit_code_of
from uptane.cli.main import app, main
from uptane.metadata import errors
from uptane.metadata.errors import BadHashError, UptaneError

PROGRAM = "import sys; from uptane.cli.main import main; sys.exit(main())"


def uptane(*arguments: str, program: str = PROGRAM, **environment: str) -> subprocess.CompletedProcess[str]:
    """Runs the command in a process of its own."""
    return subprocess.run(
        [sys.executable, "-c", program, *arguments],
        capture_output=True,
        text=True,
        env={"PATH": "/usr/bin:/bin", "COLUMNS": "100"} | environment,
        check=False,
    )


def test_help_lists_the_commands() -> None:
    answer = uptane("--help")
    assert answer.returncode == 0
    assert "demo" in answer.stdout
    assert "metadata" in answer.stdout
    assert "show" in uptane("metadata", "--help").stdout


def test_help_imports_nothing_that_only_a_command_needs() -> None:
    program = (
        "import sys; from cyclopts import App; App(help='x')(['--help'], result_action='return_value'); "
        "before = set(sys.modules); from uptane.cli.main import main; main(['--help']); "
        "print(*sorted(set(sys.modules) - before), sep='\\n', file=sys.stderr)"
    )
    loaded = uptane(program=program).stderr.split()
    assert "uptane.cli.main" in loaded
    assert [name for name in loaded if not name.startswith("uptane")] == []
    rooms = {name.split(".")[1] for name in loaded if "." in name}
    assert rooms == {"cli", "metadata"}


def test_a_word_that_is_no_command_is_named_and_ends_with_2() -> None:
    answer = uptane("frobnicate")
    assert answer.returncode == 2
    assert "frobnicate" in answer.stderr
    assert "Traceback" not in answer.stderr


@pytest.mark.parametrize(
    "words",
    [
        ["run", "car", "--cycles", "-1"],
        ["run", "car", "--seconds", "-1"],
        ["add", "V", "--package", "car", "--door-port", "65536"],
    ],
)
def test_a_number_out_of_range_ends_with_2(words: list[str]) -> None:
    assert uptane("vehicle", *words).returncode == 2


def test_a_missing_file_is_one_line_and_ends_with_4(tmp_path: Path) -> None:
    answer = uptane("metadata", "show", str(tmp_path / "gone.json"))
    assert answer.returncode == 4
    assert answer.stderr == f"uptane: {tmp_path}/gone.json: No such file or directory. (E-STORAGE)\n"


def test_a_malformed_file_is_one_line_and_ends_with_1(tmp_path: Path) -> None:
    (tmp_path / "1.root.json").write_text("{}")
    answer = uptane("metadata", "show", str(tmp_path / "1.root.json"))
    assert answer.returncode == 1
    assert answer.stderr.startswith(f"uptane: {tmp_path}/1.root.json is not json metadata: ")
    assert answer.stderr.count("\n") == 1


def test_the_traceback_is_there_for_who_asks(tmp_path: Path) -> None:
    answer = uptane("metadata", "show", str(tmp_path / "gone.json"), UPTANE_TRACEBACK="1")
    assert answer.returncode == 1
    assert "Traceback" in answer.stderr


def test_a_reader_that_leaves_early_gets_no_traceback() -> None:
    """As with `uptane ... | head -1`: the pipe has no reader any more when the text is written."""
    program = (
        "import os, sys; from uptane.cli.main import main; "
        "reading, writing = os.pipe(); os.dup2(writing, 1); os.close(reading); sys.exit(main())"
    )
    answer = uptane("--help", program=program)
    assert answer.returncode != 0
    assert "Traceback" not in answer.stderr


def test_a_wrong_format_for_the_walkthrough_names_the_right_ones() -> None:
    answer = uptane("demo", "--format", "xml")
    assert answer.returncode == 2
    assert "der" in answer.stderr
    assert "json" in answer.stderr


def _leaves(app: App, *words: str) -> list[tuple[str, ...]]:
    """Every command, as the words that call it."""
    found: list[tuple[str, ...]] = []
    for name in app:
        if not name.startswith("-"):
            below = _leaves(app[name], *words, name)
            found += below or [(*words, name)]
    return found


@pytest.mark.parametrize("words", _leaves(app), ids=" ".join)
def test_every_command_shows_an_example_of_itself(words: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*words, "--help"]) == 0
    assert f"\n uptane {' '.join(words)}" in capsys.readouterr().out


def test_the_exit_codes_are_one_table_in_help_and_docs() -> None:
    said = " ".join(uptane("--help").stdout.split())
    docs = (REPOSITORY / "docs" / "operations" / "commands.md").read_text(encoding="utf-8")
    listed = re.findall(r"^\| (\d) \| (.+) \|$", docs, re.MULTILINE)
    assert listed == [(str(line.number), line.when) for line in TABLE]
    for line in TABLE:
        assert f"{line.number}: {line.when}" in said


def test_each_class_of_errors_stands_in_one_line_of_the_table() -> None:
    kinds = [kind for line in TABLE for kind in line.errors]
    assert len(kinds) == len(set(kinds)) == len(EXIT_CODES)
    assert [line.number for line in TABLE] == list(range(len(TABLE)))


def _all(kind: type[UptaneError]) -> list[type[UptaneError]]:
    return [kind, *(below for child in kind.__subclasses__() for below in _all(child))]


@pytest.mark.parametrize("kind", _all(errors.UptaneError))
def test_every_error_has_an_exit_code_that_no_shell_or_parser_uses(kind: type[UptaneError]) -> None:
    code = exit_code_of(kind("something happened"))
    assert 0 < code < 64
    assert code != 2


def test_an_error_has_the_code_of_the_nearest_class_above_it() -> None:
    assert exit_code_of(BadHashError("x")) == EXIT_CODES[errors.SecurityError]
