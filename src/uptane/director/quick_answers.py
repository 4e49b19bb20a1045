"""Answers vehicles from what a process remembers of them, with one write for a manifest and all that follows from it.

What is remembered may be out of date, so a write names the revision that it builds on and comes to nothing where the
vehicle has another one; everything is read and judged again then. What is refused here is not refused yet: it goes the
long way, which asks the database for everything and tells what is wrong.
"""

import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime, timedelta

from msgspec import Struct, structs

from uptane.director.alerts import tell
from uptane.director.deciding import VehicleView
from uptane.director.installed import by_ecu
from uptane.director.issuing import Plan, lasts_until, withholding
from uptane.director.manifest_intake import Taken, judge_manifest, known_ecu
from uptane.director.manifest_policy import ManifestPolicy
from uptane.director.ports import Changes, Directed, FleetStore, InventoryDatabase, Publication, VehicleState
from uptane.director.vehicle_cache import Known, VehicleCache, files_of
from uptane.formats.profile import Profile
from uptane.metadata.envelope import Envelope
from uptane.metadata.errors import StorageError, UptaneError
from uptane.metadata.identifiers import EcuIdentifier, VehicleIdentifier
from uptane.metadata.root import Role
from uptane.metadata.snapshot import Snapshot
from uptane.metadata.timestamp import Timestamp
from uptane.metadata.vehicle_manifest import VehicleVersionManifest
from uptane.signing.ports import MetadataStore
from uptane.signing.publish import Published, Publisher
from uptane.verification.own_metadata import OwnMetadata, verify_own_metadata

ATTEMPTS = 4
"""How often a vehicle is read again when somebody else keeps changing it."""

AGAIN_AFTER = timedelta(minutes=1)
"""What could not be directed or signed when a Timestamp was asked for is tried again after that time."""

Planner = Callable[[OwnMetadata | None, VehicleView, Publisher, datetime], Awaitable[Plan]]
"""`issuing.plan_issue` on the occasion of a manifest, with a Director's rules and Root."""

log = logging.getLogger(__name__)


class Followed(Struct, frozen=True, kw_only=True):  # an error leads to those who hold it
    """What followed from a manifest, or from the time.

    Args:
        state: what is on record afterwards.
        published: the vehicle's new metadata; None where what it can fetch already is still good.
        withheld: why the assigned images are not directed, if they are not.
    """

    state: VehicleState
    published: Published | None = None
    withheld: UptaneError | None = None


