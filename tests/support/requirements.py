"""The clauses of the Standard as `docs/standard/requirements.toml` lists them, and whether what it names exists."""

import ast
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, fields
from functools import lru_cache
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
LIST = REPOSITORY / "docs" / "standard" / "requirements.toml"
SOURCE = REPOSITORY / "src" / "uptane"
BINDING = frozenset({"SHALL", "SHALL*", "REQ", "COND"})
LEVELS = frozenset(
    {"SHALL", "SHALL*", "SHALL NOT", "SHOULD", "SHOULD NOT", "COND", "REQ", "MAY"}
    | {"MAY then SHALL", "SHALL / SHOULD", "SHALL / MAY"}
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Requirement:
    """A clause; what the fields mean stands at the top of the list."""

    id: str
    level: str
    binds: str
    says: str
    code: tuple[str, ...] = ()
    evidence: tuple[str, ...] = ()
    not_applicable: str = ""
    gap: str = ""

    @property
    def section(self) -> str:
        """The section of the Standard, such as `5.4.4.3`."""
        return self.id.removeprefix("STD-").rpartition("-")[0]

    @property
    def must(self) -> bool:
        """Whether it binds, at least somebody or under a condition that we meet."""
        return bool(BINDING & set(self.level.split()))

    @property
    def should(self) -> bool:
        """Whether it is a recommendation."""
        return self.level.startswith("SHOULD")


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What we do where the Standard is ambiguous: our decision, or what is missing of it."""

    id: str
    says: str
    gap: str = ""

    @property
    def number(self) -> int:
        """27 for AMB-27."""
        return int(self.id.removeprefix("AMB-"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Requirements:
    """The whole list, in its order."""

    sections: Mapping[str, str]
    rows: Mapping[str, Requirement]
    decisions: Mapping[str, Decision]


@lru_cache
def load(path: Path = LIST) -> Requirements:
    """Reads the list; raises ValueError where it is not well formed."""
    listed = tomllib.loads(path.read_text(encoding="utf-8"))
    sections = listed.pop("sections")
    rows, decisions = {}, {}
    for name, said in listed.items():
        kind = Decision if name.startswith("AMB-") else Requirement
        wanted = {field.name: field.type for field in fields(kind)}
        for key, value in said.items():
            if key not in wanted or not isinstance(value, list if "tuple" in str(wanted[key]) else str) or not value:
                raise ValueError(f"{name}: not a value of {key}: {value!r}")
        values = {key: tuple(value) if isinstance(value, list) else value for key, value in said.items()}
        if kind is Decision:
            decisions[name] = Decision(id=name, **values)
        else:
            rows[name] = Requirement(id=name, **values)
    return Requirements(sections=sections, rows=rows, decisions=decisions)


@lru_cache
def names_in(path: Path) -> frozenset[str]:
    """What a module defines at its top and in its classes: `check_root`, `Limits`, `Limits.root_bytes`."""
    found: set[str] = set()

    def walk(body: list[ast.stmt], prefix: str) -> None:
        for node in body:
            match node:
                case ast.ClassDef():
                    found.add(prefix + node.name)
                    walk(node.body, f"{prefix}{node.name}.")
                case ast.FunctionDef() | ast.AsyncFunctionDef():
                    found.add(prefix + node.name)
                case ast.AnnAssign(target=ast.Name(id=name)) | ast.Assign(targets=[ast.Name(id=name)]):
                    found.add(prefix + name)

    walk(ast.parse(path.read_text(encoding="utf-8")).body, "")
    return frozenset(found)


def place_exists(place: str) -> bool:
    """Whether `verification/check_root.py:check_root` is there."""
    file, _, name = place.partition(":")
    path = SOURCE / file
    return path.is_file() and name in names_in(path)


def evidence_exists(evidence: str) -> bool:
    """Whether the file is there, and the heading in it; in a file of another kind, that text."""
    file, _, part = evidence.partition("#")
    path = REPOSITORY / file
    if not path.is_file():
        return False
    text = path.read_text(encoding="utf-8")
    if file.endswith(".md") and part:
        return part in re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return part in text


@lru_cache(maxsize=1)
def marks_of_tests() -> Mapping[str, tuple[str, ...]]:
    """The clauses that each test file's marks name, by `file::test` or `file` alone, without running anything."""
    found: dict[str, tuple[str, ...]] = {}
    for path in sorted((REPOSITORY / "tests").rglob("test_*.py")):
        name = path.relative_to(REPOSITORY).as_posix()
        tree = ast.parse(path.read_text(encoding="utf-8"))
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_"):
                found[f"{name}::{node.name}"] = tuple(
                    clause for decorator in node.decorator_list for clause in _clauses(decorator)
                )
            elif isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "pytestmark":
                found[name] = _clauses(node.value)
    return found


def _clauses(mark: ast.expr) -> tuple[str, ...]:
    if isinstance(mark, ast.Call) and ast.unparse(mark.func) == "pytest.mark.standard":
        return tuple(argument.value for argument in mark.args if isinstance(argument, ast.Constant))
    return ()
