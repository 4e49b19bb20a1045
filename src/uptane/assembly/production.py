"""Production servers from their settings: which concrete classes they are made of."""

import hashlib
import secrets
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from functools import cached_property, partial
from pathlib import Path

from sqlalchemy.ext.asyncio import AsyncEngine

from uptane.assembly.first_root import first_root_to_keep, kept_first_root, name_of_first, pin_of
from uptane.assembly.floor import floor_of, require_no_floor
from uptane.assembly.settings import Settings
from uptane.director.director import Director
from uptane.director.encrypting import ImageEncryption
from uptane.director.vehicle_cache import VehicleCache
from uptane.image_repository.newest import Newest
from uptane.image_repository.ports import Turn
from uptane.image_repository.repository import ImageRepository
from uptane.image_repository.seen import Seen
from uptane.metadata.errors import ProvisioningError
from uptane.metadata.identifiers import VehicleIdentifier
from uptane.metadata.keys import KeyIdRule, PublicKey
from uptane.metadata.root import Role, Root
from uptane.services.metrics import SIGNATURES
from uptane.signing.ports import MetadataStore
from uptane.signing.publish import Draft, Publisher, new_root
from uptane.signing.signer import KeySigner, PrivateKey
from uptane.storage.certificate_authority import CertificateAuthority
from uptane.storage.folders import ImageFolder, PublishedFolder
from uptane.storage.image_catalog import VerifiedImageCatalog
from uptane.storage.incoming import turn
from uptane.storage.key_files import PUBLIC, KeyFolder
from uptane.storage.object_images import ImageObjects
from uptane.storage.objects import PublishedObjects
from uptane.storage.pinned_root import PinnedRoot, missing_first_root, write_pin
from uptane.storage.places import Place, open_place
from uptane.storage.sql.contacts import SqlContacts
from uptane.storage.sql.fleet import SqlFleet
from uptane.storage.sql.inventory import SqlInventory, open_existing_inventory, open_inventory
from uptane.storage.sql.metadata import SqlPublished
from uptane.timeserver.timeserver import Timeserver
from uptane.verification.trusted import Held


class System(StrEnum):
    """The systems, each of which can run in a process of its own."""

    DIRECTOR = "director"
    IMAGE_REPOSITORY = "image-repository"
    TIMESERVER = "timeserver"


DIRECTOR, IMAGE_REPOSITORY = System.DIRECTOR.value, System.IMAGE_REPOSITORY.value
TIMESERVER_KEY = "timeserver"

LISTED_FOR = timedelta(seconds=1)
"""How long the Director believes an entry of the Image repository that it has verified."""


