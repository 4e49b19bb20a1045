"""A vehicle, a Director and an Image repository without a network: the real systems over stand-ins of their stores."""

import itertools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from device import Device, SecondaryEcu, new_device
from links import Links, SecondaryLink, wait
from signed import FACTORY, factory_file
from world import DIRECTOR, IMAGES, NOW, PRIMARY, TCU, VIN, delegation, new_signer

from uptane.director.check_images import UNSAFE_NO_CATALOG
from uptane.director.director import Director
from uptane.director.ports import InventoryDatabase, StoredReport
from uptane.formats.profile import Profile
from uptane.formats.profiles import PROFILES
from uptane.image_repository.repository import ImageRepository
from uptane.metadata.delegations import TARGETS_ROLE
from uptane.metadata.errors import SecurityError, UptaneError
from uptane.metadata.identifiers import (
    EcuIdentifier,
    HardwareIdentifier,
    ImagePath,
    RepositoryName,
    RoleName,
    VehicleIdentifier,
)
from uptane.metadata.keys import KeyType
from uptane.metadata.repository_map import MappedRepository, RepositoryKind, RepositoryMap
from uptane.metadata.root import Role
from uptane.metadata.targets import NO_CUSTOM, Custom, Image, Targets
from uptane.signing.publish import new_root
from uptane.signing.signer import KeySigner
from uptane.storage.memory import MemoryImages, MemoryPublished
from uptane.storage.memory_inventory import MemoryInventory
from uptane.timeserver.timeserver import Timeserver
from uptane.vehicle.installation_states import RUNNING
from uptane.vehicle.memory import EcuMemory
from uptane.vehicle.primary import Primary, World
from uptane.vehicle.provisioning import Provisioning, provision
from uptane.vehicle.secondary import Secondary


@pytest.fixture(params=["json", "der"])
def profile(request: pytest.FixtureRequest) -> Profile:
    """Each wire format in turn; the folders' conftest files offer it."""
    return PROFILES[request.param]


