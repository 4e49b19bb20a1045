"""Production servers from their settings: which concrete classes they are made of."""

import hashlib
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial

from sqlalchemy.ext.asyncio import AsyncEngine

from uptane.assembly.settings import Settings
from uptane.director.director import Director
from uptane.director.encrypting import ImageEncryption
from uptane.director.vehicle_cache import VehicleCache
from uptane.image_repository.repository import ImageRepository
from uptane.metadata.errors import ProvisioningError
from uptane.metadata.identifiers import VehicleIdentifier
from uptane.metadata.keys import KeyIdRule
from uptane.metadata.root import Role, Root
from uptane.services.metrics import SIGNATURES
from uptane.signing.publish import new_root
from uptane.signing.signer import KeySigner, PrivateKey
from uptane.storage.certificate_authority import CertificateAuthority
from uptane.storage.folders import ImageFolder, PublishedFolder
from uptane.storage.image_catalog import VerifiedImageCatalog
from uptane.storage.incoming import turn
from uptane.storage.key_files import KeyFolder
from uptane.storage.object_images import ImageObjects
from uptane.storage.objects import PublishedObjects
from uptane.storage.places import Place, open_place
from uptane.storage.sql.contacts import SqlContacts
from uptane.storage.sql.fleet import SqlFleet
from uptane.storage.sql.inventory import SqlInventory, open_existing_inventory, open_inventory
from uptane.storage.sql.metadata import SqlPublished
from uptane.timeserver.timeserver import Timeserver
from uptane.verification.trusted import Held

DIRECTOR, IMAGE_REPOSITORY = "director", "image-repository"
TIMESERVER_KEY = "timeserver"

LISTED_FOR = timedelta(seconds=1)
"""How long the Director believes an entry of the Image repository that it has verified."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Systems:
    """The three systems, over their stores.

    Args:
        settings: what they were made from.
        inventory: the Director's database.
        engine: of that database.
        cache: what the Director remembers of vehicles, while it is told of changes by others.
        contacts: when vehicles were last heard of.
        director, image_repository, timeserver: the systems.
        image_metadata, images: what the Image repository publishes.
        place: where that is, and the images that the Director hosts.
    """

    settings: Settings
    inventory: SqlInventory
    engine: AsyncEngine
    cache: VehicleCache
    contacts: SqlContacts
    director: Director
    image_repository: ImageRepository
    timeserver: Timeserver
    image_metadata: PublishedFolder | PublishedObjects
    images: ImageFolder | ImageObjects
    place: Place

    def director_metadata(self, vehicle: VehicleIdentifier) -> SqlPublished:
        """What the Director publishes for a vehicle."""
        return SqlPublished(self.engine, vehicle)

    def hosted_images(self, vehicle: VehicleIdentifier) -> ImageFolder | ImageObjects:
        """The images that the Director hosts for a vehicle, each readable by some of its ECUs alone."""
        return hosted_images(self.place, vehicle)


def storage_of(settings: Settings) -> Place:
    """Where the Image repository publishes."""
    url = settings.storage.url
    return open_place(
        url if "://" in url else settings.place(url), unsafe_plain_http=settings.storage.unsafe_plain_http
    )


def hosted_images(place: Place, vehicle: VehicleIdentifier) -> ImageFolder | ImageObjects:
    """Where the Director's images for a vehicle are: beside those of the Image repository, in a place of its own."""
    return place.images(*hosted_folder(vehicle))


def hosted_folder(vehicle: VehicleIdentifier) -> tuple[str, str]:
    """Its folder, named by a hash: identifiers may have characters and lengths that no folder can have."""
    return "hosted", hashlib.sha256(vehicle.encode()).hexdigest()


def utc_now() -> datetime:
    """The time of this machine, UTC."""
    return datetime.now(UTC)


def signer(settings: Settings, name: str) -> KeySigner:
    """A key of the settings' folder; ProvisioningError where it is missing."""
    keys = KeyFolder(settings.place(settings.keys.folder))
    if keys.public(name) is None:
        raise ProvisioningError(
            f"the key {name} is not in {settings.place(settings.keys.folder)}",
            next_step="Restore it from a backup, or make new servers with: uptane init FOLDER.",
            name=name,
        )
    return _CountedSigner(keys.load_or_generate(name), settings.profile.format.key_id_rule, name)


class _CountedSigner(KeySigner):
    """Counts its signatures, for `/metrics`."""

    def __init__(self, private_key: PrivateKey, id_rule: KeyIdRule, name: str) -> None:
        super().__init__(private_key, id_rule)
        self._count = SIGNATURES.labels(name)

    def sign(self, message: bytes) -> bytes:
        """See `KeySigner`."""
        self._count.inc()
        return super().sign(message)


