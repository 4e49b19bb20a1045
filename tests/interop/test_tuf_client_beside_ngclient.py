"""Histories at random: after each step `uptane-tuf-client` and `tuf.ngclient` end alike and trust the same bytes.

They differ in one thing (record 13): a held Snapshot that has not the hash that the Timestamp lists under its version
is fetched by ours and kept by the other. So histories with hashes have no steps that use a version twice.
"""

import random
from collections.abc import Callable
from pathlib import Path

import pytest
from tuf_runner import Other, client_of
from tuf_simulator import TOP, TufSimulator, in_days

Step = Callable[[TufSimulator, random.Random], None]


def publish(repository: TufSimulator, choose: random.Random) -> None:
    repository.publish(*choose.choice([(), ("targets",)]))


def publish_timestamp(repository: TufSimulator, choose: random.Random) -> None:
    repository.publish_timestamp()


def publish_roots(repository: TufSimulator, choose: random.Random) -> None:
    for _ in range(choose.randint(1, 3)):
        repository.publish_root()


def rotate(repository: TufSimulator, choose: random.Random) -> None:
    role = choose.choice(TOP)
    old = repository.signers[role]
    repository.rotate(role)
    repository.publish_root(*old, *repository.signers["root"])
    repository.publish("targets")


def rotate_and_roll_back(repository: TufSimulator, choose: random.Random) -> None:
    for role in choose.sample(["timestamp", "snapshot", "targets"], choose.randint(1, 3)):
        repository.rotate(role)
    repository.publish_root()
    roll_back(repository, choose)


def roll_back(repository: TufSimulator, choose: random.Random) -> None:
    payload = choose.choice([repository.timestamp, repository.snapshot, repository.targets["targets"]])
    payload.version = max(payload.version - choose.randint(1, 3), 0)
    repository.publish("targets")


def roll_forward(repository: TufSimulator, choose: random.Random) -> None:
    for payload in (repository.timestamp, repository.snapshot, repository.targets["targets"]):
        payload.version += 10
    repository.publish("targets")


def expire(repository: TufSimulator, choose: random.Random) -> None:
    payload = choose.choice([repository.root, repository.timestamp, repository.snapshot, repository.targets["targets"]])
    payload.expires = in_days(-1)
    repository.publish_root()
    repository.publish("targets")


def renew(repository: TufSimulator, choose: random.Random) -> None:
    for payload in (repository.root, repository.timestamp, repository.snapshot, repository.targets["targets"]):
        payload.expires = in_days(30)
    repository.publish_root()
    repository.publish("targets")


def change_a_timestamp(repository: TufSimulator, choose: random.Random) -> None:
    repository.timestamp.unrecognized_fields["x"] = choose.random().hex()
    repository.sign_timestamp()


def lose_a_file(repository: TufSimulator, choose: random.Random) -> None:
    repository.publish("targets")
    role = choose.choice(["snapshot", "targets"])
    version = repository.snapshot.version if role == "snapshot" else repository.targets["targets"].version
    del repository.files[repository.name(role, version)]


def put_back_an_older_file(repository: TufSimulator, choose: random.Random) -> None:
    old = dict(repository.files)
    repository.publish("targets")
    name = choose.choice(["timestamp", f"{repository.snapshot.version}.snapshot"])
    source = name if name == "timestamp" else f"{repository.snapshot.version - 1}.snapshot"
    repository.files[f"metadata/{name}.json"] = old.get(f"metadata/{source}.json", b"{}")


def sign_by_a_stranger(repository: TufSimulator, choose: random.Random) -> None:
    role = choose.choice(TOP)
    genuine, repository.signers[role] = repository.signers[role], [repository.make()]
    if role == "root":
        raw = repository.publish_root()
        repository.root.version -= 1
        assert raw
    else:
        repository.publish("targets")
    repository.signers[role] = genuine


def raise_a_threshold(repository: TufSimulator, choose: random.Random) -> None:
    role = choose.choice(["timestamp", "snapshot", "targets"])
    repository.root.roles[role].threshold = choose.randint(1, 2)
    repository.publish_root()
    repository.publish("targets")


def add_a_key(repository: TufSimulator, choose: random.Random) -> None:
    role = choose.choice(["timestamp", "snapshot", "targets"])
    repository.signers[role].append(repository.make())
    repository.root.add_key(repository.signers[role][-1].public_key, role)
    repository.publish_root()
    repository.publish("targets")


def forget_a_role(repository: TufSimulator, choose: random.Random) -> None:
    name = choose.choice(["a.json", "b.json"])
    if name in repository.snapshot.meta:
        del repository.snapshot.meta[name]
    else:
        repository.snapshot.meta[name] = repository.snapshot.meta["targets.json"]
    repository.publish()


STEPS: list[Step] = [
    publish, publish, publish_timestamp, publish_roots, rotate, rotate_and_roll_back, roll_back, roll_forward, expire,
    renew, renew, change_a_timestamp, lose_a_file, put_back_an_older_file, sign_by_a_stranger, raise_a_threshold,
    add_a_key, forget_a_role,
]  # fmt: skip


VERSIONS_TWICE = (roll_back, rotate_and_roll_back)


@pytest.mark.parametrize("listed", [(), ("sha256",)], ids=["versions", "hashes"])
@pytest.mark.parametrize("seed", range(10))
def test_both_clients_end_alike_and_trust_the_same(tmp_path: Path, seed: int, listed: tuple[str, ...]) -> None:
    choose = random.Random(seed)
    repository = TufSimulator(listed=listed)
    other = Other(tmp_path / "ngclient", repository)
    steps = [step for step in STEPS if not (listed and step in VERSIONS_TWICE)]
    story = []
    with client_of(tmp_path, repository) as client:
        for _ in range(12):
            step = choose.choice(steps)
            story.append(step.__name__)
            step(repository, choose)
            ours, theirs = client.refresh(), other.refresh()
            held = {file.name: file.read_bytes() for file in client.metadata.iterdir()}
            assert (ours, held) == (theirs, other.held()), story
