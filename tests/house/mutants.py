"""`make mutants`: each `raise` of verification/, and each call of a check in it, is taken away; a test must notice.

The tests that are asked first carry the marks of the clauses that `requirements.toml` lists for that function, or else
for its module. Where none of them fails, all tests of the rooms are asked, to tell a missing mark from a missing test.
What nobody notices has its reason in `mutants.toml`, or is a fault.
"""

import ast
import json
import os
import shutil
import subprocess
import sys
import tempfile
import tomllib
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from queue import SimpleQueue

from requirements import REPOSITORY, SOURCE, load, marks_of_tests

ROOM = SOURCE / "verification"
REASONS = REPOSITORY / "tests" / "house" / "mutants.toml"
FOLDERS = ("verification", "vehicle", "director", "metadata", "signing")
"""Where tests of verification stand, the fastest first."""

JOBS = 2
SECONDS = 120
"""For one run of tests; what takes longer has lost its end, which is noticed as well."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Mutant:
    """One statement that is taken away.

    Args:
        name: module, function, and the error or the check, such as `check_root:check_root:ReplayedMetadataError`;
            with a number behind it for the second one of that name.
        file: the module.
        line: where the statement begins, for people.
        source: the module without it.
        clauses: those that the list has for the function, or else for the module.
    """

    name: str
    file: Path
    line: int
    source: str
    clauses: frozenset[str]


def clauses_by_place() -> dict[str, set[str]]:
    """For `check_root` and `check_root:update_root`: the clauses whose code stands there."""
    found: dict[str, set[str]] = {}
    for row in load().rows.values():
        for place in row.code:
            file, _, name = place.partition(":")
            if file.startswith("verification/"):
                module = file.removeprefix("verification/").removesuffix(".py")
                for key in (module, f"{module}:{name}"):
                    found.setdefault(key, set()).add(row.id)
    return found


def mutants() -> Iterator[Mutant]:
    """Every mutant, in the order of files and lines."""
    places = clauses_by_place()
    for file in sorted(ROOM.glob("*.py")):
        text = file.read_text(encoding="utf-8")
        lines = text.splitlines()
        counted: Counter[str] = Counter()
        for function, node, what in _statements(ast.parse(text)):
            name = f"{file.stem}:{function}:{what}"
            counted[name] += 1
            number = f" {counted[name]}" if counted[name] > 1 else ""
            before, after = lines[: node.lineno - 1], lines[node.end_lineno or node.lineno :]
            yield Mutant(
                name=name + number,
                file=file,
                line=node.lineno,
                source="\n".join([*before, " " * node.col_offset + "pass", *after]) + "\n",
                clauses=frozenset(places.get(f"{file.stem}:{function}") or places.get(file.stem) or ()),
            )


def _statements(tree: ast.Module) -> Iterator[tuple[str, ast.stmt, str]]:
    """Every `raise` and every call of a check whose answer nobody uses, with the function around it."""

    def walk(node: ast.AST, function: str) -> Iterator[tuple[str, ast.stmt, str]]:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                yield from walk(child, f"{function}.{child.name}".lstrip("."))
            elif isinstance(child, ast.Raise):
                raised = child.exc.func if isinstance(child.exc, ast.Call) else child.exc
                yield function, child, "raise" if raised is None else ast.unparse(raised)
            elif isinstance(child, ast.Expr) and (called := _called(child.value)):
                yield function, child, called
            else:
                yield from walk(child, function)

    yield from walk(tree, "")


def _called(value: ast.expr) -> str:
    """The name of a check that is called, or nothing."""
    call = value.value if isinstance(value, ast.YieldFrom) else value
    if not isinstance(call, ast.Call):
        return ""
    name = ast.unparse(call.func).rpartition(".")[2]
    return name if name.lstrip("_").startswith(("check_", "require")) else ""


class Bench:
    """A copy of the package in which one module at a time is a mutant."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._outcomes = folder / "outcomes.json"
        shutil.copytree(SOURCE, folder / "uptane")
        subprocess.run([sys.executable, "-m", "compileall", "-q", str(folder / "uptane")], check=True)

    def first_failure(self, mutant: Mutant, clauses: frozenset[str] | None) -> str:
        """The first test that fails under the mutant, or nothing; only tests of these clauses, unless None is given."""
        place = self._folder / "uptane" / mutant.file.relative_to(SOURCE)
        genuine = place.read_bytes()
        for compiled in place.parent.glob(f"__pycache__/{place.stem}.*.pyc"):
            compiled.unlink()
        place.write_text(mutant.source, encoding="utf-8")
        try:
            return self._run(files_of(clauses), clauses)
        finally:
            place.write_bytes(genuine)

    def _run(self, files: list[str], clauses: frozenset[str] | None) -> str:
        self._outcomes.unlink(missing_ok=True)
        support = REPOSITORY / "tests" / "support"
        arguments = ["-q", "-x", "--tb=no", "-p", "marks", "-p", "no:cacheprovider", "-m", "not slow", *files]
        try:
            done = subprocess.run(
                [sys.executable, "-m", "pytest", *arguments],
                cwd=REPOSITORY,
                capture_output=True,
                text=True,
                timeout=SECONDS,
                check=False,
                env=os.environ
                | {
                    "PYTHONPATH": f"{self._folder}{os.pathsep}{support}",
                    "PYTHONDONTWRITEBYTECODE": "1",
                    "UPTANE_CLAUSES": " ".join(sorted(clauses or ())),
                    "UPTANE_OUTCOMES": str(self._outcomes),
                },
            )
        except subprocess.TimeoutExpired:
            return "does not come to its end"
        if done.returncode not in (0, 1):
            return "the tests cannot even be collected" if done.returncode == 2 else ""
        tests = json.loads(self._outcomes.read_text(encoding="utf-8"))
        return next((name for name, test in tests.items() if test["outcome"] == "failed"), "")