class QuickAnswers:
    """Answers from memory where that is certain. Whoever calls it holds the vehicle's lock, but for `cache.file`.

    Args:
        fleet: inventory and published metadata in one place.
        inventory: the same inventory, for alerts.
        cache: what is remembered.
        profile: the format.
        metadata: gives the store of a vehicle's metadata.
        publisher: makes a publisher for a vehicle that writes to a store.
        planner: decides what follows.
        policy: see `ManifestPolicy`.
    """

    def __init__(
        self,
        *,
        fleet: FleetStore,
        inventory: InventoryDatabase,
        cache: VehicleCache,
        profile: Profile,
        metadata: Callable[[VehicleIdentifier], MetadataStore],
        publisher: Callable[[VehicleIdentifier, MetadataStore], Publisher],
        planner: Planner,
        policy: ManifestPolicy,
    ) -> None:
        self._fleet, self._inventory, self.cache, self._profile = fleet, inventory, cache, profile
        self._metadata, self._publisher, self._planner, self._policy = metadata, publisher, planner, policy
        self._plain = tuple(profile.metadata_name(role) for role in Role)
        self._timestamp = profile.metadata_name(Role.TIMESTAMP)

    async def take_in(
        self,
        vehicle: VehicleIdentifier,
        primary: EcuIdentifier | None,
        envelope: Envelope[VehicleVersionManifest],
        now: datetime,
    ) -> tuple[Taken, Followed] | None:
        """A manifest is judged and kept, and what follows from it is published, all in one write.

        Args:
            vehicle, primary, envelope: see `take_in_manifest`.
            now: UTC.

        Returns:
            What became of it; None where nothing was stored, and it has to go the long way: also where it holds
            nothing new, since nothing would be written that could find out what is out of date here.

        Raises:
            ProvisioningError, StorageError: as `issuing.issue`; the manifest stays accepted.
        """
        for _ in range(ATTEMPTS):
            try:
                known = await self.known(vehicle)
                if known is None:
                    return None
                taken = self._judged(known.state, primary, envelope, now)
            except UptaneError:  # also where what is published was altered, which is no reason to lose a manifest
                return None
            if taken.changes == Changes():
                return None
            followed = await self._follow(known, taken, now)
            if followed is not None:
                return taken, followed
        return None

    async def settle(self, vehicle: VehicleIdentifier, now: datetime) -> tuple[Published | None, UptaneError | None]:
        """Signs what has to be signed before a vehicle fetches its Timestamp.

        Returns:
            As in `Followed`; nothing as well where others change the vehicle all the time, until it asks again.

        Raises:
            ProvisioningError, StorageError: as `issuing.issue`.
        """
        for _ in range(ATTEMPTS):
            known = await self.known(vehicle)
            if known is None or known.is_settled(now):
                break
            followed = await self._follow(known, None, now)
            if followed is not None:
                return followed.published, followed.withheld
        return None, None

    async def file(self, vehicle: VehicleIdentifier, name: str, now: datetime) -> bytes | None:
        """A published file; for the Timestamp and for the next Root, what has to be signed is signed first."""
        try:
            if name == self._timestamp:
                await self.settle(vehicle, now)
            known = await self.known(vehicle)
            if known is not None and name == known.missing and not known.is_settled(now):
                await self.settle(vehicle, now)
                known = await self.known(vehicle)
        except UptaneError:
            log.exception("what is published for vehicle %s is served as it is, and cannot be built on", vehicle)
            known = None
        if known is not None and name in known.files:
            return known.files[name]
        return await self._metadata(vehicle).read(name)

    async def known(self, vehicle: VehicleIdentifier) -> Known | None:
        """A vehicle as it is now, as far as was told; None for no such vehicle.

        Raises:
            StorageError: what is published was altered, or the database fails.
        """
        current = self.cache.current(vehicle)
        return await self._load(vehicle) if current is None else current

    async def _load(self, vehicle: VehicleIdentifier) -> Known | None:
        last = self.cache.last(vehicle)
        own, held = (None, None) if last is None else (last.own, last.files)
        for _ in range(ATTEMPTS):
            with self.cache.reading(vehicle):
                if last is not None and (known := await self._reassigned(last)) is not None:
                    self.cache.keep(known)
                    return known
                state = await self._fleet.read(
                    vehicle, (*self._plain, *self._next_names(own)), None if last is None else last.state
                )
                if state is None:
                    return None
                if own is None or not self._is_published(own, held, state.files):
                    own, held = await self._verified(vehicle, state), None
                    if (b"" if own is None else own.timestamp) != state.files.get(self._timestamp, b""):
                        continue  # somebody has published in between
                known = self._known_of(structs.replace(state, files={}), own, held)
                self.cache.keep(known)
                return known
        raise StorageError(
            f"somebody else keeps publishing for vehicle {vehicle}", next_step="Try again.", vehicle=vehicle
        )

    async def _reassigned(self, last: Known) -> Known | None:
        """A vehicle of which nothing but assignments has changed; None where more may have.

        Others that were assigned something are read with it: they ask soon, and one statement for many costs less.
        """
        with self.cache.reassigned(last.vehicle) as asked:
            if not asked:
                return None
            states = await self._fleet.reassigned([(known.state, revision) for known, revision in asked])
            read = {state.record.vehicle: state for state in states}
            for known, revision in asked[1:]:
                self.cache.keep_reassigned(known, revision, _with_state(known, read.get(known.vehicle)))
            return _with_state(last, read.get(last.vehicle))

    def _next_names(self, own: OwnMetadata | None) -> tuple[str, ...]:
        """What is not there unless somebody else has published, or an older Timestamp was put back."""
        if own is None:
            return ()
        root, snapshot = own.root.payload.version + 1, own.snapshot_version + 1
        return self._profile.metadata_name(Role.ROOT, root), self._profile.metadata_name(Role.SNAPSHOT, snapshot)

    def _is_published(self, own: OwnMetadata, held: Mapping[str, bytes] | None, files: Mapping[str, bytes]) -> bool:
        """Whether the files are byte for byte those that were verified, or made, here: that check is enough then."""
        held = files_of(own, self._profile) if held is None else held
        return all(files.get(name) == held.get(name) for name in (*self._plain, *self._next_names(own)))

    async def _verified(self, vehicle: VehicleIdentifier, state: VehicleState) -> OwnMetadata | None:
        names = self._guessed_names(state.files)
        again = await self._fleet.read(vehicle, (*self._plain, *names))
        at_hand = {} if again is None else {name: again.files.get(name) for name in (*self._plain, *names)}
        return await verify_own_metadata(_AtHand(at_hand, self._metadata(vehicle)), self._profile, vehicle)

    def _guessed_names(self, files: Mapping[str, bytes]) -> tuple[str, ...]:
        """What a verification will ask for, by what unverified files say: fetched at once, and believed in nothing."""
        name, decode = self._profile.metadata_name, self._profile.format.decode
        guessed = [name(Role.ROOT, 1), name(Role.ROOT, 2)]
        try:
            snapshot = decode(Timestamp, files[self._timestamp]).payload.snapshot.version
            guessed += [name(Role.SNAPSHOT, snapshot), name(Role.SNAPSHOT, snapshot + 1)]
            listed = decode(Snapshot, files[name(Role.SNAPSHOT)]).payload.files
            guessed += [name(role, file.version) for role, file in listed.items()]
        except (KeyError, UptaneError):
            pass  # the verification says what is wrong
        return tuple(guessed)

    def _known_of(
        self,
        state: VehicleState,
        own: OwnMetadata | None,
        files: Mapping[str, bytes] | None = None,
        settled: tuple[datetime, datetime] | None = None,
    ) -> Known:
        if own is None:
            return Known(state=state, own=None)
        return Known(
            state=state,
            own=own,
            files=files_of(own, self._profile) if files is None else files,
            missing=self._profile.metadata_name(Role.ROOT, own.root.payload.version + 1),
            settled=settled,
        )

    def _judged(
        self,
        state: VehicleState,
        primary: EcuIdentifier | None,
        envelope: Envelope[VehicleVersionManifest],
        now: datetime,
    ) -> Taken:
        return judge_manifest(
            envelope,
            self._profile,
            record=state.record,
            ecus={ecu.ecu: ecu for ecu in state.ecus},
            known={ecu.ecu: known_ecu(ecu) for ecu in state.ecus},
            directed=state.directed,
            primary=primary,
            now=now,
            policy=self._policy,
        )

    async def _follow(self, known: Known, taken: Taken | None, now: datetime) -> Followed | None:
        """What follows from a manifest, or from nothing but the time; None where the vehicle was changed in between."""
        vehicle, written = known.vehicle, _Written()
        changes = Changes() if taken is None else taken.changes
        state, own = _applied(known.state, changes), known.own
        published, withheld, failure, until = None, None, None, now + AGAIN_AFTER
        with self.cache.changing(vehicle):
            try:
                publisher = self._publisher(vehicle, written)
                view = VehicleView(ecus=state.ecus, assignments=state.assignments, directed=state.directed)
                plan = await self._planner(own, view, publisher, now)
                withheld = plan.withheld
                if plan.needed:
                    published = await publisher.publish(plan.before, plan.draft, now)
                    own = written.own(published, self._profile)
                if withheld is None:
                    directed = _with_new(changes.directed, state, plan)
                    changes = structs.replace(changes, directed=directed)
                    state = _applied(state, Changes(directed=directed))
                    until = (lasts_until(own, publisher) if own is not None else None) or until
                changes = structs.replace(changes, publication=written.publication(known.files))
            except UptaneError as error:
                failure, own, published = error, known.own, None
            if changes != Changes():
                if not await self._fleet.commit(vehicle, known.state.revision, changes):
                    self.cache.changed(vehicle)
                    return None
                state = structs.replace(state, revision=known.state.revision + 1)
            self.cache.keep(self._known_of(state, own, settled=(now, until)))
        await self._tell(vehicle, taken, withheld, now)
        if failure is not None:
            raise failure
        return Followed(state=state, published=published, withheld=withheld)

    async def _tell(
        self, vehicle: VehicleIdentifier, taken: Taken | None, withheld: UptaneError | None, now: datetime
    ) -> None:
        alerts = [*(() if taken is None else taken.alerts)]
        if withheld is not None:
            alerts.append(withholding(vehicle, withheld, now))
        if alerts:
            async with self._inventory.transaction() as transaction:
                await tell(transaction, vehicle, alerts)


