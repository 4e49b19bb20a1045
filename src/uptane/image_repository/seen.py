"""What was published last: what is published later does not fall below it."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

from uptane.metadata.errors import FormatError, StorageError
from uptane.metadata.root import Role
from uptane.signing.publish import ReadBack


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """A published set, as far as a later one is compared with it.

    Args:
        versions: of every role; `timestamp` is among them, and 0 before the first.
        timestamp: the SHA-256 of the Timestamp's file.

    Raises:
        FormatError: there is no version of the Timestamp, or one is negative.
    """

    versions: Mapping[str, int]
    timestamp: bytes

    def __post_init__(self) -> None:
        if Role.TIMESTAMP not in self.versions or min(self.versions.values()) < 0:
            raise FormatError("versions of published metadata must be positive, and the Timestamp's be among them")

    @classmethod
    def of(cls, own: ReadBack | None) -> Self:
        """Of verified metadata, or of an empty store."""
        if own is None:
            return cls(versions={Role.TIMESTAMP: 0}, timestamp=_digest(b""))
        versions: dict[str, int] = {name: each.payload.version for name, each in own.targets.items()}
        versions[Role.ROOT] = own.root.payload.version
        versions[Role.SNAPSHOT], versions[Role.TIMESTAMP] = own.snapshot_version, own.timestamp_version
        return cls(versions=versions, timestamp=_digest(own.timestamp))

    @property
    def newest(self) -> int:
        """The Timestamp's version, which rises with every publication."""
        return self.versions[Role.TIMESTAMP]

    def is_newer_than(self, other: "Seen") -> bool:
        """By the Timestamp; and of one Timestamp, who looked for the next Root too soon has read an older one."""
        return (self.newest, self.versions.get(Role.ROOT, 0)) > (other.newest, other.versions.get(Role.ROOT, 0))

    def behind(self, floor: "Seen") -> Mapping[str, int]:
        """The roles whose versions are below those of another set, each with how many versions are missing."""
        gaps = {role: version - self.versions.get(role, 0) for role, version in floor.versions.items()}
        return {role: gap for role, gap in gaps.items() if gap > 0}

    def require_not_below(self, floor: "Seen") -> None:
        """Raises StorageError where a version is below that of the other set, or the same Timestamp has other bytes."""
        behind = self.behind(floor)
        if behind:
            fallen = [
                f"{role} {floor.versions[role] - gap}, and {floor.versions[role]} was" for role, gap in behind.items()
            ]
            what = f"an older set was put back: published is {'; '.join(sorted(fallen))}"
        elif self.newest == floor.newest and self.timestamp != floor.timestamp:
            what = f"another set was put there: Timestamp {self.newest} is not the one that was published"
        else:
            return
        raise StorageError(
            what,
            next_step="Undo the attack. Where a backup was restored, stop the servers and run: uptane db restored.",
            code="E-ROLLBACK-META",
        )


def _digest(raw: bytes) -> bytes:
    return hashlib.sha256(raw).digest()
