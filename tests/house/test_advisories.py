"""Every security advisory of the reference material, and every attack that only Uptane knows, has tests with its id."""

import ast
import os
import re
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
TABLE = REPOSITORY / "docs" / "standard" / "advisories.md"

WITHOUT_NUMBER = {
    "unnamed fix in tuf 7.0.1": "unnamed_tuf_7_0_1",
    "fetcher fix in tuf 7.0.1": "fetcher_tuf_7_0_1",
    "x41 2022 audit": "x41_2022",
    "aktualizr / director / ota-tuf": "aktualizr",
    "rust-tuf, php-tuf, tuf-js": "",
}
"""What rows without a number are called in names of tests; the last one reports nothing."""

UPTANE_ONLY = {
    "Director targets with a delegation => refuse": ("director_delegation",),
    "Director names an image absent from, or different in, the Image repo": ("image_absent", "image_different"),
    "ECU id of another vehicle": ("foreign_ecu",),
    "two entries for one ECU": ("duplicate_ecu",),
    "hardware id mismatch": ("hardware_mismatch",),
    "release counter lower": ("release_counter",),
    "Director metadata of vehicle A replayed to B": ("vehicle_replay",),
    "time attestation with a stale or foreign nonce, time going backwards": (
        "stale_nonce",
        "foreign_nonce",
        "time_backwards",
    ),
    "Secondary fed partial metadata out of order": ("partial_metadata",),
    "Primary mixing bundles": ("mixed_bundles",),
    "manifest replay, manifest for an ECU not of the vehicle, Secondary key reused as Primary key": (
        "manifest_replay",
        "manifest_foreign_ecu",
        "shared_key",
    ),
}


def _tests() -> set[str]:
    files = (REPOSITORY / "tests" / "advisories").glob("test_*.py")
    trees = [ast.parse(file.read_text(encoding="utf-8")) for file in files]
    found = (node.name for tree in trees for node in ast.walk(tree) if isinstance(node, ast.FunctionDef))
    return {name for name in found if name.startswith("test_")}


@pytest.fixture(scope="module")
def listed(request: pytest.FixtureRequest) -> str:
    """The list of the reference material, on one line where a sentence is broken."""
    try:
        folder: Path = request.getfixturevalue("shared")
    except pytest.skip.Exception as reason:
        if os.environ.get("CI"):
            pytest.fail(str(reason))
        raise
    return (folder / "standard" / "advisories.md").read_text(encoding="utf-8")


def _rows(text: str) -> list[str]:
    cells = [line.split("|")[1].strip() for line in text.splitlines() if line.startswith("| ")]
    return [cell for cell in cells if cell not in ("id", "---")]


def _ids(cell: str) -> list[str]:
    """The ids of a row as they stand in names of tests; further numbers after a slash belong to the first."""
    plain = re.sub(r"\[[^]]*\]|\*|`", "", cell).strip()
    found = re.findall(r"(?:CVE|GMS|WS)-\d{4}-\d+(?:/-\d+)*|GHSA(?:-[0-9a-z]{4}){3}", plain)
    if not found:
        return [WITHOUT_NUMBER[plain.lower()]]
    return [re.sub(r"\W+", "_", name).lower() for name in found]


def _without_tests(ids: list[str]) -> list[str]:
    tests = _tests()
    return [name for name in ids if not any(re.match(rf"test_(\w+_)?{name}_", test) for test in tests)]


def test_every_advisory_has_a_test_with_its_id(listed: str) -> None:
    rows = [name for cell in _rows(listed) for name in _ids(cell) if name]
    assert len(rows) > 25
    assert _without_tests(rows) == []


def test_every_attack_that_only_uptane_knows_has_a_test_with_its_name(listed: str) -> None:
    sentence = " ".join(re.findall(r"^Uptane-only cases [^:]*: (.*?)\.\s*$", listed, re.MULTILINE | re.DOTALL)).split()
    assert " ".join(sentence).split("; ") == list(UPTANE_ONLY)
    assert _without_tests([f"uptane_{name}" for names in UPTANE_ONLY.values() for name in names]) == []


def test_the_table_of_advisories_names_every_test_once_and_no_other() -> None:
    named = re.findall(r"`(test_\w+)`", TABLE.read_text(encoding="utf-8"))
    assert sorted(named) == sorted(_tests())


def test_the_table_has_every_row_of_the_list(listed: str) -> None:
    rows = [cell for cell in _rows(listed) if _ids(cell) != [""]]
    table = {name for cell in _rows(TABLE.read_text(encoding="utf-8")) if "Uptane:" not in cell for name in _ids(cell)}
    assert {name for cell in rows for name in _ids(cell)} == table