def _with_state(known: Known, state: VehicleState | None) -> Known | None:
    return None if state is None else structs.replace(known, state=state, settled=None)


class _Written(MetadataStore):
    """A publication that is not written yet; no name is taken as far as it knows, which the write finds out."""

    def __init__(self) -> None:
        self._files: Sequence[tuple[str, bytes]] = ()
        self._mutable: Mapping[str, bytes] = {}

    async def read(self, name: str) -> bytes | None:
        """Nothing is there."""
        return None

    async def publish(self, files: Sequence[tuple[str, bytes]], mutable: Mapping[str, bytes]) -> None:
        """Keeps them for the one write."""
        self._files, self._mutable = files, mutable

    def publication(self, before: Mapping[str, bytes]) -> Publication | None:
        """What has to be written, beside what is published; None for nothing."""
        if not self._mutable:
            return None
        changed = {name: raw for name, raw in self._mutable.items() if before.get(name) != raw}
        replaced = {name: before[name] for name in changed if name in before}
        return Publication(files=self._files, mutable=changed, replaced=replaced)

    def own(self, published: Published, profile: Profile) -> OwnMetadata:
        """What was made here is as good as verified."""
        return OwnMetadata(
            root=published.root,
            targets=published.targets,
            snapshot_version=published.snapshot_version,
            timestamp_version=published.timestamp_version,
            expires=published.expires,
            snapshot=self._mutable[profile.metadata_name(Role.SNAPSHOT)],
            timestamp=self._mutable[profile.metadata_name(Role.TIMESTAMP)],
        )


