"""A plugin for pytest: only tests of clauses and decisions run, and their outcomes are written down.

`UPTANE_CLAUSES` names the clauses whose tests run, where not all of them shall; `UPTANE_OUTCOMES` the file.
"""

import json
import os
import re
from pathlib import Path

import pytest

AMBIGUITY = re.compile(r"amb_(\d+)")


def clauses_of(item: pytest.Item) -> set[str]:
    """The clauses that a test checks."""
    return {clause for mark in item.iter_markers("standard") for clause in mark.args}


def is_of_interest(item: pytest.Item) -> bool:
    """Whether a test checks a clause, or a decision where the Standard is ambiguous."""
    wanted = os.environ.get("UPTANE_CLAUSES")
    if wanted is not None:
        return wanted == "" or not clauses_of(item).isdisjoint(wanted.split())
    return bool(clauses_of(item)) or AMBIGUITY.search(item.name.partition("[")[0]) is not None


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leaves the other tests out, and lets each report carry the clauses of its test."""
    others = [item for item in items if not is_of_interest(item)]
    items[:] = [item for item in items if is_of_interest(item)]
    config.hook.pytest_deselected(items=others)
    for item in items:
        item.user_properties.append(("standard", sorted(clauses_of(item))))


class Outcomes:
    """What became of each test: `passed`, `failed` or `skipped`, and the worst of its cases."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.tests: dict[str, dict[str, object]] = {}

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Takes in one phase of one case."""
        if report.when != "call" and report.outcome == "passed":
            return
        name = report.nodeid.partition("[")[0]
        clauses = sorted({clause for kind, value in report.user_properties if kind == "standard" for clause in value})
        known = self.tests.setdefault(name, {"clauses": clauses, "outcome": report.outcome})
        worst = ["failed", "passed", "skipped"]
        known["outcome"] = min(str(known["outcome"]), report.outcome, key=worst.index)

    def pytest_sessionfinish(self) -> None:
        """Writes everything down."""
        self.path.write_text(json.dumps(self.tests, sort_keys=True), encoding="utf-8")


def pytest_configure(config: pytest.Config) -> None:
    """The process that was started listens, its workers do not."""
    path = os.environ.get("UPTANE_OUTCOMES")
    if path and not hasattr(config, "workerinput"):
        config.pluginmanager.register(Outcomes(Path(path)))
