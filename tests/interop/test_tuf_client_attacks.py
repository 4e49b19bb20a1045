"""A repository attacks `uptane-tuf-client`, which keeps what it trusts and takes the next good file."""

from pathlib import Path

import pytest
from tuf_runner import client_of
from tuf_simulator import TufSimulator, in_days

GOOD = {"root": 1, "timestamp": 1, "snapshot": 1, "targets": 1}
LISTED = pytest.mark.parametrize("listed", [(), ("sha256",), ("sha256", "sha512")], ids=["versions", "one", "two"])


@LISTED
def test_an_older_timestamp_is_refused(tmp_path: Path, listed: tuple[str, ...]) -> None:
    repository = TufSimulator(listed=listed)
    with client_of(tmp_path, repository) as client:
        old = repository.files["metadata/timestamp.json"]
        repository.publish_timestamp()
        assert client.refresh() == 0
        good, repository.files["metadata/timestamp.json"] = repository.files["metadata/timestamp.json"], old
        assert client.refresh() == 1
        assert client.served.asked[-1] == "metadata/timestamp.json"
        assert client.versions() == GOOD | {"timestamp": 2}
        repository.files["metadata/timestamp.json"] = good
        assert client.refresh() == 0


@LISTED
def test_an_older_snapshot_is_refused_by_what_the_timestamp_lists(tmp_path: Path, listed: tuple[str, ...]) -> None:
    repository = TufSimulator(listed=listed)
    with client_of(tmp_path, repository) as client:
        repository.publish()
        assert client.refresh() == 0
        repository.snapshot.version = 1
        repository.sign_snapshot()
        repository.publish_timestamp()
        client.served.asked.clear()
        assert client.refresh() == 1
        assert client.served.roles_asked() == ["2.root.json", "timestamp.json"]
        assert client.versions() == GOOD | {"timestamp": 2, "snapshot": 2}
        repository.snapshot.version = 3
        repository.sign_snapshot()
        repository.publish_timestamp()
        assert client.refresh() == 0
        assert client.version("snapshot") == 3


@LISTED
def test_an_older_targets_file_is_refused_by_what_the_held_snapshot_lists(
    tmp_path: Path, listed: tuple[str, ...]
) -> None:
    repository = TufSimulator(listed=listed)
    with client_of(tmp_path, repository) as client:
        repository.publish("targets")
        assert client.refresh() == 0
        repository.targets["targets"].version = 0
        repository.publish("targets")
        assert client.refresh() == 1
        assert client.versions() == GOOD | {"timestamp": 3, "snapshot": 2, "targets": 2}
        repository.targets["targets"].version = 2
        repository.publish("targets")
        assert client.refresh() == 0
        assert client.version("targets") == 3


def test_a_delegated_role_is_no_older_than_the_held_snapshot_says(tmp_path: Path) -> None:
    repository = TufSimulator()
    repository.delegate("targets", "a")
    repository.add("a", "x", b"content")
    repository.publish("a", "targets")
    repository.publish("a")
    with client_of(tmp_path, repository) as client:
        assert client.download("x") == 0
        repository.targets["a"].version = 0
        repository.publish("a")
        assert client.download("x") == 1
        assert client.version("a") == 2


def test_a_role_may_not_vanish_from_the_snapshot(tmp_path: Path) -> None:
    repository = TufSimulator()
    repository.delegate("targets", "a")
    repository.publish("a", "targets")
    with client_of(tmp_path, repository) as client:
        assert client.refresh() == 0
        gone = repository.snapshot.meta.pop("a.json")
        repository.publish()
        assert client.refresh() == 1
        assert client.version("snapshot") == 2
        repository.snapshot.meta["a.json"] = gone
        repository.publish()
        assert client.refresh() == 0
        assert client.version("snapshot") == 4


def test_a_timestamp_of_the_same_version_with_other_content_changes_nothing(tmp_path: Path) -> None:
    repository = TufSimulator()
    with client_of(tmp_path, repository) as client:
        client.refresh()
        genuine = (client.metadata / "timestamp.json").read_bytes()
        repository.timestamp.snapshot_meta.version = 100
        repository.sign_timestamp()
        client.served.asked.clear()
        assert client.refresh() == 0
        assert client.served.roles_asked() == ["2.root.json", "timestamp.json"]
        assert (client.metadata / "timestamp.json").read_bytes() == genuine
        assert client.refresh(days=31) == 1


def test_a_snapshot_that_is_not_the_listed_one_is_refused_and_the_timestamp_kept(tmp_path: Path) -> None:
    repository = TufSimulator()
    with client_of(tmp_path, repository) as client:
        repository.snapshot.version = 2
        repository.files["metadata/1.snapshot.json"] = repository.signed(
            repository.snapshot, repository.signers["snapshot"]
        )
        assert client.refresh() == 1
        assert client.versions() == {"root": 1, "timestamp": 1}
        assert client.served.asked[-1] == "metadata/1.snapshot.json"
        repository.publish()
        assert client.refresh() == 0


