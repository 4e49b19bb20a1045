"""We read a repository that `tuf.api` wrote."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime

import pytest
from securesystemslib.signer import CryptoSigner
from tuf.api.metadata import (
    DelegatedRole,
    Delegations,
    Key,
    Metadata,
    MetaFile,
    Root,
    Snapshot,
    TargetFile,
    Targets,
    Timestamp,
)
from tuf.api.serialization.json import JSONSerializer

from uptane.formats.json_format import JSON
from uptane.formats.profile import Profile
from uptane.metadata.errors import (
    BadSignatureError,
    EndlessDataError,
    MixAndMatchError,
    ReplayedMetadataError,
    SecurityError,
)
from uptane.metadata.identifiers import ImagePath, RepositoryName
from uptane.metadata.targets import Image
from uptane.verification.one_repository import verify_repository
from uptane.verification.resolve_delegations import TargetsOfRepository, resolve
from uptane.verification.steps import Commit, Keep, run
from uptane.verification.trusted import Context, Held

NOW = datetime(2026, 11, 24, tzinfo=UTC)
EXPIRES = datetime(2030, 1, 1, tzinfo=UTC)
NAME = RepositoryName("tuf")
KINDS: dict[str, Callable[[], CryptoSigner]] = {
    "ed25519": CryptoSigner.generate_ed25519,
    "ecdsa": CryptoSigner.generate_ecdsa,
    "rsa": lambda: CryptoSigner.generate_rsa(size=2048),
}
TOP = ("root", "timestamp", "snapshot", "targets")


@dataclass
class TufRepository:
    """Published with `tuf.api` alone; our side fetches from it and keeps what it trusts."""

    kind: str
    compact: bool
    files: dict[str, bytes] = field(default_factory=dict)

    def __post_init__(self) -> None:
        make = KINDS[self.kind]
        self.signers = {role: make() for role in (*TOP, "supplier", "below")}
        self.targets = {"targets": Targets(1, expires=EXPIRES)}
        self.root = Root(expires=EXPIRES, consistent_snapshot=True)
        for role in TOP:
            self.root.add_key(self.signers[role].public_key, role)
        self.snapshot_version = 0
        self.publish_root(self.signers["root"])
        self.held = Held(root=self.files["1.root.json"])

    def _write(self, payload: Root | Targets | Snapshot | Timestamp, name: str, *signers: CryptoSigner) -> bytes:
        metadata = Metadata(payload)
        for signer in signers:
            metadata.sign(signer, append=True)
        raw = metadata.to_bytes(JSONSerializer(compact=self.compact))
        self.files[name] = raw
        return raw

    def publish_root(self, *signers: CryptoSigner) -> None:
        self._write(self.root, f"{self.root.version}.root.json", *signers)

    def delegate(self, parent: str, role: str, *paths: str, terminating: bool = False) -> None:
        key: Key = self.signers[role].public_key
        delegations = self.targets[parent].delegations or Delegations(keys={}, roles={})
        delegations.keys[key.keyid] = key
        assert delegations.roles is not None
        delegations.roles[role] = DelegatedRole(role, [key.keyid], 1, terminating, list(paths))
        self.targets[parent].delegations = delegations
        self.targets.setdefault(role, Targets(1, expires=EXPIRES))

    def add(self, role: str, path: str, content: bytes, custom: dict[str, object] | None = None) -> None:
        file = TargetFile.from_data(path, content, ["sha256", "sha512"])
        if custom:
            file.unrecognized_fields["custom"] = custom
        self.targets[role].targets[path] = file

    def publish(self) -> None:
        self.snapshot_version += 1
        snapshot = Snapshot(self.snapshot_version, expires=EXPIRES, meta={})
        for role, payload in self.targets.items():
            raw = self._write(payload, f"{payload.version}.{role}.json", self.signers[role])
            snapshot.meta[f"{role}.json"] = MetaFile.from_data(payload.version, raw, ["sha256"])
        raw = self._write(snapshot, f"{snapshot.version}.snapshot.json", self.signers["snapshot"])
        listed = MetaFile.from_data(snapshot.version, raw, ["sha256", "sha512"])
        timestamp = Timestamp(self.snapshot_version, expires=EXPIRES, snapshot_meta=listed)
        self._write(timestamp, "timestamp.json", self.signers["timestamp"])

    def fetch(self, repository: RepositoryName, name: str, limit: int) -> bytes | None:
        raw = self.files.get(name)
        if raw is not None and len(raw) > limit:
            raise EndlessDataError(f"{name} has more than {limit} bytes")
        return raw

    def keep(self, step: Keep) -> None:
        files = {role: raw for role, raw in self.held.files.items() if role not in step.drop}
        self.held = Held(root=step.raw, files=files)

    def commit(self, step: Commit) -> None:
        raise AssertionError("one repository alone commits nothing")

    def find(self, path: str) -> Image:
        """What our verification says of an image; everything used is kept."""
        context = Context(repository=NAME, profile=Profile(format=JSON), now=NOW)
        verified = run(verify_repository(context, self.held), self, self)
        catalog = TargetsOfRepository(context, verified.root, verified.snapshot, verified.targets, self.held.files)
        found = run(resolve(catalog, ImagePath(path), None), self, self)
        self.held = Held(root=verified.root.raw, files=verified.files() | catalog.files)
        return found


@pytest.fixture(params=[(kind, compact) for kind in KINDS for compact in (True, False)])
def repository(request: pytest.FixtureRequest) -> TufRepository:
    kind, compact = request.param
    return TufRepository(kind, compact)


def test_an_image_with_its_custom_data_is_read(repository: TufRepository) -> None:
    custom: dict[str, object] = {"must_match": {"release_counter": 3}, "maker": {"name": "a\nb", "list": [1, None]}}
    repository.add("targets", "dir/caf\u00e9.img", b"content", custom)
    repository.publish()
    found = repository.find("dir/caf\u00e9.img")
    assert found.file.length == 7 and found.file.digests.matches(b"content")
    assert found.custom.must_match.release_counter == 3
    assert dict(found.custom.extensions) == {"maker": b'{"list":[1,null],"name":"a\nb"}'}


def test_delegations_are_followed(repository: TufRepository) -> None:
    repository.delegate("targets", "supplier", "dir/*", terminating=True)
    repository.delegate("supplier", "below", "dir/?.img")
    repository.add("below", "dir/a.img", b"content")
    repository.publish()
    assert repository.find("dir/a.img").file.digests.matches(b"content")
    assert set(repository.held.files) == {"timestamp", "snapshot", "targets", "supplier", "below"}
    with pytest.raises(SecurityError):
        repository.find("other/a.img")


def test_rotated_roots_are_followed(repository: TufRepository) -> None:
    repository.add("targets", "a.img", b"content")
    for version in (2, 3):
        old = repository.signers["root"]
        for role in TOP:
            repository.root.revoke_key(repository.signers[role].public_key.keyid, role)
            repository.signers[role] = KINDS[repository.kind]()
            repository.root.add_key(repository.signers[role].public_key, role)
        repository.root.version = version
        repository.publish_root(old, repository.signers["root"])
        repository.publish()
        assert repository.find("a.img").file.length == 7
    assert repository.held.root == repository.files["3.root.json"]


def test_unknown_members_and_empty_signatures_do_no_harm(repository: TufRepository) -> None:
    repository.root.unrecognized_fields["new"] = {"deep": ["\u2028", "\\", '"', 1]}
    repository.root.version = 2
    repository.publish_root(repository.signers["root"])
    metadata = Metadata.from_bytes(repository.files["2.root.json"])
    raw = metadata.to_bytes(JSONSerializer()).replace(
        b'"signatures": [', b'"signatures": [{"keyid": "' + b"0" * 64 + b'", "sig": ""},'
    )
    repository.files["2.root.json"] = raw
    repository.add("targets", "a.img", b"content")
    repository.publish()
    assert repository.find("a.img").file.length == 7
    assert repository.held.root == raw


def test_what_tuf_would_refuse_we_refuse(repository: TufRepository) -> None:
    repository.add("targets", "a.img", b"content")
    repository.publish()
    first = dict(repository.files)
    repository.publish()
    repository.find("a.img")
    good = dict(repository.files)
    held = repository.held
    repository.files["timestamp.json"] = first["timestamp.json"]
    with pytest.raises(ReplayedMetadataError):
        repository.find("a.img")
    repository.files = dict(good)
    repository.publish()
    repository.files["3.snapshot.json"] = good["2.snapshot.json"]
    with pytest.raises((MixAndMatchError, EndlessDataError)):  # a DER signature may be a byte longer than another
        repository.find("a.img")
    repository.files = dict(good)
    repository.signers["timestamp"] = KINDS[repository.kind]()
    repository.publish()
    with pytest.raises(BadSignatureError):
        repository.find("a.img")
    repository.files = good
    assert repository.held == held
    repository.find("a.img")
