"""Keys, thresholds and signatures as plain TUF counts them: by distinct key, under the identifiers of the file."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from securesystemslib.formats import encode_canonical
from securesystemslib.signer import CryptoSigner, SSlibKey
from tuf.api.metadata import Metadata
from tuf_runner import Runner, client_of
from tuf_simulator import KINDS, TufSimulator

Steps = list[tuple[list[int], int, list[int]]]

ROTATIONS: dict[str, tuple[Steps, bool]] = {
    "one key replaced": ([([1], 1, [1]), ([2], 1, [2, 1]), ([2], 1, [2])], True),
    "strangers sign as well": ([([1], 1, [3, 1, 4]), ([2], 1, [3, 2, 1, 4]), ([2], 1, [3, 2, 4])], True),
    "three of five, ever others": ([([0, 1, 2, 3, 4], 3, sigs) for sigs in ([0, 2, 4], [0, 4, 1], [0, 1, 3])], True),
    "one of five replaced": ([([0, 1, 2, 3, 4], 3, [0, 2, 4]), ([0, 1, 3, 4, 5], 3, [0, 4, 1])], True),
    "all of five replaced": (
        [([0, 1, 2, 3, 4], 3, [0, 2, 4]), ([5, 6, 7, 8, 9], 3, [0, 2, 4, 5, 6, 7]), ([5, 6, 7, 8, 9], 3, [5, 6, 7])],
        True,
    ),
    "threshold raised": ([([1, 2, 3], 1, [1]), ([1, 2, 3], 2, [1, 2])], True),
    "threshold lowered": ([([1, 2, 3], 2, [1, 2]), ([1, 2, 3], 1, [1, 2]), ([1, 2, 3], 1, [1])], True),
    "not by the old key": ([([1], 1, [1]), ([2], 1, [2, 3, 4])], False),
    "not by the new key": ([([1], 1, [1]), ([2], 1, [1, 3, 4])], False),
    "not by three new keys": ([([0, 1, 2, 3, 4], 3, [0, 2, 4]), ([0, 1, 3, 4, 5], 3, [0, 2, 4])], False),
    "not by three old keys": ([([0, 1, 2, 3, 4], 3, [0, 2, 4]), ([0, 1, 3, 4, 5], 3, [0, 4, 5])], False),
    "new threshold not reached": ([([1, 2, 3], 1, [1]), ([1, 2, 3], 2, [2])], False),
    "old threshold not reached": ([([1, 2, 3], 2, [1, 2]), ([1, 2, 3], 1, [1])], False),
}
SIGNERS = [CryptoSigner.generate_ed25519() for _ in range(10)]


def name_keys(repository: TufSimulator, role: str, keys: list[int], threshold: int, sigs: list[int]) -> None:
    """Root names these keys for the role, which these sign from now on."""
    repository.root.roles[role].keyids.clear()
    repository.root.roles[role].threshold = threshold
    for number in keys:
        repository.root.add_key(SIGNERS[number].public_key, role)
    repository.signers[role] = [SIGNERS[number] for number in sigs]


@pytest.mark.parametrize(("steps", "good"), ROTATIONS.values(), ids=ROTATIONS)
def test_a_chain_of_roots_is_followed_as_far_as_it_is_signed(tmp_path: Path, steps: Steps, good: bool) -> None:
    repository = TufSimulator()
    repository.root.version = 0
    roots = []
    for step in steps:
        name_keys(repository, "root", *step)
        roots.append(repository.publish_root())
    with client_of(tmp_path, repository) as client:
        assert client.refresh() == (0 if good else 1)
        assert (client.metadata / "root.json").read_bytes() == (roots[-1] if good else roots[-2])


@pytest.mark.parametrize("role", ["timestamp", "snapshot", "targets"])
@pytest.mark.parametrize(
    ("keys", "threshold", "sigs", "good"),
    [
        ([2], 1, [2], True),
        ([1], 1, [3, 1, 4], True),
        ([2], 1, [1, 3, 4], False),
        ([0, 1, 2, 3, 4], 3, [0, 2, 4], True),
        ([0, 1, 3, 4, 5], 3, [0, 2, 4], False),
        ([0, 1, 3, 4, 5], 3, [0, 4], False),
    ],
)
def test_a_role_needs_its_threshold(
    tmp_path: Path, role: str, keys: list[int], threshold: int, sigs: list[int], good: bool
) -> None:
    repository = TufSimulator()
    with client_of(tmp_path, repository) as client:
        name_keys(repository, role, keys, threshold, sigs)
        repository.publish_root()
        repository.publish("targets")
        assert client.refresh() == (0 if good else 1)
        assert (client.version(role) is not None) == good


def test_a_threshold_above_the_number_of_keys_is_a_root_that_nothing_satisfies_yet(tmp_path: Path) -> None:
    repository = TufSimulator()
    with client_of(tmp_path, repository) as client:
        client.refresh()
        name_keys(repository, "snapshot", [0, 1], 3, [0, 1])
        repository.publish_root()
        repository.publish()
        assert client.refresh() == 1
        assert client.versions() == {"root": 2, "timestamp": 2, "snapshot": 1, "targets": 1}
        name_keys(repository, "snapshot", [0, 1, 2], 3, [0, 1, 2])
        repository.publish_root()
        repository.publish()
        assert client.refresh() == 0


def rewrite(repository: TufSimulator, change: Callable[[dict[str, Any]], None], *, version: int) -> None:
    """Root of that version, changed as JSON below `tuf.api`, which would not write it, and signed by its key."""
    raw = json.loads(repository.publish_root())
    change(raw["signed"])
    message = encode_canonical(raw["signed"])
    assert message is not None
    signature = repository.signers["root"][0].sign(message.encode())
    raw["signatures"] = [{"keyid": key, "sig": signature.signature} for key in raw["signed"]["roles"]["root"]["keyids"]]
    repository.files[f"metadata/{version}.root.json"] = json.dumps(raw, indent=1).encode()


def test_one_key_under_many_identifiers_is_one_key(tmp_path: Path) -> None:
    repository = TufSimulator()

    def change(root: dict[str, Any]) -> None:
        role = root["roles"]["snapshot"]
        key = root["keys"][role["keyids"][0]]
        for number in range(9):
            root["keys"][f"{number:064x}"] = key
            role["keyids"].append(f"{number:064x}")
        role["threshold"] = 2

    with client_of(tmp_path, repository) as client:
        rewrite(repository, change, version=2)
        raw = json.loads(repository.files["metadata/1.snapshot.json"])
        one = raw["signatures"][0]["sig"]
        raw["signatures"] += [{"keyid": f"{number:064x}", "sig": one} for number in range(9)]
        repository.files["metadata/1.snapshot.json"] = json.dumps(raw).encode()
        assert client.refresh() == 1
        assert client.versions() == {"root": 2, "timestamp": 1}


def test_key_identifiers_are_whatever_the_file_says(tmp_path: Path) -> None:
    repository = TufSimulator()

    def change(root: dict[str, Any]) -> None:
        for role, named in root["roles"].items():
            name = f"the key of {role} \u00e9 / .."
            root["keys"][name] = root["keys"].pop(named["keyids"][0]) | {"keyid_hash_algorithms": ["md5"]}
            named["keyids"] = [name]

    def resign(name: str, role: str) -> None:
        raw = json.loads(repository.files[name])
        raw["signatures"][0]["keyid"] = f"the key of {role} \u00e9 / .."
        repository.files[name] = json.dumps(raw).encode()

    with client_of(tmp_path, repository) as client:
        rewrite(repository, change, version=2)
        raw = json.loads(repository.files["metadata/2.root.json"])
        old = repository.root.roles["root"].keyids[0]
        raw["signatures"].append({"keyid": old, "sig": raw["signatures"][0]["sig"]})
        repository.files["metadata/2.root.json"] = json.dumps(raw).encode()
        for name, role in (("timestamp", "timestamp"), ("1.snapshot", "snapshot"), ("1.targets", "targets")):
            resign(f"metadata/{name}.json", role)
        assert client.refresh() == 0
        assert client.version("root") == 2


def test_keys_of_other_kinds_and_damaged_ones_do_not_count_and_spoil_nothing(tmp_path: Path) -> None:
    repository = TufSimulator()

    def change(root: dict[str, Any]) -> None:
        strange: dict[str, Any] = {
            "a": {"keytype": "dilithium", "scheme": "dilithium3", "keyval": {"public": "00"}},
            "b": {"keytype": "ed25519", "scheme": "ed25519", "keyval": {"public": "no hexadecimal"}},
            "c": {"keytype": "rsa", "scheme": "rsassa-pss-sha256", "keyval": {"public": "-----BEGIN NOTHING"}},
            "d": {"keytype": "sigstore-oidc", "scheme": "Fulcio", "keyval": {"identity": "x", "issuer": "y"}},
            "e": {"keytype": "ecdsa", "scheme": "ed25519", "keyval": {"public": "x" * 5000}},
        }
        root["keys"] |= strange
        for role in root["roles"].values():
            role["keyids"] += [*strange, "not among the keys"]

    with client_of(tmp_path, repository) as client:
        rewrite(repository, change, version=2)
        assert client.refresh() == 0
        assert client.version("root") == 2


@pytest.mark.parametrize("threshold", [0, -1, "1", None, True])
def test_a_threshold_that_is_no_number_from_1_refuses_the_file(tmp_path: Path, threshold: object) -> None:
    repository = TufSimulator()
    with client_of(tmp_path, repository) as client:
        rewrite(repository, lambda root: root["roles"]["timestamp"].update(threshold=threshold), version=2)
        assert client.refresh() == 1
        assert client.versions() == {"root": 1}


def test_a_role_that_names_one_key_twice_refuses_the_file(tmp_path: Path) -> None:
    repository = TufSimulator()
    with client_of(tmp_path, repository) as client:
        rewrite(repository, lambda root: root["roles"]["timestamp"]["keyids"].append(
            root["roles"]["timestamp"]["keyids"][0]), version=2)  # fmt: skip
        assert client.refresh() == 1
        assert client.versions() == {"root": 1}


def test_unknown_members_are_signed_and_kept(tmp_path: Path) -> None:
    repository = TufSimulator()
    repository.root.unrecognized_fields["custom-field"] = {"a": ["value", None, True, -1]}
    repository.root.roles["root"].unrecognized_fields["another-field"] = '\u00e9"\\\n'
    repository.root.unrecognized_fields |= {"vin": 7, **{f"x-{number}": number for number in range(100)}}
    for payload in (repository.timestamp, repository.snapshot, repository.targets["targets"]):
        payload.unrecognized_fields |= {"vin": ["not", "ours"], "x-\u00fc": {}}
    repository.timestamp.unrecognized_fields["meta-like"] = {"targets.json": 1}
    raw = repository.publish_root()
    repository.publish("targets")
    with client_of(tmp_path, repository) as client:
        assert client.refresh() == 0
        assert (client.metadata / "root.json").read_bytes() == raw
        assert (client.metadata / "targets.json").read_bytes() == repository.files["metadata/2.targets.json"]


@pytest.mark.parametrize("custom", [{"must_match": 3, "ecus": "all"}, [1, {}], "text", None, 0, {}])
def test_custom_data_of_any_shape_is_kept(tmp_path: Path, custom: object) -> None:
    repository = TufSimulator()
    repository.add("targets", "a.img", b"content").unrecognized_fields |= {"custom": custom, "more": [custom]}
    repository.publish("targets")
    with client_of(tmp_path, repository) as client:
        assert client.download("a.img") == 0
        assert client.downloaded() == {"a.img": b"content"}
        assert (client.metadata / "targets.json").read_bytes() == repository.files["metadata/2.targets.json"]


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_key_verifies(tmp_path: Path, kind: str) -> None:
    repository = TufSimulator(kind=kind, listed=("sha256",))
    repository.delegate("targets", "a")
    repository.add("a", "x", b"content")
    repository.publish("a", "targets")
    with client_of(tmp_path, repository) as client:
        assert client.download("x") == 0


@pytest.mark.parametrize("salt", [0, 20, 32, 222])
def test_rsa_verifies_with_any_length_of_salt(tmp_path: Path, salt: int) -> None:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    repository = TufSimulator()
    signer = CryptoSigner(key)
    repository.root.roles["timestamp"].keyids.clear()
    repository.root.add_key(signer.public_key, "timestamp")
    repository.publish_root()
    raw = json.loads(repository.files["metadata/timestamp.json"])
    pss = padding.PSS(mgf=padding.MGF1(hashes.SHA256()), salt_length=salt)
    signature = key.sign(Metadata(repository.timestamp).signed_bytes, pss, hashes.SHA256())
    raw["signatures"] = [{"keyid": signer.public_key.keyid, "sig": signature.hex()}]
    repository.files["metadata/timestamp.json"] = json.dumps(raw).encode()
    with client_of(tmp_path, repository) as client:
        assert client.refresh() == 0


def with_signatures(client: Runner, change: Callable[[list[dict[str, Any]]], None]) -> int:
    """A refresh after the Timestamp's signatures were changed."""
    raw = json.loads(client.repository.files["metadata/timestamp.json"])
    change(raw["signatures"])
    client.repository.files["metadata/timestamp.json"] = json.dumps(raw).encode()
    return client.refresh()