@pytest.mark.parametrize("role", ["snapshot", "targets", "a"])
def test_a_file_of_another_hash_is_refused(tmp_path: Path, role: str) -> None:
    repository = TufSimulator(listed=("sha256",))
    repository.delegate("targets", "a")
    repository.add("a", "x", b"content")
    repository.publish("a", "targets")
    with client_of(tmp_path, repository) as client:
        version = 1 if role == "a" else 2
        name = f"metadata/{version}.{role}.json"
        genuine = repository.files[name]
        repository.files[name] = genuine + b"\n"
        assert client.download("x") == 1
        repository.files[name] = genuine.replace(b"30", b"31", 1) if b"30" in genuine else genuine[:-1]
        assert client.download("x") == 1
        assert client.version(role) is None
        repository.files[name] = genuine
        assert client.download("x") == 0


def test_a_targets_file_that_is_not_the_listed_version_is_refused(tmp_path: Path) -> None:
    repository = TufSimulator()
    with client_of(tmp_path, repository) as client:
        client.refresh()
        repository.publish("targets")
        repository.files["metadata/2.targets.json"] = repository.files["metadata/1.targets.json"]
        assert client.refresh() == 1
        assert client.versions() == GOOD | {"timestamp": 2, "snapshot": 2}


@pytest.mark.parametrize("role", ["timestamp", "snapshot", "targets", "a"])
def test_an_expired_role_is_not_kept_and_the_next_good_one_is(tmp_path: Path, role: str) -> None:
    repository = TufSimulator()
    repository.delegate("targets", "a")
    repository.add("a", "x", b"content")
    repository.publish("a", "targets")
    payload = getattr(repository, role, None) if role in ("timestamp", "snapshot") else repository.targets[role]
    assert payload is not None
    with client_of(tmp_path, repository) as client:
        assert client.download("x") == 0
        before = client.version(role)
        payload.expires = in_days(-1)
        repository.publish("a", "targets")
        assert client.download("x") == 1
        assert client.version(role) == before
        payload.expires = in_days(30)
        repository.publish("a", "targets")
        assert client.download("x") == 0
        assert client.version(role) == (before or 0) + 2


def test_an_expired_new_root_is_kept_and_nothing_after_it(tmp_path: Path) -> None:
    repository = TufSimulator()
    with client_of(tmp_path, repository) as client:
        client.refresh()
        repository.root.expires = in_days(-1)
        repository.publish_root()
        repository.publish("targets")
        client.served.asked.clear()
        assert client.refresh() == 1
        assert client.served.roles_asked() == ["2.root.json", "3.root.json"]
        assert client.versions() == GOOD | {"root": 2}
        repository.root.expires = in_days(30)
        repository.publish_root()
        assert client.refresh() == 0
        assert client.versions() == {"root": 3, "timestamp": 2, "snapshot": 2, "targets": 2}


def test_expired_local_files_move_forward(tmp_path: Path) -> None:
    repository = TufSimulator()
    for payload in (repository.timestamp, repository.snapshot, repository.targets["targets"]):
        payload.expires = in_days(7)
    repository.publish("targets")
    with client_of(tmp_path, repository) as client:
        assert client.refresh() == 0
        for payload in (repository.timestamp, repository.snapshot, repository.targets["targets"]):
            payload.expires = in_days(25)
        repository.publish("targets")
        assert client.refresh(days=18) == 0
        assert client.versions() == {"root": 1, "timestamp": 3, "snapshot": 3, "targets": 3}


def test_expired_local_files_are_a_floor_still(tmp_path: Path) -> None:
    repository = TufSimulator()
    old = dict(repository.files)
    repository.timestamp.expires = in_days(7)
    repository.publish("targets")
    with client_of(tmp_path, repository) as client:
        assert client.refresh() == 0
        repository.files["metadata/timestamp.json"] = old["metadata/timestamp.json"]
        assert client.refresh(days=18) == 1
        assert client.version("timestamp") == 2


def test_an_expired_local_delegated_role_is_not_used(tmp_path: Path) -> None:
    repository = TufSimulator()
    repository.delegate("targets", "a")
    repository.targets["a"].expires = in_days(7)
    repository.add("a", "x", b"content")
    repository.add("a", "y", b"content")
    repository.publish("a", "targets")
    with client_of(tmp_path, repository) as client:
        assert client.download("x") == 0
        assert client.download("y", days=18) == 1
        assert client.downloaded() == {"x": b"content"}
        repository.targets["a"].expires = in_days(25)
        repository.publish("a")
        assert client.download("y", days=18) == 0


