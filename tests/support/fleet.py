"""A vehicle, a Director and an Image repository without a network: the real systems over stand-ins of their stores."""

import asyncio
import itertools
from collections.abc import Coroutine, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, TypeVar

from uptane.director.director import Director
from uptane.formats.profile import Profile
from uptane.image_repository.repository import ImageRepository
from uptane.metadata.digests import Digests
from uptane.metadata.errors import UnreachableError
from uptane.metadata.identifiers import EcuIdentifier, ImagePath, PathPattern, RepositoryName, VehicleIdentifier
from uptane.metadata.keys import KeyType
from uptane.metadata.repository_map import MappedRepository, RepositoryKind, RepositoryMap
from uptane.metadata.root import Role
from uptane.metadata.targets import NO_CUSTOM, Custom, Image, ImageFile
from uptane.signing.publish import new_root
from uptane.signing.signer import KeySigner
from uptane.storage.memory import MemoryEcuStore, MemoryImages, MemoryImageSlots, MemoryPublished
from uptane.storage.memory_inventory import MemoryInventory
from uptane.timeserver.timeserver import Timeserver
from uptane.vehicle.installation import INSTALLED
from uptane.vehicle.memory import EcuMemory, Provisioning, provision
from uptane.vehicle.primary import Primary
from uptane.vehicle.primary import World as PrimaryWorld
from uptane.vehicle.secondaries import Secondaries
from uptane.vehicle.secondary import Secondary, SecondaryWorld
from world import DIRECTOR, IMAGES, NOW, PRIMARY, TCU, VIN, new_signer

ResultT = TypeVar("ResultT")
FACTORY = b"factory image"
FRESH = b"Fresh firmware image"
EVIL = b"evil content"
__all__ = ["EVIL", "FACTORY", "FRESH", "Fleet", "PathPattern", "Vehicle"]


def wait(coroutine: Coroutine[Any, Any, ResultT]) -> ResultT:
    """Runs a coroutine of the server side."""
    return asyncio.run(coroutine)


class Fleet:
    """The servers: an Image repository, a Director, a Timeserver, and a clock that tests move.

    Args:
        profile: the wire format.
        kind: the kind of every key of the repositories.
    """

    def __init__(
        self, profile: Profile, kind: KeyType = KeyType.ED25519, *, keys: int = 1, threshold: int = 1
    ) -> None:
        self.profile = profile
        self.now = NOW
        self.thresholds = dict.fromkeys(Role, threshold)
        self.image_keys = {role: [new_signer(kind) for _ in range(keys)] for role in Role}
        self.director_keys = {role: [new_signer(kind) for _ in range(keys)] for role in Role}
        self.image_metadata = MemoryPublished()
        self.image_store = MemoryImages()
        self.images = ImageRepository(profile=profile, metadata=self.image_metadata, images=self.image_store)
        self.images.add_signers(signer for signers in self.image_keys.values() for signer in signers)
        self.images.stage_root(new_root(self.image_keys, self.thresholds))
        wait(self.images.publish(self.now))
        self.metadata: dict[VehicleIdentifier, MemoryPublished] = {}
        self.inventory = MemoryInventory()
        self.director = Director(
            profile=profile,
            inventory=self.inventory,
            metadata=lambda vin: self.metadata.setdefault(vin, MemoryPublished()),
            root=new_root(self.director_keys, self.thresholds),
        )
        self.director.add_signers(signer for signers in self.director_keys.values() for signer in signers)
        self.time_key = new_signer()
        self.timeserver = Timeserver(profile, self.time_key)

    def later(self, **delta: float) -> None:
        """Moves the servers' clock."""
        self.now += timedelta(**delta)

    def add_vehicle(self, vin: str = VIN) -> VehicleIdentifier:
        """Registers a vehicle."""
        vehicle = VehicleIdentifier(vin)
        wait(self.director.add_new_vehicle(vehicle, self.now))
        return vehicle

    def add_image(self, path: str, content: bytes, custom: Custom = NO_CUSTOM) -> Image:
        """The Image repository signs and publishes an image."""
        image = wait(self.images.add_image(ImagePath(path), content, custom=custom))
        wait(self.images.publish(self.now))
        return image

    def direct(self, image: Image, ecu: EcuIdentifier = TCU, vin: VehicleIdentifier = VIN) -> None:
        """The Director gives an ECU an image and publishes that."""
        wait(self.director.assign(vin, ecu, image))
        wait(self.director.publish(vin, self.now))

    def release(self, path: str, content: bytes, ecu: EcuIdentifier = TCU, custom: Custom = NO_CUSTOM) -> Image:
        """Both repositories sign for one image."""
        image = self.add_image(path, content, custom)
        self.direct(image, ecu)
        return image

    def roles(self, vin: VehicleIdentifier) -> dict[RepositoryName, dict[Role, bytes]]:
        """What is published now, for provisioning."""
        stores = {DIRECTOR: self.metadata[vin], IMAGES: self.image_metadata}
        found: dict[RepositoryName, dict[Role, bytes]] = {}
        for name, store in stores.items():
            found[name] = {}
            for role in Role:
                raw = wait(store.read(self.profile.metadata_name(role)))
                assert raw is not None
                found[name][role] = raw
        return found


