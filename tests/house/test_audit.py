"""`make audit` looks up every pin, and fails where it finds something, cannot ask, or has to leave one out."""

import json
import runpy
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.metadata import PackageNotFoundError, distributions, requires
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from raw_sockets import closed_port

REPOSITORY = Path(__file__).resolve().parents[2]


def pins(name: str) -> list[str]:
    return [line for line in (REPOSITORY / name).read_text(encoding="utf-8").splitlines() if "==" in line]


PINS, OVERRIDES = pins("constraints.txt"), pins("dev-overrides.txt")


@contextmanager
def advisories(vulnerable: str = "") -> Iterator[tuple[str, set[str]]]:
    """The address of a service that knows one vulnerability at most, and what it is asked for."""
    asked: set[str] = set()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            package = json.loads(self.rfile.read(int(self.headers["content-length"])))
            name = package["package"]["name"]
            asked.add(f"{name}=={package['version']}")
            known = [{"id": "TEST-1", "summary": "", "details": "", "aliases": [], "affected": [], "modified": ""}]
            body = json.dumps({"vulns": known} if name == vulnerable else {}).encode()
            self.send_response(200)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            """Says nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}", asked
        finally:
            server.shutdown()
            thread.join()


def audit(service: str) -> tuple[int, str]:
    """The audit as the Makefile has it, with another service: exit code and what it said."""
    command = subprocess.run(
        ["make", "-n", "--no-print-directory", "-o", ".venv/.installed", "audit", f"AUDIT=-s osv --osv-url {service}"],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    done = subprocess.run(["sh", "-c", command], cwd=REPOSITORY, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout + done.stderr


def plain(pin: str) -> str:
    return pin.lower().replace("_", "-").replace(".", "-")


def test_every_pin_is_looked_up_and_none_is_vulnerable_here() -> None:
    with advisories() as (service, asked):
        code, said = audit(service)
    assert code == 0, said
    assert {plain(each) for each in asked} == {plain(pin) for pin in PINS + OVERRIDES}


@pytest.mark.parametrize("pin", OVERRIDES)
def test_a_pin_against_the_range_of_a_package_is_one_that_the_tests_need_and_that_range_forbids(pin: str) -> None:
    name, _, version = pin.partition("==")
    asked = [(owner.name, Requirement(line)) for owner in distributions() for line in owner.requires or ()]
    needed = {owner: each for owner, each in asked if plain(each.name) == plain(name)}
    forbidding = [owner for owner, each in needed.items() if not each.specifier.contains(version)]
    assert forbidding, f"nobody forbids {pin} any more: it belongs into constraints.txt, or nowhere"
    assert not {plain(owner) for owner in needed} & {plain(each) for each in runtime()}, "users would not have it"
    assert not any(plain(each.partition("==")[0]) == plain(name) for each in PINS)


def runtime() -> set[str]:
    """What `pip install uptane` brings, with any of its extras, and all that this needs."""
    found, left = set[str](), ["uptane"]
    while left:
        each = left.pop()
        if each not in found:
            found.add(each)
            with suppress(PackageNotFoundError):
                left += [
                    Requirement(line).name
                    for line in requires(each) or ()
                    if each == "uptane" or "extra ==" not in line
                ]
    return found


def test_a_known_vulnerability_fails_the_audit() -> None:
    with advisories("cryptography") as (service, _):
        code, said = audit(service)
    assert code != 0 and "TEST-1" in said and "FAILED" in said


def test_a_service_that_cannot_be_asked_fails_the_audit() -> None:
    code, said = audit(f"http://127.0.0.1:{closed_port()}")
    assert code != 0 and "FAILED" in said


@pytest.mark.parametrize("flag", ["--ignore-vuln", "--skip-editable", "--dry-run", "|| true"])
def test_the_audit_leaves_nothing_out(flag: str) -> None:
    recipe = (REPOSITORY / "Makefile").read_text().partition("\naudit:")[2].partition("\n\n")[0]
    assert "--strict" in recipe and "-r constraints.txt -r dev-overrides.txt" in recipe and flag not in recipe


@dataclass
class Page:
    status_code: int
    body: dict[str, Any] = field(default_factory=dict)

    def json(self) -> dict[str, Any]:
        return self.body


class Index:
    """A package index that has these pages."""

    def __init__(self, pages: dict[str, Page]) -> None:
        self._pages = pages

    def get(self, *, url: str, timeout: float | None) -> Page:
        return self._pages.get(url, Page(404))


def told(version: str = "1.0", status: int = 200, **known: Any) -> Page:
    """A page that tells of vulnerabilities, of which there are none, unless something else is known."""
    return Page(status, {"info": {"version": version}} | (known or {"vulnerabilities": []}))


@pytest.mark.parametrize(
    ("pages", "found"),
    [
        ({"a/1.0/json": told(known=1, vulnerabilities=[]), "a/json": told()}, "a/1.0/json"),
        ({"a/json": told("1.0.0")}, "a/json"),
        ({"a/json": told("1.1")}, None),
        ({"a/1.0/json": told(status=503), "a/json": told()}, "a/1.0/json"),
        ({}, None),
        ({"a/1.0/json": told(summary="")}, None),
        ({"a/json": told(vulnerabilities=None)}, None),
    ],
    ids=[
        "a page of the version",
        "the newest one",
        "an older one",
        "an index in trouble",
        "no such project",
        "an index that knows no vulnerabilities",
        "one that says so",
    ],
)
def test_a_project_page_tells_of_its_newest_version_alone(pages: dict[str, Page], found: str | None) -> None:
    """What is known of another version says nothing of the pinned one, which has not been looked up then."""
    program = runpy.run_path(str(REPOSITORY / "tests" / "house" / "audit.py"))
    page = program["NewestToo"](Index(pages)).get(url="a/1.0/json", timeout=1)
    assert page.status_code == 404 if found is None else page is pages[found]
