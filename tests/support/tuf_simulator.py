"""A repository that `tuf.api` alone writes, behind a small HTTP server that remembers what was asked."""

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import quote

from securesystemslib.signer import CryptoSigner
from tuf.api.metadata import (
    DelegatedRole,
    Delegations,
    Metadata,
    MetaFile,
    Root,
    Snapshot,
    SuccinctRoles,
    TargetFile,
    Targets,
    Timestamp,
)

TOP = ("root", "timestamp", "snapshot", "targets")
KINDS: dict[str, Callable[[], CryptoSigner]] = {
    "ed25519": CryptoSigner.generate_ed25519,
    "ecdsa": CryptoSigner.generate_ecdsa,
    "rsa": lambda: CryptoSigner.generate_rsa(size=2048),
}


def in_days(days: float) -> datetime:
    """A time relative to now, in whole seconds."""
    return datetime.now(UTC).replace(microsecond=0) + timedelta(days=days)


def _unpublished() -> Targets:
    targets = Targets(expires=in_days(30))
    targets.version = 0
    return targets


class TufSimulator:
    """The offline side: payloads to change at will, and the files that were published.

    Args:
        kind: of all keys.
        consistent: whether names of files carry versions and hashes.
        listed: the hash functions of which Snapshot and Timestamp list digests, with lengths; none lists neither.
    """

    def __init__(self, *, kind: str = "ed25519", consistent: bool | None = True, listed: Sequence[str] = ()) -> None:
        self.make, self.listed = KINDS[kind], list(listed)
        self.signers: dict[str, list[CryptoSigner]] = {role: [self.make()] for role in TOP}
        self.root = Root(expires=in_days(30), consistent_snapshot=consistent)
        for role in TOP:
            self.root.add_key(self.signers[role][0].public_key, role)
        self.timestamp, self.snapshot = Timestamp(expires=in_days(30)), Snapshot(expires=in_days(30))
        self.targets = {"targets": _unpublished()}
        self.root.version = self.timestamp.version = self.snapshot.version = 0
        self.files: dict[str, bytes] = {}
        self.publish_root()
        self.publish("targets")

    def name(self, role: str, version: int | None) -> str:
        """The name of a file below the server's root."""
        versioned = role == "root" or (self.root.consistent_snapshot and version is not None)
        return f"metadata/{version}.{quote(role, '')}.json" if versioned else f"metadata/{quote(role, '')}.json"

    def signed(self, payload: Root | Timestamp | Snapshot | Targets, signers: Sequence[CryptoSigner]) -> bytes:
        """A whole file."""
        metadata = Metadata(payload)
        for signer in signers:
            metadata.sign(signer, append=True)
        return metadata.to_bytes()

    def publish_root(self, *signers: CryptoSigner) -> bytes:
        """The next Root, by its present keys unless others are given."""
        self.root.version += 1
        raw = self.signed(self.root, signers or self.signers["root"])
        self.files[self.name("root", self.root.version)] = raw
        return raw

    def publish(self, *roles: str) -> None:
        """New versions of these Targets roles, then of Snapshot and Timestamp."""
        for role in roles:
            self.targets[role].version += 1
            self.sign_targets(role)
        self.snapshot.version += 1
        self.sign_snapshot()
        self.publish_timestamp()

    def sign_targets(self, role: str) -> None:
        """That Targets file as it is now, and what Snapshot says of it."""
        payload = self.targets[role]
        raw = self.signed(payload, self.signers[role])
        self.files[self.name(role, payload.version)] = raw
        self.snapshot.meta[f"{role}.json"] = self._listed(payload.version, raw)

    def sign_snapshot(self) -> None:
        """Snapshot as it is now, and what Timestamp says of it."""
        raw = self.signed(self.snapshot, self.signers["snapshot"])
        self.files[self.name("snapshot", self.snapshot.version)] = raw
        self.timestamp.snapshot_meta = self._listed(self.snapshot.version, raw)

    def publish_timestamp(self) -> None:
        """The next Timestamp."""
        self.timestamp.version += 1
        self.sign_timestamp()

    def sign_timestamp(self) -> None:
        """Timestamp as it is now."""
        self.files[self.name("timestamp", None)] = self.signed(self.timestamp, self.signers["timestamp"])

    def _listed(self, version: int, raw: bytes) -> MetaFile:
        return MetaFile.from_data(version, raw, self.listed) if self.listed else MetaFile(version)

    def rotate(self, role: str) -> None:
        """A new key for a top-level role in place of the old ones; nothing is published."""
        for signer in self.signers[role]:
            self.root.revoke_key(signer.public_key.keyid, role)
        self.signers[role] = [self.make()]
        self.root.add_key(self.signers[role][0].public_key, role)

    def delegate(self, parent: str, role: str, *paths: str, terminating: bool = False) -> CryptoSigner:
        """A delegation, with a key of its own for each delegator; the role signs with all of them."""
        signer = self.make()
        for name in (parent, role):
            self.signers.setdefault(name, [])
            self.targets.setdefault(name, _unpublished())
        self.signers[role].append(signer)
        delegations = self.targets[parent].delegations or Delegations(keys={}, roles={})
        assert delegations.roles is not None
        delegations.keys[signer.public_key.keyid] = signer.public_key
        delegations.roles[role] = DelegatedRole(
            role, [signer.public_key.keyid], 1, terminating, list(paths) if paths else ["*"]
        )
        self.targets[parent].delegations = delegations
        return signer

    def delegate_bins(self, parent: str, bits: int, prefix: str) -> list[str]:
        """Succinct hash bins (TAP 15); the names of the bins."""
        signer = self.make()
        key = signer.public_key
        bins = SuccinctRoles([key.keyid], 1, bits, prefix)
        self.targets[parent].delegations = Delegations(keys={key.keyid: key}, succinct_roles=bins)
        for role in bins.get_roles():
            self.signers[role] = [signer]
            self.targets[role] = _unpublished()
        return list(bins.get_roles())

    def add(self, role: str, path: str, content: bytes, *functions: str) -> TargetFile:
        """Lists a target and stores its content; nothing is published."""
        file = TargetFile.from_data(path, content, list(functions) or ["sha256"])
        self.targets[role].targets[path] = file
        folder, slash, name = path.rpartition("/")
        for digest in file.hashes.values():
            self.files["targets/" + quote(f"{folder}{slash}{digest}.{name}")] = content
        self.files["targets/" + quote(path)] = content
        return file


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_GET(self) -> None:
        served: Served = self.server.served  # type: ignore[attr-defined]
        name = self.path.removeprefix("/")
        served.asked.append(name)
        content = served.files.get(name)
        status = served.statuses.get(name, 404 if content is None else 200)
        body = content if status == 200 and content is not None else b""
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Says nothing."""


@dataclass
class Served:
    """What a running server offers and was asked.

    Args:
        files: by the path that is asked for, percent-encoded as it must be.
        url: of the server.
        statuses: other HTTP statuses than 200 and 404, by path.
        asked: the paths in their order.
    """

    files: dict[str, bytes]
    url: str
    statuses: dict[str, int] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)

    def roles_asked(self) -> list[str]:
        """The names of metadata files since the last call; what is asked from now on is a new list."""
        names = [name.removeprefix("metadata/") for name in self.asked if name.startswith("metadata/")]
        self.asked.clear()
        return names


@contextmanager
def serving(files: dict[str, bytes]) -> Iterator[Served]:
    """A server on a free port of this machine."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    server.daemon_threads = True
    served = Served(files, f"http://127.0.0.1:{server.server_port}")
    server.served = served  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield served
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
