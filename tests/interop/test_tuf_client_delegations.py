"""Which role's word counts: `uptane-tuf-client` on the graphs and patterns of the contract, beside an oracle."""

import random
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from urllib.parse import quote

import pytest
from tuf_runner import Other, Runner, client_of
from tuf_simulator import TufSimulator, in_days

from uptane.formats.plain_tuf_values import UnsafePattern

Edge = tuple[str, str, Sequence[str], bool]
"""Delegator, role, patterns, whether it is terminating."""


@dataclass
class Oracle:
    """The rule of the specification (5.6.7) as it reads: pre-order, depth first, in order, terminating ends it all."""

    edges: Sequence[Edge]
    holdings: Mapping[str, Sequence[str]]
    asked: list[str] = field(default_factory=list)
    followed: set[tuple[str, str]] = field(default_factory=set)

    def find(self, path: str, role: str = "targets") -> str | None:
        """The role whose entry counts, or `nobody` once a terminating delegation found nothing."""
        if path in self.holdings.get(role, ()):
            return role
        for delegator, child, patterns, terminating in self.edges:
            if delegator != role or not any(covers(pattern, path) for pattern in patterns):
                continue
            if (role, child) not in self.followed:
                self.followed.add((role, child))
                if child not in self.asked:
                    self.asked.append(child)
                found = self.find(path, child)
                if found is not None:
                    return found
            if terminating:
                return "nobody"
        return None


def covers(pattern: str, path: str) -> bool:
    """`*` and `?` within one component, everything else as it stands."""
    pieces = {"*": "[^/]*", "?": "[^/]"}
    return re.fullmatch("".join(pieces.get(c, re.escape(c)) for c in pattern), path, re.DOTALL) is not None


def published(edges: Sequence[Edge], holdings: Mapping[str, Sequence[str]]) -> TufSimulator:
    """A repository with these delegations; each role's content tells who listed it."""
    repository = TufSimulator()
    for delegator, child, patterns, terminating in edges:
        repository.delegate(delegator, child, *patterns, terminating=terminating)
    for role, paths in holdings.items():
        for path in paths:
            repository.add(role, path, f"{path} by {role}".encode())
    repository.publish(*repository.targets)
    return repository


def agrees(client: Runner, edges: Sequence[Edge], holdings: Mapping[str, Sequence[str]], path: str) -> Oracle:
    """The client finds what the oracle finds, and asks for the same roles in the same order."""
    oracle = Oracle(edges, holdings)
    owner = oracle.find(path)
    client.served.asked.clear()
    code = client.download(path)
    fetched = [name for name in client.served.roles_asked() if name[0].isdigit()]
    known = {"2.root.json", "2.snapshot.json", "2.targets.json"}
    assert [name.partition(".")[2] for name in fetched if name not in known] == [
        f"{role}.json" for role in oracle.asked
    ]
    expected = {} if owner in (None, "nobody") else {quote(path, ""): f"{path} by {owner}".encode()}
    assert (code, client.downloaded()) == (0 if expected else 1, expected)
    return oracle


