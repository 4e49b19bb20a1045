"""The Director's front desk: registration, manifests, assignments and metadata, one vehicle at a time."""

import asyncio
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from uptane.director.assigning import put_on_record
from uptane.director.check_images import UnsafeNoCatalog
from uptane.director.deciding import PlanRules
from uptane.director.dependencies import Dependency
from uptane.director.encrypting import ImageEncryption, assign_encrypted
from uptane.director.inquiries import Inquiries, require_ecu, unknown_vehicle
from uptane.director.issuing import Issued, Occasion, issue
from uptane.director.manifest_intake import take_in_manifest
from uptane.director.manifest_policy import DEFAULT_POLICY, ManifestPolicy
from uptane.director.planning import assignment_of
from uptane.director.ports import (
    ImageCatalog,
    InventoryDatabase,
)
from uptane.director.registration import register_ecu, register_vehicle, replace_ecu
from uptane.encryption.keys import EncryptionKey
from uptane.formats.profile import Profile
from uptane.formats.timeserver_keys import keeping_timeserver_keys, with_timeserver_keys
from uptane.metadata.errors import (
    FormatError,
    ProvisioningError,
    UptaneError,
)
from uptane.metadata.identifiers import EcuIdentifier, HardwareIdentifier, KeyId, VehicleIdentifier
from uptane.metadata.keys import PublicKey
from uptane.metadata.root import Root
from uptane.metadata.targets import Image
from uptane.signing.ports import MetadataStore
from uptane.signing.publish import Lifetimes, Published, Publisher
from uptane.signing.signer import Signer
from uptane.verification.check_manifest import CheckedManifest