class Systems:
    """The three systems, over their stores.

    Each system is made when it is first asked for, and its private keys are read then: where it runs alone, or a
    command needs it alone, no others have to be here.

    Args:
        settings: what they are made from.
        inventory: the Director's database.
        fleet: reads of that database that concern many records.
        first_root: the Image repository's first Root; None where neither it nor the Director runs here.
    """

    def __init__(
        self, settings: Settings, inventory: SqlInventory, fleet: SqlFleet, first_root: bytes | None = None
    ) -> None:
        self.settings = settings
        self.inventory = inventory
        self.engine: AsyncEngine = inventory.engine
        """Of the Director's database."""
        self.cache = VehicleCache()
        """What the Director remembers of vehicles, while it is told of changes by others."""
        self.contacts = SqlContacts(self.engine)
        """When vehicles were last heard of."""
        self.place = storage_of(settings)
        """Where the Image repository publishes, and the images that the Director hosts."""
        self.image_metadata, self.images = _published(self.place)
        """As anybody may have written it; `pinned_metadata` is what is built on."""
        self.newest = Newest(floor_of(settings))
        """What this machine has seen the Image repository publish."""
        self._fleet = fleet
        self._first_root = first_root

    def require(self, which: frozenset[System]) -> None:
        """Makes these systems; raises ProvisioningError where a key of one is missing."""
        made: dict[System, Callable[[], object]] = {
            System.DIRECTOR: lambda: self.director,
            System.IMAGE_REPOSITORY: lambda: self.image_repository,
            System.TIMESERVER: lambda: self.timeserver,
        }
        for system in sorted(which):
            made[system]()

    @cached_property
    def director(self) -> Director:
        """The Director; ProvisioningError where a key of it is missing."""
        keys = signers_at_hand(self.settings, DIRECTOR)
        director = Director(
            profile=self.settings.profile,
            inventory=self.inventory,
            metadata=self.director_metadata,
            root=root_of(keys) if Role.ROOT in keys else None,
            catalog=self.catalog(believed_for=LISTED_FOR),
            encryption=ImageEncryption(hosted=self.hosted_images, random_bytes=secrets.token_bytes),
            fleet=self._fleet,
            cache=self.cache,
        )
        director.add_signers(keys.values())
        return director

    @cached_property
    def image_repository(self) -> ImageRepository:
        """The Image repository; ProvisioningError where the key of Snapshot or Timestamp is missing."""
        repository = ImageRepository(
            profile=self.settings.profile,
            metadata=self.pinned_metadata,
            images=self.images,
            turn=turn_of(self.image_metadata),
            newest=self.newest,
        )
        repository.add_signers(signers_at_hand(self.settings, IMAGE_REPOSITORY).values())
        return repository

    @cached_property
    def timeserver(self) -> Timeserver:
        """The Timeserver; ProvisioningError where its key is missing."""
        return Timeserver(self.settings.profile, signer(self.settings, TIMESERVER_KEY))

    @property
    def timeserver_key(self) -> PublicKey:
        """What verifies the Timeserver's attestations; ProvisioningError where it is missing."""
        return public_key(self.settings, TIMESERVER_KEY)

    def catalog(self, *, believed_for: timedelta = timedelta(0)) -> VerifiedImageCatalog:
        """What the Image repository lists, verified as a vehicle would.

        Args:
            believed_for: how long an entry that was verified is believed.

        Raises:
            ProvisioningError: it has published nothing.
        """
        if self._first_root is None:
            raise nothing_published(self.settings)
        return VerifiedImageCatalog(
            published=self.image_metadata,
            profile=self.settings.profile,
            held=Held(root=self._first_root),
            believed_for=believed_for,
        )

    @property
    def pinned_metadata(self) -> MetadataStore:
        """What the Image repository publishes, under its first Root; ProvisioningError where that is nothing."""
        if self._first_root is None:
            raise nothing_published(self.settings)
        return PinnedRoot(self.image_metadata, name_of_first(self.settings), self._first_root)

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
    folder = settings.place(settings.keys.folder)
    if not (folder / name).exists():
        raise _missing(name, folder)
    return _CountedSigner(KeyFolder(folder).load_or_generate(name), settings.profile.format.key_id_rule, name)


def public_key(settings: Settings, name: str) -> PublicKey:
    """The public part of a key, which may be all that is here of it; ProvisioningError where that is missing too."""
    folder = settings.place(settings.keys.folder)
    key = KeyFolder(folder).public(name)
    if key is None:
        raise _missing(name + PUBLIC, folder)
    return key


def _missing(name: str, folder: Path) -> ProvisioningError:
    return ProvisioningError(
        f"the key {name} is not in {folder}",
        next_step="Restore it from a backup, bring it from where it is, or make new servers with: uptane init FOLDER.",
        name=name,
    )


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


OFFLINE: Mapping[str, frozenset[Role]] = {
    DIRECTOR: frozenset({Role.ROOT}),
    IMAGE_REPOSITORY: frozenset({Role.ROOT, Role.TARGETS}),
}
"""The roles whose keys may be kept elsewhere, in each repository: what they sign, servers do not need every day."""


def is_elsewhere(settings: Settings, system: str, role: Role) -> bool:
    """Whether somebody has taken the key of that role away, which may be."""
    return role in OFFLINE[system] and not (settings.place(settings.keys.folder) / f"{system}-{role}").exists()


def signers_at_hand(settings: Settings, system: str) -> dict[Role, KeySigner]:
    """The keys of a repository's roles, but for those that nobody needs and somebody has taken away.

    Raises:
        ProvisioningError: another one is missing.
    """
    at_hand = (role for role in Role if not is_elsewhere(settings, system, role))
    return {role: signer(settings, f"{system}-{role}") for role in at_hand}