ALL = ("*",)
GRAPHS: dict[str, tuple[list[Edge], list[str]]] = {
    "one": ([("targets", "A", ALL, False)], ["A"]),
    "two beside each other": ([("targets", "A", ALL, False), ("targets", "B", ALL, False)], ["A", "B"]),
    "two levels": (
        [("targets", "A", ALL, False), ("targets", "B", ALL, False), ("B", "C", ALL, False)],
        ["A", "B", "C"],
    ),
    "depth first": (
        [("targets", r, ALL, False) for r in "AB"] + [("A", "C", ALL, False), ("A", "D", ALL, False)],
        ["A", "C", "D", "B"],
    ),
    "three levels": (
        [("targets", r, ALL, False) for r in "AB"] + [("A", "C", ALL, False), ("C", "D", ALL, False)],
        ["A", "C", "D", "B"],
    ),
    "terminating at the first level": (
        [("targets", "A", ALL, True), ("targets", "B", ALL, False), ("A", "C", ALL, False)],
        ["A", "C"],
    ),
    "terminating at the second level": (
        [("targets", r, ALL, False) for r in "AB"] + [("A", "C", ALL, True), ("A", "D", ALL, False)],
        ["A", "C"],
    ),
    "terminating above a third level": (
        [("targets", r, ALL, False) for r in "AB"] + [("A", "C", ALL, True), ("C", "D", ALL, False)],
        ["A", "C", "D"],
    ),
    "terminating where the path does not match": (
        [("targets", "A", ("*.py",), True), ("targets", "B", ALL, False)],
        ["B"],
    ),
    "a branch that does not match": (
        [("targets", "A", ("*.py",), False), ("targets", "B", ALL, False), ("A", "C", ALL, False)],
        ["B"],
    ),
    "a deeper branch that does not match": (
        [("targets", r, ALL, False) for r in "AB"] + [("A", "C", ("*.py",), False), ("C", "D", ALL, False)],
        ["A", "B"],
    ),
    "a cycle": (
        [("targets", r, ALL, False) for r in "AB"] + [(*pair, ALL, False) for pair in ("BC", "CD", "DB")],  # type: ignore[list-item]
        ["A", "B", "C", "D"],
    ),
    "a role that delegates to itself": ([("targets", "A", ALL, False), ("A", "A", ALL, False)], ["A"]),
    "a diamond": (
        [("targets", r, ALL, False) for r in "AB"] + [("B", "C", ALL, False), ("A", "C", ALL, False)],
        ["A", "C", "B"],
    ),
    "a diamond of which one side does not match": (
        [("targets", r, ALL, False) for r in "AB"] + [("B", "C", ALL, False), ("A", "C", ("*.py",), False)],
        ["A", "B", "C"],
    ),
}


@pytest.mark.parametrize(("edges", "visited"), GRAPHS.values(), ids=GRAPHS)
def test_roles_are_visited_in_pre_order(tmp_path: Path, edges: list[Edge], visited: list[str]) -> None:
    with client_of(tmp_path, published(edges, {})) as client:
        assert agrees(client, edges, {}, "missing").asked == visited


TREE: list[Edge] = [
    ("targets", "A", ("*.doc", "*.md"), False),
    ("targets", "B", ("releases/*/*",), False),
    ("B", "C", ("releases/x/*",), False),
    ("B", "D", ("releases/y/*.zip",), False),
]
HOLDINGS = {
    "targets": ["file"],
    "A": ["README.md", "releases/x/by_A"],
    "C": ["releases/x/v1", "releases/y/v1"],
    "D": ["releases/y/v1.zip", "releases/z/v1.zip"],
}


@pytest.mark.parametrize(
    ("path", "visited"),
    [
        ("file", []),
        ("README.md", ["A"]),
        ("README.MD", []),
        ("sub/README.md", []),
        ("releases/x/v1", ["B", "C"]),
        ("releases/x/by_A", ["B", "C"]),
        ("releases/y/v1.zip", ["B", "D"]),
        ("releases/z/v1.zip", ["B"]),
        ("releases/y/v1", ["B"]),
        ("releases/v1", []),
    ],
)
def test_every_link_of_the_chain_must_match(tmp_path: Path, path: str, visited: list[str]) -> None:
    with client_of(tmp_path, published(TREE, HOLDINGS)) as client:
        assert agrees(client, TREE, HOLDINGS, path).asked == visited


PATTERNS = [
    ("*", "a", True), ("*", "a/b", False), ("*", "", True), ("a*", "a", True), ("*/*", "a/b", True),
    ("*/*", "a/b/c", False), ("?", "a", True), ("?", "ab", False), ("?", "/", False), ("a?c", "a/c", False),
    ("a/*", "a/b", True), ("a/*", "a/b/c", False), ("a/*", "A/b", False), ("*.TXT", "a.txt", False),
    ("a/?/*.b", "a/x/y.b", True), ("a/?/*.b", "a/xx/y.b", False), ("foo-version-?.tgz", "foo-version-2.tgz", True),
    ("[ab]", "a", False), ("[ab]", "[ab]", True), ("a.c", "abc", False), ("\\*", "\\x", True), ("/a", "a", False),
    ("/*", "/a", True), ("../*", "../a", True), ("a//b", "a//b", True), ("*\u00fc", "x\u00fc", True), ("a", "a", True),
]  # fmt: skip


