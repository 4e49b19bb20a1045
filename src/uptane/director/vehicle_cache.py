"""What a process remembers of vehicles between their requests, as long as nobody has changed it."""

from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from enum import Enum
from itertools import islice

import msgspec
from msgspec import Struct

from uptane.director.ports import VehicleState
from uptane.formats.profile import Profile
from uptane.metadata.delegations import TARGETS_ROLE
from uptane.metadata.identifiers import VehicleIdentifier
from uptane.metadata.root import Role
from uptane.verification.own_metadata import OwnMetadata

REMEMBERED = 4_096
"""Vehicles that one process remembers, those of the latest requests: about 50 KB each with ten ECUs."""

REMEMBERED_BYTES = 2**26
"""Bytes of manifests, reports and metadata that it remembers; in memory they become up to five times as much. A vehicle
with 150 ECUs takes 600 KB there, so of such vehicles it remembers fewer."""

READ_TOGETHER = 16
"""Vehicles whose new assignments are read with one statement."""

_EVERYTHING = 2**63
"""A revision above all: whatever was read before is not known to be current."""


class AtHand(Enum):
    """What a cache may answer instead of bytes."""

    UNKNOWN = "it has to be looked up"


class Known(Struct, frozen=True, kw_only=True, gc=False):
    """A vehicle as it was read, or as this process has left it.

    Args:
        state: what is on record.
        own: what is published, verified or made by this process.
        files: its files by name, those that vehicles ask for.
        missing: the name of the next Root, which there is not.
        settled: from when, and until when, nothing has to be signed, unless something changes; None where nobody has
            looked. A time before it comes of a clock that was put back.
    """

    state: VehicleState
    own: OwnMetadata | None
    files: Mapping[str, bytes] = msgspec.field(default_factory=dict)
    missing: str = ""
    settled: tuple[datetime, datetime] | None = None

    def is_settled(self, now: datetime) -> bool:
        """Whether nothing has to be signed."""
        return self.settled is not None and self.settled[0] <= now < self.settled[1]

    @property
    def vehicle(self) -> VehicleIdentifier:
        """Which vehicle it is."""
        return self.state.record.vehicle

    @property
    def size(self) -> int:
        """Bytes of its last manifest, of its ECUs' reports and of its files, under all their names."""
        reports = sum(len(ecu.report) for ecu in self.state.ecus if ecu.report is not None)
        return len(self.state.record.manifest or b"") + reports + sum(map(len, self.files.values()))


def files_of(own: OwnMetadata, profile: Profile) -> dict[str, bytes]:
    """The newest files of each role, by their plain and by their versioned names."""
    name, root = profile.metadata_name, own.root
    files = {name(Role.ROOT): root.raw, name(Role.ROOT, root.payload.version): root.raw}
    if own.timestamp:
        targets = own.targets[TARGETS_ROLE]
        files |= {name(Role.TARGETS): targets.raw, name(Role.TARGETS, targets.payload.version): targets.raw}
        files |= {name(Role.SNAPSHOT): own.snapshot, name(Role.SNAPSHOT, own.snapshot_version): own.snapshot}
        files[name(Role.TIMESTAMP)] = own.timestamp
    return files