def make_keys(settings: Settings) -> None:
    """Makes every key that is not there yet."""
    keys = KeyFolder(settings.place(settings.keys.folder))
    for name in (*(f"{system}-{role}" for system in (DIRECTOR, IMAGE_REPOSITORY) for role in Role), TIMESERVER_KEY):
        keys.load_or_generate(name)


def signers_of(settings: Settings, system: str) -> dict[Role, KeySigner]:
    """The keys of a repository's four roles."""
    return {role: signer(settings, f"{system}-{role}") for role in Role}


def signers_at_hand(settings: Settings, system: str) -> dict[Role, KeySigner]:
    """The keys of Snapshot and Timestamp, and those of Root and Targets where nobody has taken them away.

    Raises:
        ProvisioningError: the key of Snapshot or Timestamp is missing.
    """
    folder = settings.place(settings.keys.folder)
    kept = (role for role in (Role.ROOT, Role.TARGETS) if (folder / f"{system}-{role}").exists())
    return {role: signer(settings, f"{system}-{role}") for role in (*kept, Role.SNAPSHOT, Role.TIMESTAMP)}


def root_of(signers: dict[Role, KeySigner]) -> Root:
    """A first Root with these keys."""
    return new_root({role: [key] for role, key in signers.items()})


@asynccontextmanager
async def open_systems(settings: Settings) -> AsyncIterator[Systems]:
    """The systems over their stores, which exist.

    Raises:
        StorageError: a store cannot be opened, or is of another revision.
        ProvisioningError: a key or the Image repository's first Root is missing.
    """
    inventory = await open_existing_inventory(settings.database_url)
    try:
        async with _fleet(inventory) as fleet:
            yield await _systems(settings, inventory, fleet)
    finally:
        await inventory.dispose()


@asynccontextmanager
async def _fleet(inventory: SqlInventory) -> AsyncIterator[SqlFleet]:
    if inventory.engine.dialect.name != "postgresql":
        yield SqlFleet(inventory.engine)
        return
    from uptane.storage.sql.postgresql_fleet import PostgresqlFleet

    async with PostgresqlFleet(inventory.engine).open() as fleet:
        yield fleet


def _image_repository(
    settings: Settings, place: Place
) -> tuple[ImageRepository, PublishedFolder | PublishedObjects, ImageFolder | ImageObjects]:
    """The Image repository over its stores; of several processes that publish at the same time, one does."""
    metadata, images = place.metadata("metadata"), place.images("targets")
    taken = metadata.turn if isinstance(metadata, PublishedObjects) else partial(turn, metadata.root.parent)
    return ImageRepository(profile=settings.profile, metadata=metadata, images=images, turn=taken), metadata, images


async def _systems(settings: Settings, inventory: SqlInventory, fleet: SqlFleet) -> Systems:
    profile = settings.profile
    place = storage_of(settings)
    repository, metadata, images = _image_repository(settings, place)
    repository.add_signers(signers_at_hand(settings, IMAGE_REPOSITORY).values())
    first = await metadata.read(profile.metadata_name(Role.ROOT, 1))
    if first is None:
        raise ProvisioningError(
            f"the Image repository in {settings.storage.url} has published nothing",
            next_step="Make servers with: uptane init FOLDER.",
        )
    keys, engine, cache = signers_of(settings, DIRECTOR), inventory.engine, VehicleCache()
    director = Director(
        profile=profile,
        inventory=inventory,
        metadata=lambda vehicle: SqlPublished(engine, vehicle),
        root=root_of(keys),
        catalog=VerifiedImageCatalog(
            published=metadata, profile=profile, held=Held(root=first), believed_for=LISTED_FOR
        ),
        encryption=ImageEncryption(hosted=partial(hosted_images, place), random_bytes=secrets.token_bytes),
        fleet=fleet,
        cache=cache,
    )
    director.add_signers(keys.values())
    return Systems(
        settings=settings,
        inventory=inventory,
        engine=engine,
        cache=cache,
        contacts=SqlContacts(engine),
        director=director,
        image_repository=repository,
        timeserver=Timeserver(profile, signer(settings, TIMESERVER_KEY)),
        image_metadata=metadata,
        images=images,
        place=place,
    )


async def initialise(settings: Settings) -> None:
    """Makes keys, authority, tables and the Image repository's first metadata, each where it is missing."""
    for name in (settings.database_url, settings.storage.url):
        if "://" not in name:
            settings.place(name).parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    make_keys(settings)
    CertificateAuthority.in_folder(settings.place(settings.certificates.folder), now=utc_now())
    inventory = await open_inventory(settings.database_url)
    await inventory.dispose()
    repository, metadata, _ = _image_repository(settings, storage_of(settings))
    keys = signers_of(settings, IMAGE_REPOSITORY)
    repository.add_signers(keys.values())
    if await metadata.read(settings.profile.metadata_name(Role.ROOT, 1)) is None:
        repository.stage_root(root_of(keys))
        await repository.publish(utc_now())
