"""The Director's front desk: registration, manifests, assignments and metadata, one vehicle at a time."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from functools import partial
from weakref import WeakValueDictionary

from uptane.director.answer import Answer
from uptane.director.assigning import put_on_record
from uptane.director.check_images import UnsafeNoCatalog
from uptane.director.deciding import PlanRules, VehicleView
from uptane.director.dependencies import Dependency
from uptane.director.encrypting import ImageEncryption, assign_encrypted
from uptane.director.inquiries import Inquiries, require_ecu, unknown_vehicle
from uptane.director.issuing import Issued, Occasion, Plan, issue, plan_issue, root_at_hand
from uptane.director.manifest_intake import read_manifest, take_in_manifest
from uptane.director.manifest_policy import DEFAULT_POLICY, ManifestPolicy
from uptane.director.planning import assignment_of
from uptane.director.ports import FleetStore, ImageCatalog, InventoryDatabase
from uptane.director.quick_answers import QuickAnswers
from uptane.director.registration import register_ecu, register_vehicle, replace_ecu
from uptane.director.vehicle_cache import AtHand, VehicleCache
from uptane.encryption.keys import EncryptionKey
from uptane.formats.profile import Profile
from uptane.formats.timeserver_keys import keeping_timeserver_keys, with_timeserver_keys
from uptane.metadata.errors import FormatError, ProvisioningError, UptaneError
from uptane.metadata.identifiers import EcuIdentifier, HardwareIdentifier, KeyId, VehicleIdentifier
from uptane.metadata.keys import PublicKey
from uptane.metadata.root import Role, Root
from uptane.metadata.targets import Image
from uptane.signing.ports import MetadataStore
from uptane.signing.publish import Lifetimes, Published, Publisher
from uptane.signing.signer import Signer
from uptane.verification.check_manifest import CheckedManifest
from uptane.verification.own_metadata import OwnMetadata

DEFAULT_LIFETIMES = Lifetimes()


class Director(Inquiries):
    """The Director.

    Every role of every vehicle's metadata names the vehicle, so vehicles may share keys (AMB-13).

    Args:
        profile: format and names of the metadata and manifests.
        inventory: the inventory database.
        metadata: gives the store of a vehicle's metadata.
        root: the keys and thresholds of the roles, as a draft; None where Root's key is kept elsewhere: no vehicle can
            be added then, and Roots are signed by whoever has it.
        catalog: what the Image repository lists: nothing else is directed.
        dependencies: what images require and conflict with; see `dependencies.read_dependencies`.
        lifetimes: until when new metadata is valid.
        policy: what follows when a genuine manifest lacks ECUs or tells wrong times.
        encryption: what it needs to encrypt images; without it, it encrypts none.
        fleet: inventory and published metadata in one place, where both are: vehicles are then answered from memory as
            far as nothing changed, and a manifest with all that follows is one write.
        cache: what is remembered for that.
    """

    def __init__(
        self,
        *,
        profile: Profile,
        inventory: InventoryDatabase,
        metadata: Callable[[VehicleIdentifier], MetadataStore],
        root: Root | None,
        catalog: ImageCatalog | UnsafeNoCatalog,
        dependencies: Iterable[Dependency] = (),
        lifetimes: Lifetimes = DEFAULT_LIFETIMES,
        policy: ManifestPolicy = DEFAULT_POLICY,
        encryption: ImageEncryption | None = None,
        fleet: FleetStore | None = None,
        cache: VehicleCache | None = None,
    ) -> None:
        super().__init__(inventory, profile)
        self._metadata = metadata
        self._root = root
        self._rules = PlanRules(catalog=catalog, dependencies=tuple(dependencies))
        self._lifetimes = lifetimes
        self._take_in = partial(take_in_manifest, inventory, profile, policy=policy)
        self._encryption = encryption
        self._keyring: dict[KeyId, Signer] = {}
        self._locks: WeakValueDictionary[VehicleIdentifier, asyncio.Lock] = WeakValueDictionary()
        self._cache = VehicleCache() if cache is None else cache
        self._timestamp = profile.metadata_name(Role.TIMESTAMP)
        self._quick: QuickAnswers | None = None
        if fleet is not None and not profile.unsafe_no_report_counter:
            self._quick = QuickAnswers(
                fleet=fleet,
                inventory=inventory,
                cache=self._cache,
                profile=profile,
                metadata=metadata,
                publisher=self._publisher_to,
                planner=self._planned,
                policy=policy,
            )

    def add_signers(self, signers: Iterable[Signer]) -> None:
        """Puts private keys at hand."""
        self._keyring |= {signer.key.key_id: signer for signer in signers}

    async def add_new_vehicle(self, vehicle: VehicleIdentifier, now: datetime) -> None:
        """Registers a vehicle and publishes its first, empty metadata.

        Raises AlreadyRegisteredError if it exists, ProvisioningError where a key of the four roles is not at hand.
        """
        self._publisher(vehicle).require_keys(root_at_hand(self._root), *Role)
        await register_vehicle(self._inventory, vehicle)
        async with self._changed(vehicle):
            await self._issue(vehicle, now)

    async def register_ecu(
        self,
        *,
        vehicle: VehicleIdentifier,
        ecu: EcuIdentifier,
        key: PublicKey,
        is_primary: bool,
        hardware_id: HardwareIdentifier | None = None,
    ) -> bool:
        """See `registration.register_ecu`."""
        is_new = await register_ecu(
            self._inventory,
            vehicle=vehicle,
            ecu=ecu,
            key=key,
            is_primary=is_primary,
            hardware_id=hardware_id,
            unsafe_shared_key=self._profile.unsafe_shared_keys,
        )
        self._cache.changed(vehicle)
        return is_new

    async def replace_ecu(
        self,
        vehicle: VehicleIdentifier,
        old: EcuIdentifier,
        *,
        ecu: EcuIdentifier,
        key: PublicKey,
        now: datetime,
        hardware_id: HardwareIdentifier | None = None,
    ) -> bool:
        """An operator replaces a part of a vehicle; see `registration.replace_ecu`.

        What is published then names the new ECU in the place of the old one. Where that fails as in `publish`, the
        replacement is on record all the same.
        """
        async with self._changed(vehicle):
            carried_over = await replace_ecu(
                self._inventory,
                vehicle=vehicle,
                old=old,
                ecu=ecu,
                key=key,
                now=now,
                hardware_id=hardware_id,
                unsafe_shared_key=self._profile.unsafe_shared_keys,
            )
            await self._issue(vehicle, now)
        return carried_over

    async def receive_manifest(
        self, vehicle: VehicleIdentifier, primary: EcuIdentifier | None, raw: bytes, now: datetime
    ) -> CheckedManifest:
        """See `manifest_intake.read_manifest` and `take_in_manifest`."""
        envelope = await read_manifest(self._inventory, self._profile, vehicle=vehicle, raw=raw, now=now)
        return await self._take_in(vehicle=vehicle, primary=primary, envelope=envelope, now=now)

    async def answer_manifest(
        self, vehicle: VehicleIdentifier, primary: EcuIdentifier | None, raw: bytes, now: datetime
    ) -> Answer:
        """Takes in a manifest, decides what the vehicle shall have, and issues that (STD-5.3.2.1-1 to -16).

        New metadata is signed where it says something new or expires soon. Images that may not be directed are withheld
        and an alert tells why; the manifest stays accepted, and what was directed before is renewed.

        Args:
            vehicle, primary: who the sender says that it is; no Primary where it has proved to be that vehicle: its
                last manifest, also a diff, may then come again, byte for byte, and changes nothing.
            raw: the manifest as received.
            now: UTC.

        Raises:
            UnknownVehicleError, SecurityError: as `receive_manifest`; nothing was stored or issued.
            ProvisioningError, StorageError: as `publish`; the manifest stays accepted.
        """
        envelope = await read_manifest(self._inventory, self._profile, vehicle=vehicle, raw=raw, now=now)
        if self._quick is not None:
            async with self._alone(vehicle):
                quick = await self._quick.take_in(vehicle, primary, envelope, now)
            if quick is not None:
                return Answer.of(self._profile, *quick)
        checked = await self._take_in(vehicle=vehicle, primary=primary, envelope=envelope, now=now)
        async with self._changed(vehicle):
            if self._quick is not None:
                self._cache.changed(vehicle)
                new, withheld = await self._quick.settle(vehicle, now)
            else:
                issued = await self._issue(vehicle, now, occasion=Occasion.MANIFEST)
                new, withheld = issued.published if issued.is_new else None, issued.withheld
        outstanding = await self.outstanding(vehicle)
        return Answer(manifest=checked, look_up=lambda: outstanding, published=new, withheld=withheld)

    def metadata_at_hand(self, vehicle: VehicleIdentifier, name: str, now: datetime) -> bytes | AtHand | None:
        """A published file of a vehicle from memory; None for one that there is not, UNKNOWN for `metadata_file`."""
        return self._cache.file(vehicle, name, self._timestamp, now)

    async def metadata_file(self, vehicle: VehicleIdentifier, name: str, now: datetime) -> bytes | None:
        """A published file of a vehicle, or None. For the Timestamp, what has changed or expires soon is signed first.

        Raises:
            StorageError: the database fails.
        """
        if self._quick is None:
            return await self._metadata(vehicle).read(name)
        async with self._alone(vehicle):
            return await self._quick.file(vehicle, name, now)

    async def assign(
        self, vehicle: VehicleIdentifier, ecu: EcuIdentifier, image: Image, install_order: int | None = None
    ) -> None:
        """An ECU shall have this image, from the next publication on, in place of an earlier one.

        One name is one image: ECUs of the vehicle that were assigned another image of that name get this one too. This
        ECU gets it in plain, whatever it had before; an encrypted form of another ECU stays encrypted.

        Args:
            vehicle, ecu, image: the assignment.
            install_order: when the ECU shall install it: lower numbers first, 0 to 65535. Where no ECU of the vehicle
                has one, it follows from the dependencies.

        Raises:
            UnknownVehicleError, UnknownEcuError: not in the inventory.
            FormatError: the profile cannot say that; nothing is changed.
            HardwareMismatchError: the image is for other hardware; nothing is changed.
            UptaneError: another ECU is assigned an older image of that name, encrypted; nothing is changed.
        """
        async with self._inventory.transaction() as transaction:
            await require_ecu(transaction, vehicle, ecu)
            wanted = [assignment_of(vehicle, ecu, image, install_order)]
            await put_on_record(transaction, self._profile, vehicle, image, wanted)
        self._cache.changed(vehicle)

    async def set_encryption_key(self, vehicle: VehicleIdentifier, ecu: EcuIdentifier, key: EncryptionKey) -> None:
        """Puts on record what images are encrypted for, in place of an earlier key (STD-5.4.1-8).

        What was encrypted before stays as it is: assign it again.

        Raises:
            UnknownVehicleError, UnknownEcuError: not in the inventory.
            SpoofingError: it is the key with which the ECU signs.
        """
        async with self._inventory.transaction() as transaction:
            record = await require_ecu(transaction, vehicle, ecu)
            key.require_separate(record.key, ecu)
            await transaction.set_encryption_key(vehicle, ecu, key)
        self._cache.changed(vehicle)

    async def assign_encrypted(
        self,
        vehicle: VehicleIdentifier,
        ecus: Iterable[EcuIdentifier],
        image: Image,
        data: bytes,
        install_order: int | None = None,
    ) -> None:
        """See `encrypting.assign_encrypted`; ProvisioningError as well where this Director is not set up to encrypt."""
        if self._encryption is None:
            raise ProvisioningError(
                "this Director is not set up to encrypt images", next_step="Give it an ImageEncryption."
            )
        await assign_encrypted(
            self._inventory,
            self._profile,
            self._encryption,
            vehicle=vehicle,
            ecus=tuple(dict.fromkeys(ecus)),
            image=image,
            data=data,
            install_order=install_order,
        )
        self._cache.changed(vehicle)

    async def clear_assignments(self, vehicle: VehicleIdentifier) -> None:
        """No ECU of the vehicle shall have anything, from the next publication on."""
        async with self._inventory.transaction() as transaction:
            if await transaction.vehicle(vehicle) is None:
                raise unknown_vehicle(vehicle)
            await transaction.clear_assignments(vehicle)
        self._cache.changed(vehicle)

    async def publish(self, vehicle: VehicleIdentifier, now: datetime) -> Published:
        """Publishes the vehicle's metadata; see `issuing.issue`."""
        async with self._changed(vehicle):
            return (await self._issue(vehicle, now)).published

    async def leave_out_versions(self, vehicle: VehicleIdentifier, skipped: int, now: datetime) -> Published:
        """Publishes what the vehicle was directed under versions that it cannot have seen, as after an older backup.

        So many are left out: not fewer than were published after the backup. Errors as `issuing.issue`.
        """
        async with self._changed(vehicle):
            return (await self._issue(vehicle, now, occasion=Occasion.RESTORED, skipped=skipped)).published

    async def renew_root(self, vehicle: VehicleIdentifier, now: datetime) -> Published:
        """Publishes the vehicle's next Root, which names the keys of the present one; errors as `issuing.issue`."""
        async with self._changed(vehicle):
            return (await self._issue(vehicle, now, occasion=Occasion.OLD_ROOT)).published

    async def change_keys(self, root: Root, now: datetime) -> None:
        """Publishes a new Root for every vehicle, signed by its own and the present root keys.

        The Timeserver's keys stay as they are named where the new Root says nothing of them.

        Raises:
            UptaneError: the first of the failures; every other vehicle has got its new Root.
        """
        self._root = root = root if self._root is None else keeping_timeserver_keys(root, self._root)
        failures: list[UptaneError] = []
        for vehicle in await self.vehicles():
            async with self._changed(vehicle):
                try:
                    await self._issue(vehicle, now, root, occasion=Occasion.NEW_ROOT)
                except UptaneError as error:
                    failures.append(error)
        if failures:
            raise failures[0]

    async def change_timeserver_keys(self, keys: Sequence[PublicKey], now: datetime) -> None:
        """Publishes a new Root for every vehicle that names these keys of the Timeserver, in place of others.

        ECUs that follow Root believe no other key from then on. In an orderly change both keys are named until the
        Timeserver signs with the new one; a stolen key is left out at once.

        Args:
            keys: 1 to 8, any of which may sign.
            now: UTC.

        Raises:
            FormatError: no key, or too many, or the profile cannot name any.
            UptaneError: as `change_keys`.
        """
        if self._profile.unsafe_root_through_snapshot:
            raise FormatError(f"in {self._profile.name} Root has no place for the Timeserver's keys", field="root")
        await self.change_keys(with_timeserver_keys(root_at_hand(self._root), keys), now)

    async def _issue(
        self,
        vehicle: VehicleIdentifier,
        now: datetime,
        root: Root | None = None,
        occasion: Occasion = Occasion.PUBLICATION,
        skipped: int = 0,
    ) -> Issued:
        return await issue(
            self._inventory,
            self._publisher(vehicle),
            vehicle,
            now,
            rules=self._rules,
            first_root=self._root,
            root=root,
            occasion=occasion,
            skipped=skipped,
        )

    def _publisher(self, vehicle: VehicleIdentifier) -> Publisher:
        return self._publisher_to(vehicle, self._metadata(vehicle))

    def _publisher_to(self, vehicle: VehicleIdentifier, store: MetadataStore) -> Publisher:
        return Publisher(
            store=store, profile=self._profile, keyring=self._keyring, lifetimes=self._lifetimes, vehicle=vehicle
        )

    async def _planned(self, own: OwnMetadata | None, view: VehicleView, publisher: Publisher, now: datetime) -> Plan:
        return await plan_issue(
            own, view, publisher, now, rules=self._rules, first_root=self._root, occasion=Occasion.MANIFEST
        )

    def _alone(self, vehicle: VehicleIdentifier) -> asyncio.Lock:
        """Held while something is published for a vehicle; locks of vehicles that nobody asks for are forgotten."""
        lock = self._locks.get(vehicle)
        if lock is None:
            lock = self._locks[vehicle] = asyncio.Lock()
        return lock

    @asynccontextmanager
    async def _changed(self, vehicle: VehicleIdentifier) -> AsyncIterator[None]:
        """Holds the vehicle while something is published, and forgets what was known of it."""
        async with self._alone(vehicle):
            try:
                yield
            finally:
                self._cache.changed(vehicle)