class VehicleCache:
    """The vehicles of the latest requests. It is closed, and knows nothing, until somebody tells it of changes.

    Args:
        limit: how many.
        limit_bytes: how many bytes of them; one vehicle is remembered in any case.
    """

    def __init__(self, limit: int = REMEMBERED, limit_bytes: int = REMEMBERED_BYTES) -> None:
        self._limit = limit
        self._limit_bytes = limit_bytes
        self._bytes = 0
        self._known: OrderedDict[VehicleIdentifier, Known] = OrderedDict()
        self._sizes: dict[VehicleIdentifier, int] = {}
        self._stale: set[VehicleIdentifier] = set()
        # Of vehicles that are out of date: up to which revision nothing but assignments has changed.
        self._reassigned: dict[VehicleIdentifier, int] = {}
        self._read_with_others: set[VehicleIdentifier] = set()
        self._changed: dict[VehicleIdentifier, int] = {}
        self._open = False

    def __len__(self) -> int:
        return len(self._known)

    def open(self) -> None:
        """From now on `changed` is called for every change by others; what is being read was read before."""
        self.all_changed()
        self._open = True

    def close(self) -> None:
        """Changes may be missed from now on: nothing is current any more."""
        self.all_changed()
        self._open = False

    def current(self, vehicle: VehicleIdentifier) -> Known | None:
        """What is known of a vehicle and is current, as far as was told."""
        known = self._known.get(vehicle)
        if known is None or vehicle in self._stale:
            return None
        self._known.move_to_end(vehicle)
        return known

    def last(self, vehicle: VehicleIdentifier) -> Known | None:
        """What was known last of a vehicle: current, or to be compared with what is read."""
        return self._known.get(vehicle)

    @contextmanager
    def reassigned(self, vehicle: VehicleIdentifier) -> Iterator[Sequence[tuple[Known, int]]]:
        """What may be read together within the context, of which nothing but assignments has changed.

        Returns:
            What was known last of this vehicle and of others that nobody reads or changes at present, those first that
            were told of first, each with the revision up to which that is so; nothing where it is not so of this one.
        """
        if vehicle not in self._reassigned:
            yield ()
            return
        free = (
            other
            for other in self._reassigned
            if other != vehicle and other not in self._changed and other not in self._read_with_others
        )
        others = list(islice(free, READ_TOGETHER - 1))
        self._read_with_others.update(others)
        try:
            yield [(self._known[each], self._reassigned[each]) for each in (vehicle, *others)]
        finally:
            self._read_with_others.difference_update(others)

    def keep_reassigned(self, last: Known, revision: int, known: Known | None) -> None:
        """Keeps what was read of another vehicle, which is current unless anything was told or kept of it meanwhile.

        Args:
            last, revision: what `reassigned` gave of it.
            known: the vehicle at that revision; None where it has another one, or cannot be read with others.
        """
        vehicle = last.vehicle
        if self._known.get(vehicle) is not last or self._reassigned.get(vehicle) != revision:
            return
        if known is None:
            del self._reassigned[vehicle]
        else:
            self._known[vehicle] = known
            self._no_more_stale(vehicle)

    def first_root_expiry(self) -> datetime | None:
        """When the first Root of the vehicles that are known expires; None where there are none."""
        return min((known.own.root.payload.expires for known in self._known.values() if known.own), default=None)

    @contextmanager
    def reading(self, vehicle: VehicleIdentifier) -> Iterator[None]:
        """The vehicle is read and kept within the context; what is told of it meanwhile counts. One at a time."""
        self._changed[vehicle] = 0
        try:
            yield
        finally:
            self._changed.pop(vehicle, None)

    @contextmanager
    def changing(self, vehicle: VehicleIdentifier) -> Iterator[None]:
        """What is known of the vehicle is built on, written and kept within the context. One at a time."""
        self._changed[vehicle] = 0 if self.current(vehicle) is not None else _EVERYTHING
        try:
            yield
        except BaseException:
            self.changed(vehicle)  # whether it was written is not known
            raise
        finally:
            self._changed.pop(vehicle, None)

    def keep(self, known: Known) -> None:
        """What was read, or written: current unless a newer revision was told of meanwhile."""
        vehicle = known.vehicle
        newest = self._changed.pop(vehicle, _EVERYTHING)
        size = known.size
        self._bytes += size - self._sizes.get(vehicle, 0)
        self._known[vehicle], self._sizes[vehicle] = known, size
        self._known.move_to_end(vehicle)
        self._no_more_stale(vehicle)
        if not self._open or newest > known.state.revision:
            self._stale.add(vehicle)
        while len(self._known) > self._limit or (self._bytes > self._limit_bytes and len(self._known) > 1):
            oldest, _ = self._known.popitem(last=False)
            self._bytes -= self._sizes.pop(oldest)
            self._no_more_stale(oldest)

    def _no_more_stale(self, vehicle: VehicleIdentifier) -> None:
        self._stale.discard(vehicle)
        self._reassigned.pop(vehicle, None)

    def changed(
        self, vehicle: VehicleIdentifier, revision: int = _EVERYTHING, *, only_assignments: bool = False
    ) -> None:
        """Somebody has changed a vehicle, which has this revision now.

        Args:
            vehicle: which.
            revision: the new one.
            only_assignments: nothing else was changed since the revision before it.
        """
        if vehicle in self._changed:
            self._changed[vehicle] = max(self._changed[vehicle], revision)
        known = self._known.get(vehicle)
        if known is not None and known.state.revision < revision:
            before = known.state.revision if vehicle not in self._stale else self._reassigned.get(vehicle)
            self._no_more_stale(vehicle)
            self._stale.add(vehicle)
            if only_assignments and before == revision - 1:
                self._reassigned[vehicle] = revision

    def all_changed(self) -> None:
        """Any vehicle may have been changed."""
        self._stale = set(self._known)
        self._reassigned = {}
        self._changed = dict.fromkeys(self._changed, _EVERYTHING)

    def file(self, vehicle: VehicleIdentifier, name: str, timestamp: str, now: datetime) -> bytes | AtHand | None:
        """A published file of a vehicle, None for one that there is not, or UNKNOWN.

        Args:
            vehicle: whose.
            name: of the file.
            timestamp: the name of the Timestamp, which is not at hand where something may have to be signed; nor is
                whether there is a next Root.
            now: UTC.
        """
        known = self.current(vehicle)
        if known is None:
            return AtHand.UNKNOWN
        if name in (timestamp, known.missing) and not known.is_settled(now):
            return AtHand.UNKNOWN
        raw = known.files.get(name)
        return None if raw is None and name == known.missing else AtHand.UNKNOWN if raw is None else raw
