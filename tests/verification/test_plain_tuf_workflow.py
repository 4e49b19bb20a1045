"""The plain TUF workflow as effects: what is asked for, what is kept and when, and what a held file counts for."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime

import pytest
from tuf_simulator import TufSimulator, in_days

from uptane.formats.plain_tuf import PLAIN_TUF
from uptane.metadata.errors import (
    DelegationError,
    ExpiredMetadataError,
    MixAndMatchError,
    ReplayedMetadataError,
    SecurityError,
    UnreachableError,
)
from uptane.metadata.identifiers import RepositoryName
from uptane.verification.one_repository import VerifiedRepository
from uptane.verification.plain_tuf import refresh
from uptane.verification.steps import Commit, Keep, run
from uptane.verification.trusted import Context

NAME = RepositoryName("tuf")


@dataclass
class Client:
    """Holds files in memory, and remembers in which order they were asked for and kept."""

    repository: TufSimulator
    root: bytes = b""
    held: dict[str, bytes] = field(default_factory=dict)
    steps: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.root = self.repository.files["metadata/1.root.json"]

    def fetch(self, repository: RepositoryName, name: str, limit: int) -> bytes | None:
        self.steps.append(f"fetch {name}")
        return self.repository.files.get(f"metadata/{name}")

    def keep(self, step: Keep) -> None:
        assert step.drop == ()
        self.steps.append(f"keep root {step.version}")
        self.root = step.raw

    def commit(self, step: Commit) -> None:
        ((role, raw),) = step.files[NAME].items()
        self.steps.append(f"keep {role}")
        self.held[role] = raw

    def refresh(self, now: datetime | None = None) -> VerifiedRepository:
        self.steps.clear()
        context = Context(repository=NAME, profile=PLAIN_TUF, now=now or in_days(0))
        _, verified = run(refresh(context, self.root, self.held), self, self)
        return verified


@pytest.fixture
def repository() -> TufSimulator:
    return TufSimulator()


def test_each_role_is_kept_before_the_next_is_asked_for(repository: TufSimulator) -> None:
    repository.publish_root()
    client = Client(repository)
    verified = client.refresh()
    assert client.steps == [
        "fetch 2.root.json", "keep root 2", "fetch 3.root.json", "fetch timestamp.json", "keep timestamp",
        "fetch 1.snapshot.json", "keep snapshot", "fetch 1.targets.json", "keep targets",
    ]  # fmt: skip
    assert verified.files() == client.held
    client.refresh()
    assert client.steps == ["fetch 3.root.json", "fetch timestamp.json"]


@pytest.mark.parametrize("role", ["timestamp", "snapshot", "targets"])
def test_what_comes_before_a_missing_role_stays_kept(repository: TufSimulator, role: str) -> None:
    client = Client(repository)
    del repository.files[repository.name(role, 1 if role != "timestamp" else None)]
    with pytest.raises(UnreachableError):
        client.refresh()
    order = ["timestamp", "snapshot", "targets"]
    assert set(client.held) == set(order[: order.index(role)])


@pytest.mark.standard("STD-5.4.4.4-4")
def test_a_held_timestamp_of_the_same_version_counts_until_it_expires(repository: TufSimulator) -> None:
    repository.timestamp.expires = in_days(7)
    repository.sign_timestamp()
    client = Client(repository)
    client.refresh()
    held = dict(client.held)
    repository.timestamp.expires = in_days(14)
    repository.sign_timestamp()
    client.refresh()
    assert client.held == held
    assert client.steps == ["fetch 2.root.json", "fetch timestamp.json"]
    with pytest.raises(ExpiredMetadataError) as caught:
        client.refresh(in_days(8))
    assert caught.value.facts["role"] == "timestamp"
    assert client.held == held


def test_a_held_timestamp_that_lacks_its_snapshot_gets_it_from_the_same_version(repository: TufSimulator) -> None:
    client = Client(repository)
    snapshot = repository.files.pop("metadata/1.snapshot.json")
    with pytest.raises(UnreachableError):
        client.refresh()
    repository.files["metadata/1.snapshot.json"] = snapshot
    client.refresh()
    assert set(client.held) == {"timestamp", "snapshot", "targets"}


def test_a_held_snapshot_must_have_the_hash_that_the_timestamp_lists() -> None:
    repository = TufSimulator(listed=("sha256",))
    client = Client(repository)
    client.refresh()
    repository.snapshot.expires = in_days(29)
    repository.sign_snapshot()
    repository.publish_timestamp()
    client.refresh()
    assert client.steps[2:] == ["keep timestamp", "fetch 1.snapshot.json", "keep snapshot"]


Attack = Callable[[TufSimulator], None]


def an_older_timestamp(repository: TufSimulator) -> None:
    repository.timestamp.version = 1
    repository.sign_timestamp()


def an_older_snapshot(repository: TufSimulator) -> None:
    repository.snapshot.version = 0
    repository.publish()


def an_older_targets_file(repository: TufSimulator) -> None:
    repository.targets["targets"].version = 0
    repository.publish("targets")


def a_snapshot_that_forgets_targets(repository: TufSimulator) -> None:
    repository.snapshot.meta.clear()
    repository.publish()


def another_snapshot(repository: TufSimulator) -> None:
    repository.publish()
    repository.files["metadata/3.snapshot.json"] = repository.files["metadata/2.snapshot.json"]


@pytest.mark.parametrize(
    ("attack", "expected"),
    [
        (an_older_timestamp, ReplayedMetadataError),
        (an_older_snapshot, ReplayedMetadataError),
        (an_older_targets_file, ReplayedMetadataError),
        (a_snapshot_that_forgets_targets, ReplayedMetadataError),
        (another_snapshot, MixAndMatchError),
    ],
)
@pytest.mark.parametrize("days", [0, 8])
def test_held_files_are_floors_expired_or_not(
    repository: TufSimulator, attack: Attack, expected: type[SecurityError], days: int
) -> None:
    client = Client(repository)
    repository.publish("targets")
    repository.timestamp.expires = repository.snapshot.expires = in_days(7)
    repository.sign_snapshot()
    repository.sign_timestamp()
    client.refresh()
    repository.timestamp.expires = repository.snapshot.expires = in_days(20)
    attack(repository)
    with pytest.raises(expected):
        client.refresh(in_days(days))


def test_a_snapshot_may_begin_without_targets_and_then_the_search_ends_there(repository: TufSimulator) -> None:
    client = Client(repository)
    repository.snapshot.meta.clear()
    repository.publish()
    with pytest.raises(DelegationError):
        client.refresh()
    assert set(client.held) == {"timestamp", "snapshot"}


@pytest.mark.parametrize("role", ["timestamp", "snapshot"])
def test_a_held_file_that_the_present_keys_would_not_sign_sets_no_floor(repository: TufSimulator, role: str) -> None:
    client = Client(repository)
    repository.timestamp.version = repository.snapshot.version = 98
    repository.publish()
    client.refresh()
    repository.timestamp.version = repository.snapshot.version = 0
    for rotated in {"timestamp", role}:
        repository.rotate(rotated)
    repository.publish_root()
    repository.publish()
    verified = client.refresh()
    assert (verified.timestamp.value.version, verified.snapshot.value.version) == (1, 1)