DEFAULT_LIFETIMES = Lifetimes()


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What became of a manifest.

    Args:
        manifest: as it was taken in.
        outstanding: the ECUs that are not known to have their assigned image; empty for a vehicle that is up to date.
        published: the vehicle's new metadata; None where what it can fetch already is still good.
        withheld: why the assigned images are not directed, if they are not.
    """

    manifest: CheckedManifest
    outstanding: tuple[EcuIdentifier, ...]
    published: Published | None = None
    withheld: UptaneError | None = None


class Director(Inquiries):
    """The Director.

    Every role of every vehicle's metadata names the vehicle, so vehicles may share keys (AMB-13).

    Args:
        profile: format and names of the metadata and manifests.
        inventory: the inventory database.
        metadata: gives the store of a vehicle's metadata.
        root: the keys and thresholds of the roles, as a draft.
        catalog: what the Image repository lists: nothing else is directed.
        dependencies: what images require and conflict with; see `dependencies.read_dependencies`.
        lifetimes: until when new metadata is valid.
        policy: what follows when a genuine manifest lacks ECUs or tells wrong times.
        encryption: what it needs to encrypt images; without it, it encrypts none.
    """

    def __init__(
        self,
        *,
        profile: Profile,
        inventory: InventoryDatabase,
        metadata: Callable[[VehicleIdentifier], MetadataStore],
        root: Root,
        catalog: ImageCatalog | UnsafeNoCatalog,
        dependencies: Iterable[Dependency] = (),
        lifetimes: Lifetimes = DEFAULT_LIFETIMES,
        policy: ManifestPolicy = DEFAULT_POLICY,
        encryption: ImageEncryption | None = None,
    ) -> None:
        super().__init__(inventory, profile)
        self._metadata = metadata
        self._root = root
        self._rules = PlanRules(catalog=catalog, dependencies=tuple(dependencies))
        self._lifetimes = lifetimes
        self._policy = policy
        self._encryption = encryption
        self._keyring: dict[KeyId, Signer] = {}
        self._locks: defaultdict[VehicleIdentifier, asyncio.Lock] = defaultdict(asyncio.Lock)

    def add_signers(self, signers: Iterable[Signer]) -> None:
        """Puts private keys at hand."""
        self._keyring |= {signer.key.key_id: signer for signer in signers}

    async def add_new_vehicle(self, vehicle: VehicleIdentifier, now: datetime) -> None:
        """Registers a vehicle and publishes its first, empty metadata; AlreadyRegisteredError if it exists."""
        await register_vehicle(self._inventory, vehicle)
        async with self._locks[vehicle]:
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
        return await register_ecu(
            self._inventory,
            vehicle=vehicle,
            ecu=ecu,
            key=key,
            is_primary=is_primary,
            hardware_id=hardware_id,
            unsafe_shared_key=self._profile.unsafe_shared_keys,
        )

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
        async with self._locks[vehicle]:
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
        self, vehicle: VehicleIdentifier, primary: EcuIdentifier, raw: bytes, now: datetime
    ) -> CheckedManifest:
        """See `manifest_intake.take_in_manifest`."""
        return await take_in_manifest(
            self._inventory, self._profile, vehicle=vehicle, primary=primary, raw=raw, now=now, policy=self._policy
        )

    async def answer_manifest(
        self, vehicle: VehicleIdentifier, primary: EcuIdentifier, raw: bytes, now: datetime
    ) -> Answer:
        """Takes in a manifest, decides what the vehicle shall have, and issues that (STD-5.3.2.1-1 to -16).

        New metadata is signed where it says something new or expires soon. Images that may not be directed are withheld
        and an alert tells why; the manifest stays accepted, and what was directed before is renewed.

        Raises:
            UnknownVehicleError, SecurityError: as `receive_manifest`; nothing was stored or issued.
            ProvisioningError, StorageError: as `publish`; the manifest stays accepted.
        """
        checked = await self.receive_manifest(vehicle, primary, raw, now)
        async with self._locks[vehicle]:
            issued = await self._issue(vehicle, now, occasion=Occasion.MANIFEST)
        return Answer(
            manifest=checked,
            outstanding=tuple(await self.outstanding(vehicle)),
            published=issued.published if issued.is_new else None,
            withheld=issued.withheld,
        )

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

    async def clear_assignments(self, vehicle: VehicleIdentifier) -> None:
        """No ECU of the vehicle shall have anything, from the next publication on."""
        async with self._inventory.transaction() as transaction:
            if await transaction.vehicle(vehicle) is None:
                raise unknown_vehicle(vehicle)
            await transaction.clear_assignments(vehicle)

    async def publish(self, vehicle: VehicleIdentifier, now: datetime) -> Published:
        """Publishes the vehicle's metadata; see `issuing.issue`."""
        async with self._locks[vehicle]:
            return (await self._issue(vehicle, now)).published

    async def leave_out_versions(self, vehicle: VehicleIdentifier, skipped: int, now: datetime) -> Published:
        """Publishes what the vehicle was directed under versions that it cannot have seen, as after an older backup.

        Args:
            vehicle: whose metadata rises.
            skipped: how many versions are left out; not fewer than were published after the backup.
            now: UTC.

        Raises:
            UptaneError: as `issuing.issue`.
        """
        async with self._locks[vehicle]:
            return (await self._issue(vehicle, now, occasion=Occasion.RESTORED, skipped=skipped)).published

    async def change_keys(self, root: Root, now: datetime) -> None:
        """Publishes a new Root for every vehicle, signed by its own and the present root keys.

        The Timeserver's keys stay as they are named where the new Root says nothing of them.

        Raises:
            UptaneError: the first of the failures; every other vehicle has got its new Root.
        """
        self._root = root = keeping_timeserver_keys(root, self._root)
        failures: list[UptaneError] = []
        for vehicle in await self.vehicles():
            async with self._locks[vehicle]:
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
        await self.change_keys(with_timeserver_keys(self._root, keys), now)

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
        return Publisher(
            store=self._metadata(vehicle),
            profile=self._profile,
            keyring=self._keyring,
            lifetimes=self._lifetimes,
            vehicle=vehicle,
        )
