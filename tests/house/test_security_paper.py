"""docs/security.md speaks of tests, files and commands that exist, and of every threat once."""

import ast
import re
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
PAPER = (REPOSITORY / "docs" / "security.md").read_text(encoding="utf-8")
LAST_THREAT = 51


def functions() -> set[str]:
    trees = (ast.parse(file.read_text(encoding="utf-8")) for file in (REPOSITORY / "tests").rglob("test_*.py"))
    return {node.name for tree in trees for node in tree.body if isinstance(node, ast.FunctionDef)}


def test_every_test_that_is_named_exists() -> None:
    named = set(re.findall(r"`(test_[a-z0-9_]+)`", PAPER))
    assert len(named) > 50
    assert named - functions() == set()


def test_every_paper_that_is_named_exists() -> None:
    named = set(re.findall(r"`(docs/[a-z0-9/.-]+)`", PAPER))
    assert named and [name for name in named if not (REPOSITORY / name).is_file()] == []


def test_every_threat_has_a_row_and_whatever_is_defended_a_test() -> None:
    rows = [row for row in PAPER.splitlines() if row.startswith("| TH-")]
    threats = [int(number) for row in rows for number in re.findall(r"TH-(\d+)", row.split("|")[1])]
    assert threats == list(range(1, LAST_THREAT + 1))
    undefended = [row for row in rows if "`test_" not in row]
    assert [row.split("|")[2].strip() for row in undefended] == ["not yet"]


def test_every_command_that_is_named_exists() -> None:
    targets = set(re.findall(r"^([a-z-]+):.*## ", (REPOSITORY / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    assert set(re.findall(r"`make ([a-z-]+)`", PAPER)) - targets - {"check"} == set()