def root_of(signers: dict[Role, KeySigner]) -> Root:
    """A first Root with these keys."""
    return new_root({role: [key] for role, key in signers.items()})


@asynccontextmanager
async def open_systems(settings: Settings, which: frozenset[System] | None = None) -> AsyncIterator[Systems]:
    """The systems over their stores, which exist.

    Args:
        settings: what they are made from.
        which: those that run here: their keys are read at once. For a command that asks for what it needs, None.

    Raises:
        StorageError: a store cannot be opened, or is of another revision.
        ProvisioningError: a key or the Image repository's first Root is missing.
    """
    inventory = await open_existing_inventory(settings.database_url)
    try:
        async with _fleet(inventory) as fleet:
            first = None if which == frozenset({System.TIMESERVER}) else await _first_root(settings)
            systems = Systems(settings, inventory, fleet, first)
            systems.require(which or frozenset())
            yield systems
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


def _published(place: Place) -> tuple[PublishedFolder | PublishedObjects, ImageFolder | ImageObjects]:
    """The metadata and the images of the Image repository."""
    return place.metadata("metadata"), place.images("targets")


def turn_of(metadata: PublishedFolder | PublishedObjects) -> Turn:
    """Of several processes that publish at the same time, one does; it has to be the store that is published to."""
    return metadata.turn if isinstance(metadata, PublishedObjects) else partial(turn, metadata.root.parent)


async def _first_root(settings: Settings) -> bytes:
    """What the servers were made with; where that was not kept, what is published. `uptane doctor` tells of that."""
    kept = kept_first_root(settings)
    metadata, _ = _published(storage_of(settings))
    published = await metadata.read(name_of_first(settings))
    if published is None:
        if kept is not None:
            raise missing_first_root(name_of_first(settings))
        await require_no_floor(settings)
        raise nothing_published(settings)
    return published if kept is None else kept


def nothing_published(settings: Settings) -> ProvisioningError:
    """The error for an Image repository that is empty."""
    return ProvisioningError(
        f"the Image repository in {settings.storage.url} has published nothing",
        next_step="Make servers with: uptane init FOLDER.",
    )


async def initialise(settings: Settings) -> None:
    """Makes keys, authority, tables and the Image repository's first metadata, each where it is missing.

    Raises:
        StorageError: the store has a first Root that is not these servers', and nothing was made; or a store cannot be
            used.
        SettingsError: these servers were made with another format; nothing was made.
    """
    is_empty = await _first_root_to_keep(settings) is None
    for name in (settings.database_url, settings.storage.url):
        if "://" not in name:
            settings.place(name).parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    make_keys(settings)
    CertificateAuthority.in_folder(settings.place(settings.certificates.folder), now=utc_now())
    inventory = await open_inventory(settings.database_url)
    await inventory.dispose()
    if is_empty:
        await _begin(settings)
    first = await _first_root_to_keep(settings)
    if first is None:
        raise nothing_published(settings)
    write_pin(pin_of(settings), first)


async def _begin(settings: Settings) -> None:
    """The first publication of an Image repository; nothing, where somebody has published by now.

    What lies in the store is never built on here: no first Root is kept yet that would tell whose it is.
    """
    metadata, _ = _published(storage_of(settings))
    keys = signers_of(settings, IMAGE_REPOSITORY)
    keyring = {signer.key.key_id: signer for signer in keys.values()}
    publisher = Publisher(store=metadata, profile=settings.profile, keyring=keyring)
    async with turn_of(metadata)():
        await require_no_floor(settings)
        if await metadata.read(name_of_first(settings)) is None:
            published = await publisher.publish(None, Draft(root=root_of(keys)), utc_now())
            await floor_of(settings).raise_to(Seen.of(published))


async def _first_root_to_keep(settings: Settings) -> bytes | None:
    """What is published first, where it is these servers' own; StorageError where it is not."""
    metadata, _ = _published(storage_of(settings))
    folder = KeyFolder(settings.place(settings.keys.folder))
    keys = {role: folder.public(f"{IMAGE_REPOSITORY}-{role}") for role in Role}
    return await first_root_to_keep(settings, metadata, keys)