@dataclass
class Links:
    """The ways of one vehicle to the servers; each can be cut, and what passes can be altered."""

    fleet: Fleet
    vehicle: VehicleIdentifier
    down: set[str] = field(default_factory=set)
    manifests: list[bytes] = field(default_factory=list)
    swapped_images: dict[str, bytes] = field(default_factory=dict)
    nonces: list[int] = field(default_factory=list)

    def _check(self, peer: str) -> None:
        if peer in self.down:
            raise UnreachableError(f"the {peer} does not answer")

    def fetch(self, repository: RepositoryName, name: str, limit: int) -> bytes | None:
        self._check(repository)
        store = self.fleet.metadata[self.vehicle] if repository == DIRECTOR else self.fleet.image_metadata
        return wait(store.read(name))

    @contextmanager
    def stream(self, name: str, limit: int) -> Iterator[Iterator[bytes] | None]:
        self._check("images")
        data = self.swapped_images.get(name) or wait(self.fleet.image_store.read(name))
        yield None if data is None else iter([data[i : i + 7] for i in range(0, len(data), 7)])

    def submit_manifest(self, vehicle: VehicleIdentifier, primary: EcuIdentifier, manifest: bytes) -> None:
        self._check("Director")
        self.manifests.append(manifest)
        wait(self.fleet.director.receive_manifest(vehicle, primary, manifest, self.fleet.now))

    def register_ecu(self, vehicle: VehicleIdentifier, ecu: EcuIdentifier, key: bytes, *, is_primary: bool) -> None:
        decoded = self.fleet.profile.format.decode_key(key)
        wait(self.fleet.director.register_ecu(vehicle=vehicle, ecu=ecu, key=decoded, is_primary=is_primary))

    def attest(self, nonces: Sequence[int]) -> bytes:
        self._check("Timeserver")
        self.nonces = list(nonces)
        return self.fleet.timeserver.attest(nonces, self.fleet.now)


class SecondaryLink:
    """The way from a Secondary to its Primary."""

    def __init__(self, secondaries: Secondaries) -> None:
        self.secondaries = secondaries
        self.swapped_image: tuple[str, bytes] | None = None
        self.swapped_bundle: bytes | None = None
        self.swapped_attestation: bytes | None = None

    def register_secondary(self, ecu: EcuIdentifier, key: bytes) -> None:
        self.secondaries.register_new_secondary(ecu, key)

    def submit_report(self, vehicle: VehicleIdentifier, ecu: EcuIdentifier, nonce: int, report: bytes) -> None:
        self.secondaries.register_ecu_manifest(vehicle, ecu, nonce, report)

    def time_attestation(self, ecu: EcuIdentifier) -> bytes:
        return self.swapped_attestation or self.secondaries.get_time_attestation_for_ecu(ecu)

    def metadata(self, ecu: EcuIdentifier) -> bytes:
        return self.swapped_bundle or self.secondaries.get_metadata(ecu)

    def update_exists(self, ecu: EcuIdentifier) -> bool:
        return self.secondaries.update_exists_for_ecu(ecu)

    def image(self, ecu: EcuIdentifier) -> tuple[str, bytes] | None:
        return self.swapped_image or self.secondaries.get_image(ecu)


