"""`make conformance`: runs the tests of the Standard's clauses, writes `docs/standard/conformance.md`, fails on a gap.

A clause counts as checked when a test that carries its mark passes; one that only a review can judge, when it names
evidence that exists.
"""

import json
import os
import subprocess
import sys
import tempfile
from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from marks import AMBIGUITY
from requirements import REPOSITORY, Decision, Requirement, Requirements, evidence_exists, load, place_exists

PAGE = REPOSITORY / "docs" / "standard" / "conformance.md"
ENOUGH = 90
"""Per cent of the recommendations that apply."""

STATES = ("tested", "evidence", "not applicable", "gap")


@dataclass(kw_only=True)
class Findings:
    """What the tests say of each clause and decision.

    Args:
        tests: by clause, how many tests passed that carry its mark.
        decisions: by number, how many tests passed that are named after it.
        faults: what is wrong whatever the totals are.
    """

    tests: Counter[str] = field(default_factory=Counter)
    decisions: Counter[int] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)

    def state(self, row: Requirement) -> str:
        """One of STATES."""
        if row.gap:
            return "gap"
        if row.not_applicable:
            return "not applicable"
        if self.tests[row.id]:
            return "tested"
        return "evidence" if row.evidence else "gap"


def outcomes(arguments: list[str]) -> Mapping[str, Mapping[str, object]]:
    """Runs the tests and says what became of each."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "outcomes.json"
        support = str(REPOSITORY / "tests" / "support")
        subprocess.run(
            [sys.executable, "-m", "pytest", "-q", "-p", "marks", *arguments],
            cwd=REPOSITORY,
            env=os.environ | {"UPTANE_OUTCOMES": str(path), "PYTHONPATH": support},
            check=False,
        )
        found: Mapping[str, Mapping[str, object]] = json.loads(path.read_text(encoding="utf-8"))
        return found


def judge(requirements: Requirements, tests: Mapping[str, Mapping[str, object]]) -> Findings:
    """Compares the list with the outcomes."""
    findings = Findings()
    known = set(requirements.rows) | {f"STD-{section}" for section in requirements.sections}
    for name, test in tests.items():
        clauses: list[str] = test["clauses"]  # type: ignore[assignment]
        findings.faults += [f"{name} names {clause}, which is no clause" for clause in set(clauses) - known]
        if test["outcome"] == "failed":
            findings.faults.append(f"{name} fails")
        if test["outcome"] == "skipped":  # whether it counts would depend on the machine
            findings.faults.append(f"{name} is skipped here, so it must not carry a mark")
        if test["outcome"] == "passed":
            findings.tests.update(clauses)
            findings.decisions.update({int(number) for number in AMBIGUITY.findall(name.rpartition("::")[2])})
    for row in requirements.rows.values():
        findings.faults += [f"{row.id}: no {place}" for place in row.code if not place_exists(place)]
        findings.faults += [f"{row.id}: no {each}" for each in row.evidence if not evidence_exists(each)]
        if row.gap and findings.tests[row.id]:
            findings.faults.append(f"{row.id} is a gap, and tests carry its mark")
        if row.must and findings.state(row) == "gap":
            findings.faults.append(f"{row.id} ({row.level}): {row.gap or 'no test'}")
    for decision in requirements.decisions.values():
        if not findings.decisions[decision.number]:
            findings.faults.append(f"{decision.id}: {decision.gap or 'no test is named after it'}")
    share = per_cent_of_recommendations(requirements, findings)
    if share < ENOUGH:
        missing = [row.id for row in requirements.rows.values() if row.should and findings.state(row) == "gap"]
        findings.faults.append(f"{share} % of the recommendations, and not {ENOUGH} %: {', '.join(missing)}")
    return findings


def per_cent_of_recommendations(requirements: Requirements, findings: Findings) -> int:
    """How many of the recommendations that apply are followed, rounded down."""
    states = [findings.state(row) for row in requirements.rows.values() if row.should]
    apply = len(states) - states.count("not applicable")
    return 100 * (states.count("tested") + states.count("evidence")) // apply if apply else 100


def totals(requirements: Requirements, findings: Findings) -> list[tuple[str, ...]]:
    """A line for each level: how many clauses, and in which state; and one for all of them."""
    counted: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for row in requirements.rows.values():
        for level in (row.level, "all"):
            counted[level][findings.state(row)] += 1
    order = sorted(counted, key=lambda level: (level == "all", -counted[level].total(), level))
    return [(level, str(counted[level].total()), *(str(counted[level][state]) for state in STATES)) for level in order]


def table(heading: tuple[str, ...], lines: list[tuple[str, ...]]) -> str:
    """A table in Markdown."""
    rows = [heading, tuple("---" for _ in heading), *lines]
    return "".join(f"| {' | '.join(row)} |\n" for row in rows)


def checked_by(row: Requirement, findings: Findings) -> str:
    """What stands for a clause, in a word or a sentence."""
    count = findings.tests[row.id]
    match findings.state(row):
        case "tested":
            return "1 test" if count == 1 else f"{count} tests"
        case "evidence":
            return ", ".join(f"`{each}`" for each in row.evidence)
        case "not applicable":
            return f"not applicable: {row.not_applicable}"
        case _:
            return f"**gap**: {row.gap or 'no test'}"


def page(requirements: Requirements, findings: Findings) -> str:
    """The whole page."""
    text = (
        "# Conformance to the Uptane Standard 2.1.0\n\n"
        "Written by `make conformance` from `requirements.toml`, which says what the columns mean, and from the tests "
        "that\npassed. Whoever wants to see the tests of a clause searches `tests/` for its number.\n\n## Totals\n\n"
    )
    text += table(("level", "clauses", *STATES), totals(requirements, findings))
    share = per_cent_of_recommendations(requirements, findings)
    text += f"\nOf the recommendations that apply, {share} % are followed.\n"
    for section, title in requirements.sections.items():
        rows = [row for row in requirements.rows.values() if row.section == section]
        text += f"\n## {section} {title}\n\n" + table(
            ("clause", "level", "binds", "says", "code", "checked by"),
            [
                (
                    row.id,
                    row.level,
                    row.binds,
                    row.says,
                    "<br>".join(f"`{place}`" for place in row.code),
                    checked_by(row, findings),
                )
                for row in rows
            ],
        )
    text += "\n## Where the Standard is ambiguous\n\n" + table(
        ("ambiguity", "what we do", "checked by"),
        [(each.id, each.says, decided_by(each, findings)) for each in requirements.decisions.values()],
    )
    return text


def decided_by(decision: Decision, findings: Findings) -> str:
    """What stands for a decision."""
    count = findings.decisions[decision.number]
    if not count:
        return f"**gap**: {decision.gap or 'no test'}"
    return "1 test" if count == 1 else f"{count} tests"


def main() -> int:
    """Runs, writes, prints; 0 where there is no gap."""
    requirements = load()
    findings = judge(requirements, outcomes(sys.argv[1:]))
    PAGE.write_text(page(requirements, findings), encoding="utf-8")
    print(f"{'level':<15}{'clauses':>8}" + "".join(f"{state:>16}" for state in STATES))
    for level, clauses, *counts in totals(requirements, findings):
        print(f"{level:<15}{clauses:>8}" + "".join(f"{count:>16}" for count in counts))
    decided = sum(bool(findings.decisions[each.number]) for each in requirements.decisions.values())
    print(f"recommendations followed: {per_cent_of_recommendations(requirements, findings)} %")
    print(f"decisions where the Standard is ambiguous: {decided} of {len(requirements.decisions)} tested")
    for fault in findings.faults:
        print(f"- {fault}")
    print(f"{PAGE.relative_to(REPOSITORY)} is written; {len(findings.faults)} faults.")
    return 1 if findings.faults else 0


if __name__ == "__main__":
    raise SystemExit(main())