def files_of(clauses: frozenset[str] | None) -> list[str]:
    """The test files in which tests of these clauses stand, those of verification first."""
    marked = {
        name.partition("::")[0] for name, found in marks_of_tests().items() if clauses is None or clauses & set(found)
    }
    rooms = [f"tests/{folder}/" for folder in FOLDERS]
    return [file for room in rooms for file in sorted(marked) if file.startswith(room)]


def judge(mutant: Mutant, benches: "SimpleQueue[Bench]") -> tuple[Mutant, str, bool]:
    """The mutant, the test that noticed it, and whether that test carries a mark of its clauses."""
    bench = benches.get()
    try:
        if mutant.clauses and (noticed := bench.first_failure(mutant, mutant.clauses)):
            return mutant, noticed, True
        return mutant, bench.first_failure(mutant, None), False
    finally:
        benches.put(bench)


def main() -> int:
    """Judges every mutant, or those whose name begins with an argument; 0 where all are noticed or explained."""
    chosen = [each for each in mutants() if not sys.argv[1:] or each.name.startswith(tuple(sys.argv[1:]))]
    reasons: dict[str, str] = tomllib.loads(REASONS.read_text(encoding="utf-8"))
    faults: list[str] = []
    survivors, without_mark = set(), 0
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(JOBS) as pool:
        benches: SimpleQueue[Bench] = SimpleQueue()
        for number in range(JOBS):
            benches.put(Bench(Path(folder) / str(number)))
        for mutant, noticed, marked in pool.map(lambda each: judge(each, benches), chosen):
            how = "noticed by" if marked or not mutant.clauses else "noticed without a mark by"
            print(f"{mutant.name} (line {mutant.line}): {f'{how} {noticed}' if noticed else 'SURVIVES'}", flush=True)
            if not noticed:
                survivors.add(mutant.name)
                if mutant.name not in reasons:
                    faults.append(f"{mutant.name} survives, and mutants.toml says nothing of it")
            elif not marked and mutant.clauses:
                without_mark += 1
                if mutant.name not in reasons:
                    faults.append(f"{mutant.name} is noticed by no test that carries a mark of its clauses")
            elif mutant.name in reasons:
                faults.append(f"{mutant.name} is noticed, and mutants.toml explains why it would not be")
    if not sys.argv[1:]:
        faults += [f"{name} in mutants.toml is no mutant" for name in reasons if name not in {e.name for e in chosen}]
    print(
        f"{len(chosen)} mutants: {len(chosen) - len(survivors) - without_mark} noticed, {without_mark} without a mark, "
        f"{len(survivors)} survive."
    )
    for fault in faults:
        print(f"- {fault}")
    return 1 if faults else 0


if __name__ == "__main__":
    raise SystemExit(main())