class Vehicle:
    """A Primary and one Secondary, provisioned from what a fleet has published, and registered."""

    def __init__(
        self,
        fleet: Fleet,
        vin: VehicleIdentifier = VIN,
        primary: EcuIdentifier = PRIMARY,
        secondary: EcuIdentifier = TCU,
        *,
        refetch_images: bool = False,
    ) -> None:
        if vin not in fleet.metadata:
            fleet.add_vehicle(vin)
        self.fleet, self.vin = fleet, vin
        self.links = Links(fleet, vin)
        self.said: list[str] = []
        self._nonces = itertools.count(1)
        self.primary_store, self.primary_slots = MemoryEcuStore(), MemoryImageSlots()
        self.primary_signer, self.secondary_signer = new_signer(), new_signer()
        memory = self.provision(primary, self.primary_store, self.primary_slots)
        self.primary_world = PrimaryWorld(
            repositories=self.links,
            mirrors=[self.links],
            director=self.links,
            timeserver=self.links,
            slots=self.primary_slots,
            new_nonce=lambda: next(self._nonces),
            say=self.said.append,
        )
        self.refetch_images = refetch_images
        self.primary = Primary(memory, self.primary_signer, self.primary_world, refetch_images=refetch_images)
        key = fleet.profile.format.encode_key(self.primary_signer.key)
        self.links.register_ecu(vin, primary, key, is_primary=True)
        self.secondary_store, self.secondary_slots = MemoryEcuStore(), MemoryImageSlots()
        self.link = SecondaryLink(self.primary.secondaries)
        memory = self.provision(secondary, self.secondary_store, self.secondary_slots)
        world = SecondaryWorld(
            primary=self.link,
            slots=self.secondary_slots,
            new_nonce=lambda: next(self._nonces),
            say=self.said.append,
        )
        self.secondary = Secondary(memory, self.secondary_signer, world)
        key = fleet.profile.format.encode_key(self.secondary_signer.key)
        self.links.register_ecu(vin, secondary, key, is_primary=False)
        self.link.register_secondary(secondary, key)
        self.secondary.send_report()

    def provision(self, ecu: EcuIdentifier, store: MemoryEcuStore, slots: MemoryImageSlots) -> EcuMemory:
        """Makes an ECU in the factory."""
        moment: datetime = self.fleet.now
        what = Provisioning(
            vehicle=self.vin,
            ecu=ecu,
            repository_map=RepositoryMap.basic(
                director=MappedRepository(name=DIRECTOR, kind=RepositoryKind.DIRECTOR, urls=("http://127.0.0.1/",)),
                image_repository=MappedRepository(
                    name=IMAGES, kind=RepositoryKind.IMAGE, urls=("http://127.0.0.1/",)
                ),
            ),
            timeserver_key=self.fleet.time_key.key,
            roles=self.fleet.roles(self.vin),
            time=moment,
            counter=int(moment.timestamp() * 1_000_000),
            nonce=next(self._nonces),
            installed=ImageFile(
                path=ImagePath("factory.img"), length=len(FACTORY), digests=Digests.of(FACTORY, ("sha256", "sha512"))
            ),
        )
        with slots.receive(INSTALLED) as writer:
            writer.write(FACTORY)
            writer.keep()
        return provision(store, self.fleet.profile, what)

    def restart_primary(self) -> None:
        """The Primary comes up again from its memory."""
        memory = EcuMemory(self.primary_store, self.fleet.profile)
        self.primary = Primary(
            memory, self.primary_signer, self.primary_world, refetch_images=self.refetch_images
        )
        self.link.secondaries = self.primary.secondaries

    def running(self, slots: MemoryImageSlots | None = None) -> bytes:
        """The image that the Secondary (or the ECU with these slots) runs."""
        chunks = (slots or self.secondary_slots).chunks(INSTALLED)
        assert chunks is not None
        return b"".join(chunks)

    def trusted(self) -> dict[str, bytes]:
        """What the Primary trusts of both repositories, byte for byte."""
        return {name: self.primary_store.read(name) or b"" for name in self.primary_store.names("repository/")}


def signer_of(vehicle: Vehicle) -> KeySigner:
    """The Primary's key."""
    return vehicle.primary_signer
