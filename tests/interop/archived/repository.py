"""One TUF repository as the archived implementation published it: four roles, one key each, plain file names."""

import hashlib
import shutil
import time
from pathlib import Path
from typing import Any

from archived import der
from archived.signatures import Key
from archived.wire_format import WireFormat

ROLES = ("root", "targets", "snapshot", "timestamp")
LIFETIMES = {"root": 31_556_900, "targets": 7_889_230, "snapshot": 604_800, "timestamp": 86_400}


def describe(data: bytes, *algorithms: str) -> dict[str, Any]:
    """Length and hashes as metadata states them."""
    return {"length": len(data), "hashes": {name: hashlib.new(name, data).hexdigest() for name in algorithms}}


class Repository:
    """Changes are made in memory; `write_to_live` signs what changed and shows it to the world.

    Args:
        folder: holds `metadata.staged`, `metadata` and `targets`.
        wire: the format of its files.
        keys: one pair for each role.
    """

    def __init__(self, folder: Path, wire: WireFormat, keys: dict[str, Key]) -> None:
        self.folder = folder
        self.targets = folder / "targets"
        self._wire = wire
        self._keys = dict(keys)
        self._custom: dict[str, dict[str, str] | None] = {}
        self._versions = dict.fromkeys(ROLES, 0)
        self._changed = set(ROLES)
        now = int(time.time())
        self._expires = {role: der.date(now + LIFETIMES[role]) for role in ROLES}
        for subfolder in (self._staged, self.targets):
            subfolder.mkdir(parents=True, exist_ok=True)

    @property
    def _staged(self) -> Path:
        return self.folder / "metadata.staged"

    @property
    def _backup(self) -> Path:
        return self.folder / "metadata.backup"

    def live(self, role: str) -> Path:
        """The published file of a role."""
        return self.folder / "metadata" / self._wire.filename(role)

    def add_target(self, path: str, custom: dict[str, str] | None = None) -> None:
        """Lists a file under `targets`; what is listed already keeps its custom part, but is described anew."""
        self._custom.setdefault(path, custom)
        self._changed.add("targets")

    def clear_targets(self) -> None:
        """Lists nothing any more."""
        self._custom.clear()
        self._changed.add("targets")

    def replace_keys(self, keys: dict[str, Key]) -> None:
        """Root revokes the keys of these roles and names new ones; all of them sign anew."""
        self._keys.update(keys)
        self._changed |= {"root", *keys}

    def write_to_live(self) -> None:
        """Publishes: Snapshot and Timestamp always get a new version, Root and Targets when they changed."""
        for role in ROLES:
            if role in self._changed | {"snapshot", "timestamp"}:
                self._versions[role] += 1
                self._write(role, self._keys[role])
        self._changed.clear()
        self._show()

    def sign_with(self, keys: dict[str, Key]) -> None:
        """What a thief of these keys publishes: everything but Root signed with them, the Timestamp a newer one.

        The repository's own state is backed up, for `restore`.
        """
        if self._backup.exists():
            raise FileExistsError("the repository is backed up already: undo that attack first")
        shutil.copytree(self._staged, self._backup)
        self._versions["timestamp"] += 1
        for role in ROLES[1:]:
            self._write(role, keys[role])
        self._versions["timestamp"] -= 1
        self._show()

    def restore(self) -> None:
        """Publishes what was backed up."""
        shutil.rmtree(self._staged)
        self._backup.rename(self._staged)
        self._show()

    def _write(self, role: str, key: Key) -> None:
        body = {
            "root": self._root,
            "targets": self._targets,
            "snapshot": self._snapshot,
            "timestamp": self._timestamp,
        }[role]()
        signed = {
            "_type": role.capitalize(),
            "version": self._versions[role],
            "expires": self._expires[role],
            **body,
        }
        path = self._staged / self._wire.filename(role)
        path.write_bytes(self._wire.to_bytes(self._wire.sign(signed, key)))

    def _root(self) -> dict[str, Any]:
        return {
            "consistent_snapshot": False,
            "compression_algorithms": ["gz"],
            "keys": {key.keyid: key.in_metadata() for key in self._keys.values()},
            "roles": {role: {"keyids": [self._keys[role].keyid], "threshold": 1} for role in ROLES},
        }

    def _targets(self) -> dict[str, Any]:
        targets = {}
        for path, custom in self._custom.items():
            info = describe((self.targets / path).read_bytes(), "sha256", "sha512")
            targets["/" + path] = info if custom is None else {**info, "custom": custom}
        return {"targets": targets, "delegations": {"keys": {}, "roles": []}}

    def _snapshot(self) -> dict[str, Any]:
        targets = {"version": self._versions["targets"]}
        return {"meta": {self._wire.filename("root"): self._file("root"), self._wire.filename("targets"): targets}}

    def _timestamp(self) -> dict[str, Any]:
        return {"meta": {self._wire.filename("snapshot"): self._file("snapshot")}}

    def _file(self, role: str) -> dict[str, Any]:
        data = (self._staged / self._wire.filename(role)).read_bytes()
        return {"version": self._versions[role], **describe(data, "sha256")}

    def _show(self) -> None:
        temporary, live = self.folder / "metadata.livetemp", self.folder / "metadata"
        shutil.rmtree(temporary, ignore_errors=True)
        shutil.copytree(self._staged, temporary)
        shutil.rmtree(live, ignore_errors=True)
        temporary.rename(live)
