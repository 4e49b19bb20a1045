"""The papers of the house: decisions that can be read, pins without addresses, commands that exist."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
DECISIONS = sorted((REPOSITORY / "docs" / "decisions").glob("*.md"))

# In pieces, so that this file does not find itself.
FOREIGN = re.compile(
    "|".join(
        re.escape("".join(pieces))
        for pieces in (
            ("py", "pi.org"),
            ("python", "hosted.org"),
            ("npm", "js.org"),
            ("crates", ".io"),
            ("proxy.", "golang.org"),
            ("index", "-url"),
            ("/wo", "rk/"),
            ("/ho", "me/"),
            ("/opt/", "py"),
        )
    )
)


def _tracked() -> list[Path]:
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=REPOSITORY, capture_output=True, text=True, check=False)
    if listed.returncode:
        pytest.skip("not a git checkout")
    files = [REPOSITORY / name for name in listed.stdout.split("\0") if name]
    return [file for file in files if file.is_file()]


def test_no_file_names_a_registry_or_a_folder_of_somebodys_machine() -> None:
    found = []
    for file in _tracked():
        text = file.read_bytes().decode("utf-8", errors="replace")
        found += [f"{file.relative_to(REPOSITORY)}: {match.group()}" for match in FOREIGN.finditer(text)]
    assert found == []


@pytest.mark.parametrize("name", ["constraints.txt", "dev-overrides.txt"])
def test_pins_are_names_and_versions_only(name: str) -> None:
    lines = (REPOSITORY / name).read_text(encoding="utf-8").splitlines()
    pins = [line for line in lines if not line.startswith("#")]
    assert [line for line in pins if not re.fullmatch(r"[A-Za-z0-9._-]+==[A-Za-z0-9.+]+", line)] == []


def test_every_development_tool_is_pinned() -> None:
    def plain(name: str) -> str:
        return re.sub(r"[-_.]+", "-", name).lower()

    wanted = (REPOSITORY / "dev-requirements.txt").read_text(encoding="utf-8").splitlines()
    tools = {plain(line) for line in wanted if line and line[0].isalpha()}
    pins = (REPOSITORY / "constraints.txt").read_text(encoding="utf-8").splitlines()
    assert tools - {plain(line.partition("==")[0]) for line in pins} == set()


@pytest.mark.parametrize("record", DECISIONS, ids=lambda path: path.name)
def test_a_decision_says_context_options_and_outcome(record: Path) -> None:
    assert re.fullmatch(r"\d{4}-[a-z0-9-]+\.md", record.name)
    text = record.read_text(encoding="utf-8")
    number = int(record.name[:4])
    assert text.startswith(f"# {number}. ")
    headings = re.findall(r"^## (.+)$", text, re.MULTILINE)
    assert headings[:3] == ["Context", "Options", "Decision"]


def test_decisions_are_numbered_without_gaps() -> None:
    assert [int(record.name[:4]) for record in DECISIONS] == list(range(1, len(DECISIONS) + 1))


def test_help_lists_the_commands_of_the_makefile() -> None:
    listed = subprocess.run(["make", "help"], cwd=REPOSITORY, capture_output=True, text=True, check=True).stdout
    assert {"demo", "test", "check", "help"} <= set(re.findall(r"make ([a-z-]+)", listed))


@pytest.mark.parametrize("words", [("xml",), ("der", "json"), ("",)])
def test_the_test_runner_refuses_words_it_does_not_know(words: tuple[str, ...]) -> None:
    answer = subprocess.run(
        [sys.executable, "tests/runtests.py", *words], cwd=REPOSITORY, capture_output=True, text=True, check=False
    )
    assert answer.returncode == 2
    assert answer.stderr.startswith("usage: ")