@pytest.mark.parametrize(("pattern", "path", "expected"), PATTERNS)
def test_patterns_stay_within_a_component(pattern: str, path: str, expected: bool) -> None:
    assert UnsafePattern(pattern).matches(path) is covers(pattern, path) is expected


def test_overlapping_paths_go_by_priority(tmp_path: Path) -> None:
    edges: list[Edge] = [("targets", "A", ("dir/*.img",), False), ("targets", "B", ("dir/*",), False)]
    holdings = {"A": ["dir/a.img"], "B": ["dir/a.img", "dir/b.img"]}
    with client_of(tmp_path, published(edges, holdings)) as client:
        agrees(client, edges, holdings, "dir/a.img")
        assert client.download("dir/b.img") == 0
        assert client.downloaded()["dir%2Fb.img"] == b"dir/b.img by B"


@pytest.mark.parametrize("seed", range(25))
def test_random_graphs_are_searched_as_the_oracle_and_tuf_ngclient_do(tmp_path: Path, seed: int) -> None:
    choose = random.Random(seed)
    roles = ["A", "B", "C", "D", "E"]
    pairs = [(parent, child) for parent in ["targets", *roles] for child in roles]
    patterns = ["*", "*/*", "x/*", "y/*", "x/?", "*/b", "x/a", "*.img"]
    edges: list[Edge] = [
        (*pair, choose.sample(patterns, choose.randint(1, 3)), choose.random() < 0.2)
        for pair in choose.sample(pairs, 12)
    ]
    reached = {child for _, child, _, _ in edges}
    edges = [edge for edge in edges if edge[0] in reached | {"targets"}]
    holdings = {role: choose.sample(["x/a", "y/b", "x/bb"], choose.randint(0, 1)) for role in reached}
    path = choose.choice(["x/a", "y/b", "x/bb"])
    repository = published(edges, {role: paths for role, paths in holdings.items() if role in reached})
    with client_of(tmp_path, repository) as client:
        agrees(client, edges, holdings, path)
        theirs = Other(tmp_path / "ngclient", repository).updater().get_targetinfo(path)
        assert (theirs is not None) == bool(client.downloaded())


def test_a_role_reached_by_two_parents_is_verified_with_the_keys_of_each(tmp_path: Path) -> None:
    edges: list[Edge] = [
        ("targets", "A", ("a/*",), False),
        ("targets", "B", ("b/*",), False),
        ("A", "C", ("a/*",), False),
        ("B", "C", ("b/*",), False),
    ]
    repository = published(edges, {"C": ["a/x", "b/x"]})
    by_both, (by_first, _) = repository.signers["C"], repository.signers["C"]
    repository.signers["C"] = [by_first]
    repository.publish("C")
    with client_of(tmp_path, repository) as client:
        assert client.download("b/x") == 1
        assert client.download("a/x", "b/x") == 1
        assert set(client.downloaded()) == {"a%2Fx"}
        assert client.download("b/x") == 1
        assert set(client.downloaded()) == {"a%2Fx"}
        repository.signers["C"] = by_both
        repository.publish("C")
        assert client.download("b/x", "a/x") == 0


@pytest.mark.parametrize("trouble", ["not in Snapshot", "missing", "forged", "expired"])
def test_an_absent_or_invalid_role_ends_the_search(tmp_path: Path, trouble: str) -> None:
    edges: list[Edge] = [("targets", "A", ALL, False), ("targets", "B", ALL, False)]
    repository = published(edges, {"B": ["x"]})
    if trouble == "expired":
        repository.targets["A"].expires = in_days(-1)
    if trouble == "forged":
        repository.signers["A"] = [repository.make()]
    repository.publish("A")
    if trouble == "not in Snapshot":
        del repository.snapshot.meta["A.json"]
        repository.publish()
    if trouble == "missing":
        del repository.files["metadata/2.A.json"]
    with client_of(tmp_path, repository) as client:
        assert client.refresh() == 0
        client.served.asked.clear()
        assert client.download("x") == 1
        asked = [name for name in client.served.roles_asked() if name.endswith(("A.json", "B.json"))]
        assert asked == ([] if trouble == "not in Snapshot" else ["2.A.json"])
        assert client.versions().keys() == {"root", "timestamp", "snapshot", "targets"}