def test_new_keys_recover_from_a_timestamp_that_a_thief_raised(tmp_path: Path) -> None:
    repository = TufSimulator()
    with client_of(tmp_path, repository) as client:
        repository.timestamp.version = 99
        repository.publish_timestamp()
        assert client.refresh() == 0
        assert client.version("timestamp") == 100
        repository.timestamp.version = 0
        repository.publish_timestamp()
        assert client.refresh() == 1
        repository.rotate("timestamp")
        repository.publish_root()
        repository.sign_timestamp()
        assert client.refresh() == 0
        assert client.version("timestamp") == 1


@pytest.mark.parametrize("rotated", [("snapshot", "timestamp"), ("timestamp",)], ids="+".join)
def test_new_keys_recover_from_a_snapshot_that_a_thief_raised(tmp_path: Path, rotated: tuple[str, ...]) -> None:
    repository = TufSimulator()
    with client_of(tmp_path, repository) as client:
        repository.snapshot.version = 99998
        repository.publish()
        assert client.refresh() == 0
        assert client.version("snapshot") == 99999
        for role in rotated:
            repository.rotate(role)
        repository.publish_root()
        repository.snapshot.version = 0
        repository.publish()
        assert client.refresh() == 0
        assert client.version("snapshot") == 1


def test_new_snapshot_keys_recover_from_a_targets_file_that_a_thief_raised(tmp_path: Path) -> None:
    repository = TufSimulator()
    with client_of(tmp_path, repository) as client:
        repository.targets["targets"].version = 99
        repository.publish("targets")
        assert client.refresh() == 0
        assert client.version("targets") == 100
        repository.rotate("snapshot")
        repository.publish_root()
        repository.targets["targets"].version = 0
        repository.publish("targets")
        assert client.refresh() == 0
        assert client.version("targets") == 1


def test_a_key_that_is_only_added_opens_no_way_back(tmp_path: Path) -> None:
    repository = TufSimulator()
    with client_of(tmp_path, repository) as client:
        old = repository.files["metadata/timestamp.json"]
        repository.publish("targets")
        assert client.refresh() == 0
        added = repository.make()
        repository.root.add_key(added.public_key, "timestamp")
        repository.publish_root()
        repository.files["metadata/timestamp.json"] = old
        assert client.refresh() == 1
        assert client.versions() == {"root": 2, "timestamp": 2, "snapshot": 2, "targets": 2}


@pytest.mark.parametrize("role", ["timestamp", "snapshot", "targets"])
def test_a_held_file_that_new_keys_did_not_sign_is_fetched_again(tmp_path: Path, role: str) -> None:
    repository = TufSimulator()
    with client_of(tmp_path, repository) as client:
        client.refresh()
        repository.rotate(role)
        repository.publish_root()
        name = "metadata/timestamp.json" if role == "timestamp" else f"metadata/1.{role}.json"
        assert client.refresh() == 1
        payload = repository.targets["targets"] if role == "targets" else getattr(repository, role)
        repository.files[name] = repository.signed(payload, repository.signers[role])
        assert client.refresh() == 0
        assert (client.metadata / f"{role}.json").read_bytes() == repository.files[name]


@pytest.mark.parametrize("offered", [1, 3, 99])
def test_the_next_root_is_the_next_version(tmp_path: Path, offered: int) -> None:
    repository = TufSimulator()
    with client_of(tmp_path, repository) as client:
        repository.root.version = offered
        repository.files["metadata/2.root.json"] = repository.signed(repository.root, repository.signers["root"])
        assert client.refresh() == 1
        assert client.versions() == {"root": 1}
        repository.root.version = 1
        repository.publish_root()
        assert client.refresh() == 0
        assert client.version("root") == 2


def test_a_bad_root_after_a_good_one_is_not_trusted_at_the_next_start(tmp_path: Path) -> None:
    repository = TufSimulator()
    with client_of(tmp_path, repository) as client:
        repository.publish_root()
        repository.publish_root(repository.make())
        assert client.refresh() == 1
        assert client.version("root") == 2
        assert client.refresh() == 1
        assert client.version("root") == 2


@pytest.mark.parametrize("role", ["root", "timestamp", "snapshot", "targets"])
def test_more_bytes_than_the_limit_are_refused(tmp_path: Path, role: str) -> None:
    repository = TufSimulator()
    with client_of(tmp_path, repository) as client:
        names = {"root": "metadata/2.root.json", "timestamp": "metadata/timestamp.json"}
        name = names.get(role, f"metadata/1.{role}.json")
        genuine = repository.files.get(name)
        repository.files[name] = b" " * 5_000_001
        assert client.refresh() == 1
        assert client.version(role) == (1 if role == "root" else None)
        if genuine is None:
            del repository.files[name]
        else:
            repository.files[name] = genuine
        assert client.refresh() == 0