class Fleet:
    """The servers: an Image repository, a Director, a Timeserver, and a clock that tests move.

    Args:
        profile: the wire format.
        kind: the kind of every key of the repositories.
        keys, threshold: how many keys each role has, and how many must sign.
        inventory: the Director's database.
    """

    def __init__(
        self,
        profile: Profile,
        kind: KeyType = KeyType.ED25519,
        *,
        keys: int = 1,
        threshold: int = 1,
        inventory: InventoryDatabase | None = None,
    ) -> None:
        self.profile = profile
        self.now = NOW
        self.thresholds = dict.fromkeys(Role, threshold)
        self.image_keys = {role: [self.new_key(kind) for _ in range(keys)] for role in Role}
        self.director_keys = {role: [self.new_key(kind) for _ in range(keys)] for role in Role}
        self.image_metadata = MemoryPublished()
        self.image_store, self.hosted = MemoryImages(), MemoryImages()
        self.images = self.open_images()
        self.images.stage_root(new_root(self.image_keys, self.thresholds))
        wait(self.images.publish(self.now))
        self.metadata: dict[VehicleIdentifier, MemoryPublished] = {}
        self.inventory = inventory or MemoryInventory()
        self.director_rules: dict[str, Any] = {"catalog": UNSAFE_NO_CATALOG}
        self.director = self.open_director()
        self.time_key = self.new_key()
        self.timeserver = Timeserver(profile, self.time_key)

    def new_key(self, kind: KeyType = KeyType.ED25519) -> KeySigner:
        """A new private key, identified as the profile does."""
        return new_signer(kind, self.profile.format.key_id_rule)

    def open_images(self) -> ImageRepository:
        """The Image repository as after a restart: over its stores, with its keys."""
        images = ImageRepository(profile=self.profile, metadata=self.image_metadata, images=self.image_store)
        images.add_signers(signer for signers in self.image_keys.values() for signer in signers)
        return images

    def open_director(self) -> Director:
        """The Director as after a restart: over its stores, with its keys."""
        director = Director(
            profile=self.profile,
            inventory=self.inventory,
            metadata=lambda vin: self.metadata.setdefault(vin, MemoryPublished()),
            root=new_root(self.director_keys, self.thresholds),
            **self.director_rules,
        )
        director.add_signers(signer for signers in self.director_keys.values() for signer in signers)
        return director

    def restart_director(self, **rules: object) -> None:
        """The Director restarts with another catalogue, policy, or other dependencies."""
        self.director_rules |= rules
        self.director = self.open_director()

    def later(self, **delta: float) -> None:
        """Moves the servers' clock."""
        self.now += timedelta(**delta)

    def add_vehicle(self, vin: str = VIN) -> VehicleIdentifier:
        """Registers a vehicle."""
        vehicle = VehicleIdentifier(vin)
        wait(self.director.add_new_vehicle(vehicle, self.now))
        return vehicle

    def add_image(self, path: str, content: bytes, custom: Custom = NO_CUSTOM) -> Image:
        """The Image repository signs and publishes an image, also an older one, as a thief of its keys can."""
        image = wait(self.images.add_image(ImagePath(path), content, custom=custom, unsafe_lower_release=True))
        wait(self.images.publish(self.now))
        return image

    def direct(self, image: Image, ecu: EcuIdentifier = TCU, vin: VehicleIdentifier = VIN) -> None:
        """The Director gives an ECU an image and publishes that."""
        wait(self.director.assign(vin, ecu, image))
        wait(self.director.publish(vin, self.now))

    def clear(self, vin: VehicleIdentifier = VIN) -> None:
        """The Director gives nobody anything and publishes that."""
        wait(self.director.clear_assignments(vin))
        wait(self.director.publish(vin, self.now))

    def release(self, path: str, content: bytes, ecu: EcuIdentifier = TCU, custom: Custom = NO_CUSTOM) -> Image:
        """Both repositories sign for one image."""
        image = self.add_image(path, content, custom)
        self.direct(image, ecu)
        return image

    def targets(self, role: str = Role.TARGETS) -> Targets:
        """What a role of the Image repository lists, as published."""
        return self.profile.format.decode(Targets, self.file(IMAGES, role)).payload

    def grant(
        self,
        role: RoleName,
        *patterns: str,
        delegator: RoleName = TARGETS_ROLE,
        keys: int = 1,
        threshold: int = 1,
        at_hand: bool = True,
        hardware: tuple[str, ...] | None = None,
    ) -> list[KeySigner]:
        """The Image repository delegates to a role with the next publication; gives its keys."""
        signers = [self.new_key() for _ in range(keys)]
        granted = delegation(role, signers, paths=patterns, threshold=threshold, hardware=hardware)
        wait(self.images.delegate(granted, [signer.key for signer in signers], delegator=delegator))
        if at_hand:
            self.images.add_signers(signers)
        return signers

    def rotate_director(self, *roles: Role) -> None:
        """The Director's Root names new keys for these roles."""
        for role in roles:
            self.director_keys[role] = [
                new_signer(id_rule=self.profile.format.key_id_rule) for _ in self.director_keys[role]
            ]
            self.director.add_signers(self.director_keys[role])
        wait(self.director.change_keys(new_root(self.director_keys, self.thresholds), self.now))

    def rotate_images(self, *roles: Role) -> None:
        """The Image repository's Root names new keys for these roles."""
        for role in roles:
            self.image_keys[role] = [self.new_key() for _ in self.image_keys[role]]
            self.images.add_signers(self.image_keys[role])
        self.images.stage_root(new_root(self.image_keys, self.thresholds))
        wait(self.images.renew())
        wait(self.images.publish(self.now))

    def file(self, repository: RepositoryName, role: str, vin: VehicleIdentifier = VIN) -> bytes:
        """The newest published file of a role."""
        store = self.metadata[vin] if repository == DIRECTOR else self.image_metadata
        raw = wait(store.read(self.profile.metadata_name(role)))
        assert raw is not None
        return raw

    def published(self, vin: VehicleIdentifier | None = None) -> dict[str, bytes]:
        """Every file of metadata that the Image repository, or the Director for a vehicle, has published."""
        store = self.image_metadata if vin is None else self.metadata[vin]
        return dict(store._files)

    def reports(self, ecu: EcuIdentifier) -> list[StoredReport]:
        """What the Director accepted of an ECU, newest first."""
        return list(wait(self.director.reports(ecu)))

    def roles(self, vin: VehicleIdentifier) -> dict[RepositoryName, dict[Role, bytes]]:
        """What is published now, for provisioning."""
        return {name: {role: self.file(name, role, vin) for role in Role} for name in (DIRECTOR, IMAGES)}

    def provisioning(
        self, vin: VehicleIdentifier, ecu: EcuIdentifier, nonce: int, hardware: HardwareIdentifier | None = None
    ) -> Provisioning:
        """What an ECU gets in the factory now."""
        repositories = {
            name: MappedRepository(name=name, kind=kind, urls=("http://127.0.0.1/",))
            for name, kind in ((DIRECTOR, RepositoryKind.DIRECTOR), (IMAGES, RepositoryKind.IMAGE))
        }
        return Provisioning(
            vehicle=vin,
            ecu=ecu,
            repository_map=RepositoryMap.basic(director=repositories[DIRECTOR], image_repository=repositories[IMAGES]),
            timeserver_key=self.time_key.key,
            roles=self.roles(vin),
            time=self.now,
            counter=int(self.now.timestamp() * 1_000_000),
            nonce=nonce,
            installed=factory_file(),
            hardware_id=hardware,
        )