def test_a_chain_that_is_too_long_is_given_up(tmp_path: Path) -> None:
    names = [f"r{number}" for number in range(40)]
    edges: list[Edge] = [(parent, child, ALL, False) for parent, child in zip(["targets", *names], names, strict=False)]
    repository = published(edges, {"r31": ["near"], "r39": ["far"]})
    with client_of(tmp_path, repository) as client:
        assert client.download("near") == 0
        assert client.download("far") == 1
        assert client.version("r31") == 1
        assert client.version("r32") is None


ROLES = [
    "?",
    "#",
    "/role",
    "../role",
    "..",
    ".",
    "1.root",
    "a b",
    "\u00fc/\u4e2d",
    "%2e%2e",
    "C:\\x",
    "a\0b",
    "+&=;",
    "x.json",
]


@pytest.mark.parametrize("role", ROLES)
def test_a_role_name_is_never_a_path(tmp_path: Path, role: str) -> None:
    edges: list[Edge] = [("targets", role, ALL, False)]
    repository = published(edges, {role: ["x"]})
    before = {path for path in tmp_path.parent.rglob("*") if "metadata" not in path.parts}
    with client_of(tmp_path, repository) as client:
        assert client.download("missing") == 1
        assert client.served.asked[-1] == f"metadata/1.{quote(role, '')}.json"
        assert (client.metadata / f"{quote(role, '')}.json").read_bytes() == repository.files[client.served.asked[-1]]
        client.served.asked.clear()
        assert client.download("x") == 0
        assert f"1.{quote(role, '')}.json" not in client.served.roles_asked()
        held = {file.name for file in client.metadata.iterdir()}
        assert len(held) == 5
    outside = {path for path in tmp_path.parent.rglob("*") if "metadata" not in path.parts} - before
    assert {path.relative_to(tmp_path).parts[0] for path in outside} == {"downloads", "trusted_root.json"}


def test_hash_bins_are_searched_by_the_prefix(tmp_path: Path) -> None:
    repository = TufSimulator()
    for digit in "0123456789abcdef":
        repository.delegate("targets", f"bin-{digit}")
        delegations = repository.targets["targets"].delegations
        assert delegations is not None and delegations.roles is not None
        delegations.roles[f"bin-{digit}"].paths = None
        delegations.roles[f"bin-{digit}"].path_hash_prefixes = [digit]
    paths = [f"dir/{number}.img" for number in range(6)]
    for path in paths:
        repository.add(f"bin-{sha256(path.encode()).hexdigest()[0]}", path, path.encode())
    repository.publish(*repository.targets)
    with client_of(tmp_path, repository) as client:
        assert client.download(*paths) == 0
        assert len(client.downloaded()) == 6
        fetched = {name for name in client.served.roles_asked() if "bin" in name}
        assert fetched == {f"1.bin-{sha256(path.encode()).hexdigest()[0]}.json" for path in paths}


@pytest.mark.parametrize("bits", [1, 3, 4, 5])
def test_succinct_bins_are_found_and_terminate(tmp_path: Path, bits: int) -> None:
    repository = TufSimulator()
    names = repository.delegate_bins("targets", bits, "my/bin")
    delegations = repository.targets["targets"].delegations
    assert delegations is not None and delegations.succinct_roles is not None
    paths = [f"dir/{number}.img" for number in range(8)]
    for path in paths:
        repository.add(delegations.succinct_roles.get_role_for_target(path), path, path.encode())
    repository.publish("targets", *names)
    with client_of(tmp_path, repository) as client:
        assert client.download(*paths) == 0
        assert len(client.downloaded()) == 8
        client.served.asked.clear()
        assert client.download("missing") == 1
