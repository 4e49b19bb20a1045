"""The house keeps its own rules: captions, sizes, empty doorsteps, and a floor plan that is true."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
SOURCE = REPOSITORY / "src" / "uptane"
PACKAGES = sorted(path.parent for path in SOURCE.rglob("__init__.py"))
MODULES = sorted(
    path for room in ("src", "demo", "tests", "bench", "fuzz") for path in (REPOSITORY / room).rglob("*.py")
)
CORE = (
    "metadata",
    "formats",
    "verification",
    "signing",
    "encryption",
    "image_repository",
    "director",
    "timeserver",
    "vehicle",
)
LONGEST_FILE = 400


def _tree(module: Path) -> ast.Module:
    return ast.parse(module.read_text(encoding="utf-8"))


def _name(path: Path) -> str:
    return path.relative_to(REPOSITORY).as_posix()


def test_every_module_opens_with_one_sentence_that_says_what_it_is_for() -> None:
    captions = {_name(module): ast.get_docstring(_tree(module)) or "" for module in MODULES}
    openings = {name: caption.split("\n\n")[0] for name, caption in captions.items()}
    assert {name: opening for name, opening in openings.items() if not opening.endswith((".", ":", "?"))} == {}


def test_every_file_fits_into_one_reading() -> None:
    lengths = {_name(module): len(module.read_text(encoding="utf-8").splitlines()) for module in MODULES}
    assert {name: length for name, length in lengths.items() if length > LONGEST_FILE} == {}


def test_entering_a_package_imports_nothing() -> None:
    imports = {
        _name(package): [
            ast.unparse(node)
            for node in ast.walk(_tree(package / "__init__.py"))
            if isinstance(node, ast.Import | ast.ImportFrom)
        ]
        for package in PACKAGES
    }
    assert {name: found for name, found in imports.items() if found} == {}


def test_importing_uptane_loads_nothing_but_the_standard_library() -> None:
    program = (
        "import sys; before = set(sys.modules); import uptane; "
        "print(*sorted({name.partition('.')[0] for name in set(sys.modules) - before}))"
    )
    loaded = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout.split()
    assert set(loaded) - sys.stdlib_module_names == {"uptane"}


def test_every_folder_is_on_the_floor_plan_and_the_plan_has_no_other() -> None:
    plan = (REPOSITORY / "docs" / "architecture.md").read_text(encoding="utf-8")
    drawn = set(re.findall(r"^\| `([a-z0-9_/]+)/` +\|", plan, re.MULTILINE))
    built = {package.relative_to(SOURCE).as_posix() for package in PACKAGES if package != SOURCE}
    assert drawn == built


@pytest.mark.standard("STD-5.4.4.2-5")
def test_the_core_prints_nothing_opens_nothing_and_never_asks_the_time() -> None:
    worldly = {"print", "input", "open", "datetime.now", "datetime.today", "datetime.utcnow", "date.today"}
    calls = {
        _name(module): {ast.unparse(node.func) for node in ast.walk(_tree(module)) if isinstance(node, ast.Call)}
        for room in CORE
        for module in (SOURCE / room).rglob("*.py")
    }
    assert {name: found & worldly for name, found in calls.items() if found & worldly} == {}


def test_tests_have_names_of_their_own() -> None:
    """Every folder of tests is collected without packages, and failures are easier to find."""
    names = [path.name for path in (REPOSITORY / "tests").rglob("test_*.py")]
    assert sorted(names) == sorted(set(names))