class Vehicle:
    """A Primary and one Secondary, provisioned from what a fleet has published, and registered.

    Args:
        fleet: the servers.
        vin, primary, secondary: the identities.
        refetch_images: as on `Primary`.
        device: makes the parts of each ECU.
        made: of the first Secondary, as for `provision`.
    """

    def __init__(
        self,
        fleet: Fleet,
        vin: VehicleIdentifier = VIN,
        primary: EcuIdentifier = PRIMARY,
        secondary: EcuIdentifier = TCU,
        *,
        refetch_images: bool = False,
        device: Callable[[], Device] | None = None,
        **made: object,
    ) -> None:
        if vin not in fleet.metadata:
            fleet.add_vehicle(vin)
        self.fleet, self.vin, self.primary_ecu = fleet, vin, primary
        self.links = Links(fleet, vin)
        self.said: list[str] = []
        self._nonces = itertools.count(1)
        self._new_device = device or (lambda: new_device(fleet.profile.format.key_id_rule))
        self.refetch_images = refetch_images
        self.secondaries: list[SecondaryEcu] = []
        self.device = self._new_device()
        self.provision(primary, self.device)
        self.primary = self.restart_primary()
        key = fleet.profile.format.encode_key(self.device.signer.key)
        self.links.register_ecu(vin, primary, key, is_primary=True)
        self.tcu = self.add_secondary(secondary, **made)

    def new_nonce(self) -> int:
        """Nonces that tests can foresee."""
        return next(self._nonces)

    @property
    def secondary(self) -> Secondary:
        """The first Secondary."""
        return self.tcu.secondary

    @property
    def link(self) -> SecondaryLink:
        """The first Secondary's way to the Primary."""
        return self.tcu.link

    def add_secondary(self, ecu: EcuIdentifier, **made: object) -> SecondaryEcu:
        """One more Secondary, registered; `made` as for `provision`."""
        added = SecondaryEcu(self, ecu, self._new_device(), **made)
        self.secondaries.append(added)
        added.register()
        return added

    def provision(self, ecu: EcuIdentifier, device: Device, **made: object) -> EcuMemory:
        """Makes an ECU in the factory; `made` replaces fields of its `Provisioning`."""
        with device.slots.receive(RUNNING.active) as writer:
            writer.write(FACTORY)
            writer.keep()
        what = replace(self.fleet.provisioning(self.vin, ecu, self.new_nonce()), **made)  # type: ignore[arg-type]
        return provision(device.store, self.fleet.profile, what)

    def restart_primary(self) -> Primary:
        """The Primary comes up from its memory."""
        world = World(
            repositories=self.links,
            mirrors=self.links.mirrors,
            director=self.links,
            timeserver=self.links,
            slots=self.device.slots,
            new_nonce=self.new_nonce,
            say=self.said.append,
            may_install=lambda image: self.device.may_install,
            confirms=lambda file: self.device.confirms(file),
        )
        memory = EcuMemory(self.device.store, self.fleet.profile)
        self.primary = Primary(memory, self.device.signer, world, refetch_images=self.refetch_images)
        for each in self.secondaries:
            each.link.secondaries = self.primary.secondaries
        return self.primary

    def cycle(self) -> None:
        """A clean cycle of every ECU; the Secondaries' reports reach the Director with the next one."""
        self.primary.update_cycle()
        for each in self.secondaries:
            each.secondary.update_cycle()

    def running(self) -> bytes:
        """The image that the first Secondary runs."""
        return self.tcu.device.running()

    def trusted(self) -> dict[str, bytes]:
        """What the Primary trusts of both repositories, byte for byte."""
        return self.device.trusted()

    @contextmanager
    def primary_refuses(
        self, expected: type[UptaneError], *, undo: Callable[[], object] = bool, new_roots: bool = False
    ) -> Iterator[list[UptaneError]]:
        """The block is the attack. The Primary refuses it, trusts and runs what it did, reports it, and goes on.

        Args:
            expected: exactly the error that its cycle ends with.
            undo: what else has to happen than that all links are honest again, before a clean cycle.
            new_roots: genuine new Roots come with the attack, and are kept.
        """
        errors: list[UptaneError] = []
        with self._refused(self.device, self.primary.update_cycle, expected, errors, new_roots):
            yield errors
        self.links.restore()
        undo()
        told = len(self.fleet.reports(self.primary_ecu))
        self.cycle()
        newest = self.fleet.reports(self.primary_ecu)
        assert len(newest) == told + 1 or not isinstance(errors[0], SecurityError)
        self._was_told(errors[0], newest[0])
        assert self.primary.memory.state.attacks == ()

    @contextmanager
    def secondary_refuses(
        self, expected: type[UptaneError], *, undo: Callable[[], object] = bool, new_roots: bool = False
    ) -> Iterator[list[UptaneError]]:
        """The block is the attack. The Secondary refuses it, trusts and runs what it did, reports it, and goes on."""
        errors: list[UptaneError] = []
        with self._refused(self.tcu.device, self.secondary.update_cycle, expected, errors, new_roots):
            yield errors
        self.link.restore()
        undo()
        if self.secondary.memory.state.attacks:
            self.secondary.send_report()
        self.primary.update_cycle()
        self._was_told(errors[0], self.fleet.reports(self.tcu.ecu)[0])
        self.cycle()
        assert self.secondary.memory.state.attacks == ()

    @contextmanager
    def _refused(
        self,
        device: Device,
        cycle: Callable[[], object],
        expected: type[UptaneError],
        errors: list[UptaneError],
        new_roots: bool,
    ) -> Iterator[None]:
        before, running = device.trusted(), device.running()
        everybody = [each.device.running() for each in self.secondaries]
        yield
        with pytest.raises(UptaneError) as caught:
            cycle()
        assert type(caught.value) is expected, repr(caught.value)
        errors.append(caught.value)
        after = device.trusted()
        if new_roots:
            after = {name: raw for name, raw in after.items() if "/root" not in name}
            assert after.items() <= before.items()
        else:
            assert after == before
        assert device.running() == running
        assert [each.device.running() for each in self.secondaries] == everybody

    def _was_told(self, error: UptaneError, report: StoredReport) -> None:
        if not isinstance(error, SecurityError):
            return
        assert error.code in report.attacks_detected
        assert error.attack is None or str(error.attack) in report.attacks_detected
