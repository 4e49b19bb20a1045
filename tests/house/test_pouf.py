"""The POUF and the page of formats say what the code does: names, codes, numbers, places and examples."""

import importlib
import inspect
import re
import typing
from collections.abc import Callable, Iterator, Mapping
from dataclasses import fields, is_dataclass
from datetime import timedelta
from typing import Any

import pytest
from pouf_examples import examples
from requirements import REPOSITORY, load, names_in

from uptane.metadata import errors
from uptane.metadata.errors import UptaneError
from uptane.services.device_api import director_routes, first_contact_routes, repository_routes, timeserver_routes
from uptane.services.director_app import director_methods
from uptane.services.primary_app import primary_methods
from uptane.services.timeserver_app import timeserver_methods
from uptane.services.xmlrpc_door import FaultCode

DOCS = REPOSITORY / "docs"
POUF = (DOCS / "pouf.md").read_text(encoding="utf-8")
PAGES = POUF + (DOCS / "formats.md").read_text(encoding="utf-8")
SOURCE = REPOSITORY / "src" / "uptane"

ANYTHING: Any = None
DOORS: Mapping[str, Mapping[str, Callable[..., object]]] = {
    "Director": director_methods(ANYTHING, ANYTHING, ANYTHING),
    "Timeserver": timeserver_methods(ANYTHING, ANYTHING),
    "Primary": primary_methods(ANYTHING, ANYTHING),
}
PER_UNIT = {"seconds": 1, "hours": 3600, "days": 86_400}


def _rows(*first_cells: str) -> list[list[str]]:
    """The rows of the POUF's table whose head begins with these cells."""
    head = "| " + " | ".join(first_cells) + " |"
    lines = POUF[POUF.index("\n" + head) :].lstrip("\n").splitlines()
    table = lines[: next((number for number, line in enumerate(lines) if not line.startswith("|")), len(lines))]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in table[2:]]


def _classes(kind: type[UptaneError] = UptaneError) -> Iterator[type[UptaneError]]:
    yield kind
    for child in kind.__subclasses__():
        if child.__module__ == errors.__name__:
            yield from _classes(child)


@pytest.mark.parametrize("door", DOORS)
def test_every_method_of_a_door_stands_in_its_table_with_its_arguments_in_their_order(door: str) -> None:
    said = {row[0].strip("`"): re.findall(r"`(\w+)` [a-z0-9 ]+?( \[\w+\])?(?:,|$)", row[1]) for row in _rows(door)}
    offered = {
        name: [
            (each.name, "" if each.default is inspect.Parameter.empty else f" [{_in_xml(each.default)}]")
            for each in inspect.signature(method).parameters.values()
        ]
        for name, method in DOORS[door].items()
    }
    assert said == offered


def _in_xml(value: object) -> str:
    return "nil" if value is None else str(int(typing.cast(bool, value)))


def test_no_table_of_methods_names_one_that_is_not_there() -> None:
    named = re.findall(r"^\| `([a-z_]+)` \|", POUF, re.MULTILINE)
    assert sorted(named) == sorted(name for methods in DOORS.values() for name in methods)


def test_every_route_of_the_device_api_is_listed() -> None:
    routes = [
        *director_routes(ANYTHING, ANYTHING),
        *repository_routes(ANYTHING, ANYTHING, ANYTHING),
        *timeserver_routes(ANYTHING, ANYTHING),
        *first_contact_routes(ANYTHING),
    ]
    offered = {
        f"`{method} {route.path}`" for route in routes for method in (getattr(route, "methods", {"GET"}) - {"HEAD"})
    }
    assert {row[0] for row in _rows("request", "body")} == offered


def test_every_code_of_an_error_is_listed_once_with_its_attack() -> None:
    said = [(row[0].strip("`"), row[1]) for row in _rows("code", "attack")]
    assert sorted(said) == sorted((kind.code, str(kind.attack or "")) for kind in _classes())


def test_no_code_is_named_that_no_error_has() -> None:
    assert set(re.findall(r"`(E-[A-Z-]+)`", PAGES)) <= {kind.code for kind in _classes()}


