"""What the servers acknowledged and what vehicles saw of them, to be compared with what is there afterwards."""

import hashlib
import threading
from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field

from uptane.metadata.identifiers import VehicleIdentifier


@dataclass(frozen=True, slots=True)
class Sent:
    """A manifest that a vehicle sent, and whether the Director said that it has it."""

    raw: bytes
    acknowledged: bool


@dataclass
class Ledger:
    """Written by all vehicles and operators of a run.

    Args:
        counts: of everything that happened, by name.
        violations: what must never happen, in words.
    """

    counts: Counter[str] = field(default_factory=Counter)
    violations: list[str] = field(default_factory=list)
    _manifests: dict[VehicleIdentifier, list[Sent]] = field(default_factory=lambda: defaultdict(list))
    _images: dict[str, str] = field(default_factory=dict)
    _assigned: dict[VehicleIdentifier, str] = field(default_factory=dict)
    _versions: dict[tuple[str, str, int], str] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def count(self, name: str, number: int = 1) -> None:
        """One more of these."""
        with self._lock:
            self.counts[name] += number

    def violated(self, what: str) -> None:
        """Something that must never happen."""
        with self._lock:
            if what not in self.violations:
                self.violations.append(what)

    def manifest(self, vehicle: VehicleIdentifier, raw: bytes, *, acknowledged: bool) -> None:
        """A vehicle sent its manifest; without an answer nobody knows whether it arrived."""
        self.count("manifests acknowledged" if acknowledged else "manifests without an answer")
        with self._lock:
            self._manifests[vehicle].append(Sent(raw, acknowledged))

    def image(self, name: str, data: bytes) -> None:
        """An operator was told that the image is published."""
        self.count("images acknowledged")
        with self._lock:
            self._images[name] = hashlib.sha256(data).hexdigest()

    def assigned(self, vehicle: VehicleIdentifier, name: str | None) -> None:
        """An operator was told that the vehicle shall have the image; None where the answer was lost."""
        with self._lock:
            if name is None:
                self._assigned.pop(vehicle, None)
            else:
                self._assigned[vehicle] = name

    def saw(self, owner: str, role: str, version: int, raw: bytes) -> None:
        """A vehicle has verified and trusts a file: no version has two contents.

        Args:
            owner: whose metadata it is: a vehicle's at the Director, or everybody's.
            role: its name.
            version: in it.
            raw: the whole file.
        """
        digest = hashlib.sha256(raw).hexdigest()
        with self._lock:
            before = self._versions.setdefault((owner, role, version), digest)
        if before != digest:
            self.violated(f"{role} {version} of {owner} was published twice, with different bytes")

    @property
    def manifests(self) -> Mapping[VehicleIdentifier, tuple[Sent, ...]]:
        """By vehicle, in their order."""
        with self._lock:
            return {vehicle: tuple(sent) for vehicle, sent in self._manifests.items()}

    @property
    def images(self) -> Mapping[str, str]:
        """Hex SHA-256 of each acknowledged image, by name."""
        with self._lock:
            return dict(self._images)

    @property
    def assignments(self) -> Mapping[VehicleIdentifier, str]:
        """What each vehicle shall have, where that is known."""
        with self._lock:
            return dict(self._assigned)

    @property
    def versions(self) -> int:
        """How many different versions of files were seen."""
        with self._lock:
            return len(self._versions)