class _AtHand:
    """Files that were read together, and a store for all others."""

    def __init__(self, files: Mapping[str, bytes | None], store: MetadataStore) -> None:
        self._files, self._store = files, store

    async def read(self, name: str) -> bytes | None:
        """A file, or None."""
        return self._files[name] if name in self._files else await self._store.read(name)


def _applied(state: VehicleState, changes: Changes) -> VehicleState:
    """The records with changes."""
    if changes == Changes():
        return state
    latest = {ecu.ecu: ecu for ecu, _ in changes.reports}
    kept = [each for each in state.directed if each.ecu not in changes.directed]
    return structs.replace(
        state,
        record=changes.record or state.record,
        ecus=[latest.get(ecu.ecu, ecu) for ecu in state.ecus],
        directed=[*kept, *(each for images in changes.directed.values() for each in images)],
    )


def _with_new(
    changed: Mapping[EcuIdentifier, Sequence[Directed]], state: VehicleState, plan: Plan
) -> Mapping[EcuIdentifier, Sequence[Directed]]:
    """All that ECUs may have once this is published, for those of which that changes."""
    if not plan.decision.directed:
        return changed
    before = by_ecu(state.directed)
    return {**changed, **{each.ecu: [*before.get(each.ecu, ()), each] for each in plan.decision.directed}}