def test_every_number_of_a_fault_is_listed() -> None:
    assert [int(row[0]) for row in _rows("faultCode", "when")] == list(FaultCode)


def test_every_ambiguity_is_decided_once_with_a_place_in_the_code() -> None:
    rows = _rows("id", "our decision")
    assert [row[0] for row in rows] == list(load().decisions)
    assert [row[0] for row in rows if not row[1].endswith(".") or ".py:" not in row[2]] == []


LIMITS = re.findall(r"^\| (.+) \| ([\d,]+) \| (?:([A-Za-z ]+) )?\| `([\w/]+\.py:[\w.]+)` \|$", PAGES, re.MULTILINE)


@pytest.mark.parametrize(("what", "number", "unit", "place"), LIMITS, ids=[limit[3] for limit in LIMITS])
def test_every_limit_is_that_of_the_code(what: str, number: str, unit: str, place: str) -> None:
    value = _value_of(place)
    said = int(number.replace(",", ""))
    assert (timedelta(seconds=said * PER_UNIT[unit]) if isinstance(value, timedelta) else said) == value, what


def test_the_limits_are_found() -> None:
    named = re.findall(r"^\| .+ \| [\d,]+ \|.*\.py:.*\|$", PAGES, re.MULTILINE)
    assert len(LIMITS) == len(named) == len({limit[3] for limit in LIMITS}) > 50


def _value_of(place: str) -> object:
    """A constant, the default of a field of a class, or that of an argument of its constructor."""
    file, _, name = place.partition(":")
    owner, _, field = name.rpartition(".")
    module = importlib.import_module("uptane." + file.removesuffix(".py").replace("/", "."))
    if not owner:
        return getattr(module, name)
    kind = getattr(module, owner)
    if is_dataclass(kind):
        return next(each.default for each in fields(kind) if each.name == field)
    return inspect.signature(kind).parameters[field].default


def test_every_place_in_the_code_exists() -> None:
    places = set(re.findall(r"`([\w/]+\.py):([\w.]+)`", PAGES)) - {tuple(limit[3].split(":")) for limit in LIMITS}
    assert len(places) > 30
    assert {(file, name) for file, name in places if not _exists(file, name)} == set()


def _exists(file: str, name: str) -> bool:
    return (SOURCE / file).is_file() and name in names_in(SOURCE / file)


def test_every_test_that_is_named_exists() -> None:
    named = set(re.findall(r"`([\w/]+\.py)::(\w+)`", POUF))
    assert len(named) > 8
    missing = {
        (file, name)
        for file, name in named
        if not (REPOSITORY / "tests" / file).is_file() or name not in names_in(REPOSITORY / "tests" / file)
    }
    assert missing == set()


def test_every_link_leads_to_a_page_and_its_heading() -> None:
    broken = []
    for target, anchor in re.findall(r"\]\(([\w./-]*)(?:#([\w-]+))?\)", POUF):
        page = DOCS / target
        if not page.is_file():
            broken.append(target)
        elif anchor:
            headings = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
            anchors = {re.sub(r"[^\w -]", "", heading).lower().replace(" ", "-") for heading in headings}
            broken += [f"{target}#{anchor}"] if anchor not in anchors else []
    assert broken == []


EXAMPLES = examples()


@pytest.mark.parametrize("name", EXAMPLES)
def test_every_example_is_what_the_code_gives(name: str) -> None:
    said = re.findall(rf"^<!-- example: {re.escape(name)} -->\n\n```\n(.*?)\n```$", PAGES, re.MULTILINE | re.DOTALL)
    assert said == [EXAMPLES[name]]


def test_no_other_example_stands_there() -> None:
    assert sorted(re.findall(r"^<!-- example: (.+) -->$", PAGES, re.MULTILINE)) == sorted(EXAMPLES)


@pytest.mark.parametrize(
    "heading", ["Abstract", "Protocols", "Operations", "Usage", "Formats", "Security considerations", "Security audit"]
)
def test_the_page_has_the_parts_of_a_pouf(heading: str) -> None:
    assert POUF.count(f"\n## {heading}\n") == 1
