"""The list of the Standard's clauses is complete, and everything that it names exists."""

import importlib.util
import re
import tomllib
from pathlib import Path

import pytest
from requirements import LEVELS, REPOSITORY, Decision, evidence_exists, load, marks_of_tests, place_exists

REQUIREMENTS = load()
ROWS = REQUIREMENTS.rows


def test_the_list_has_every_clause_and_every_ambiguity_that_the_reference_material_found(shared: Path) -> None:
    text = (shared / "standard" / "conformance.md").read_text(encoding="utf-8")
    found = dict(re.findall(r"^\| (STD-\S+) \| [^|]+ \| ([^|]+) \|", text, re.MULTILINE))
    assert set(ROWS) == set(found)
    assert {clause for clause, row in ROWS.items() if row.level.split()[0] != found[clause].split()[0]} == set()
    assert list(REQUIREMENTS.decisions) == re.findall(r"^\| (AMB-\d+) \|", text, re.MULTILINE)


def test_no_sentence_of_the_reference_material_is_copied(shared: Path) -> None:
    text = (shared / "standard" / "conformance.md").read_text(encoding="utf-8")
    said = dict(re.findall(r"^\| (STD-\S+) \| (?:[^|]+ \| ){3}([^|]+) \|", text, re.MULTILINE))
    assert {clause for clause, row in ROWS.items() if row.says.rstrip(".") in said[clause]} == set()


def test_every_clause_stands_in_a_section_and_no_section_is_empty() -> None:
    assert list(dict.fromkeys(row.section for row in ROWS.values())) == list(REQUIREMENTS.sections)


def test_every_clause_has_a_level_and_one_sentence() -> None:
    assert {row.id for row in ROWS.values() if row.level not in LEVELS} == set()
    said = {each.id: each.says for each in (*ROWS.values(), *REQUIREMENTS.decisions.values())}
    assert {name: says for name, says in said.items() if not says.endswith(".") or "\n" in says} == {}


def test_every_place_in_the_code_exists() -> None:
    missing = {row.id: [place for place in row.code if not place_exists(place)] for row in ROWS.values()}
    assert {clause: places for clause, places in missing.items() if places} == {}


def test_every_piece_of_evidence_exists() -> None:
    missing = {row.id: [each for each in row.evidence if not evidence_exists(each)] for row in ROWS.values()}
    assert {clause: pieces for clause, pieces in missing.items() if pieces} == {}


def test_a_place_or_evidence_that_is_gone_is_noticed() -> None:
    assert not place_exists("verification/check_root.py:check_rot")
    assert not place_exists("verification/gone.py:check_root")
    assert not evidence_exists("SECURITY.md#Nothing")
    assert not evidence_exists("docs/gone.md")


def test_marks_name_clauses_or_sections_of_the_list() -> None:
    known = set(ROWS) | {f"STD-{section}" for section in REQUIREMENTS.sections}
    unknown = {name: set(clauses) - known for name, clauses in marks_of_tests().items()}
    assert {name: clauses for name, clauses in unknown.items() if clauses} == {}


def test_no_clause_is_marked_both_missing_or_not_applicable_and_tested() -> None:
    marked = {clause for clauses in marks_of_tests().values() for clause in clauses}
    assert {row.id for row in ROWS.values() if (row.gap or row.not_applicable) and row.id in marked} == set()
    assert {row.id for row in ROWS.values() if row.gap and row.not_applicable} == set()


def test_every_clause_has_a_test_or_evidence_or_says_why_not() -> None:
    marked = {clause for clauses in marks_of_tests().values() for clause in clauses}
    explained = {row.id for row in ROWS.values() if row.evidence or row.not_applicable or row.gap}
    assert set(ROWS) - marked - explained == set()


def test_what_is_built_has_a_place_in_the_code() -> None:
    assert {row.id for row in ROWS.values() if not (row.code or row.evidence or row.not_applicable or row.gap)} == set()


@pytest.mark.parametrize("decision", REQUIREMENTS.decisions.values(), ids=lambda decision: decision.id)
def test_every_decision_has_a_test_named_after_it_or_says_what_is_missing(decision: Decision) -> None:
    tests = [name for name in marks_of_tests() if re.search(rf"amb_0*{decision.number}(?!\d)", name)]
    assert (tests == []) == (decision.gap != ""), tests


def test_amb_01_the_steps_of_the_check_procedures_bind_and_each_has_a_test() -> None:
    marked = {clause for clauses in marks_of_tests().values() for clause in clauses}
    steps = {row.id for row in ROWS.values() if row.section in ("5.4.4.3", "5.4.4.4", "5.4.4.5", "5.4.4.6")}
    assert steps == {clause for clause in steps if ROWS[clause].must} & marked
    assert {row.id for row in ROWS.values() if row.level == "SHALL*"} <= steps


def test_whatever_is_explained_of_the_mutants_is_one() -> None:
    folder = Path(__file__).parent
    spec = importlib.util.spec_from_file_location("mutants", folder / "mutants.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    names = [mutant.name for mutant in module.mutants()]
    assert len(names) == len(set(names)) > 50
    explained = tomllib.loads((folder / "mutants.toml").read_text(encoding="utf-8"))
    assert {name: reason for name, reason in explained.items() if name not in names or not reason} == {}


def test_the_page_says_what_the_list_says() -> None:
    page = (REPOSITORY / "docs" / "standard" / "conformance.md").read_text(encoding="utf-8")
    assert set(re.findall(r"^\| (STD-\S+|AMB-\d+) \|", page, re.MULTILINE)) == set(ROWS) | set(REQUIREMENTS.decisions)
    said = [each.says for each in (*ROWS.values(), *REQUIREMENTS.decisions.values())]
    assert [words for words in said if f"| {words} |" not in page] == []