@pytest.mark.parametrize("sig", ["", "no hexadecimal", "0", "00" * 64, "ff" * 4000, None, 7])
def test_an_empty_malformed_or_foreign_signature_does_not_count_and_spoils_nothing(tmp_path: Path, sig: object) -> None:
    repository = TufSimulator()
    with client_of(tmp_path, repository) as client:
        genuine = repository.files["metadata/timestamp.json"]
        assert with_signatures(client, lambda entries: entries.insert(0, {"keyid": "unknown", "sig": sig})) == 0
        repository.files["metadata/timestamp.json"] = genuine
        repository.publish_timestamp()
        assert with_signatures(client, lambda entries: entries[0].update(sig=sig)) == 1
        assert client.version("timestamp") == 1


def test_thousands_of_signatures_stall_nobody(tmp_path: Path) -> None:
    repository = TufSimulator()
    with client_of(tmp_path, repository) as client:
        bogus = [{"keyid": f"{number}", "sig": ""} for number in range(400)]
        assert with_signatures(client, lambda entries: entries.extend(bogus)) == 0


def test_the_same_key_identifier_twice_among_the_signatures_refuses_the_file(tmp_path: Path) -> None:
    repository = TufSimulator()
    with client_of(tmp_path, repository) as client:
        assert with_signatures(client, lambda entries: entries.append(entries[0])) == 1
        assert client.versions() == {"root": 1}
        repository.sign_timestamp()
        assert client.refresh() == 0


def test_a_file_as_older_repositories_write_it_verifies(tmp_path: Path) -> None:
    """An old `spec_version`, the scheme given as the type of ECDSA keys, and places for signatures left empty."""
    repository = TufSimulator(kind="ecdsa")
    old_key = repository.signers["timestamp"][0]
    key = old_key.public_key
    for payload in (repository.root, repository.timestamp, repository.snapshot, repository.targets["targets"]):
        payload.spec_version = "1.0"
    named = SSlibKey(key.keyid, "ecdsa-sha2-nistp256", key.scheme, key.keyval, {"keyid_hash_algorithms": ["sha256"]})
    repository.root.keys[key.keyid] = named
    repository.publish_root()
    repository.publish("targets")
    with client_of(tmp_path, repository) as client:
        assert with_signatures(client, lambda entries: entries.insert(0, {"keyid": "another", "sig": ""})) == 0
        assert client.versions() == {"root": 2, "timestamp": 2, "snapshot": 2, "targets": 2}
