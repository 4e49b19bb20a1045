"""The three services over folders and an SQL database: which concrete classes they are made of."""

import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from uptane.director.check_images import UnsafeNoCatalog
from uptane.director.dependencies import read_dependencies
from uptane.director.director import Director
from uptane.director.encrypting import ImageEncryption
from uptane.director.ports import ImageCatalog
from uptane.formats.profile import Profile
from uptane.image_repository.repository import ImageRepository
from uptane.metadata.errors import FormatError
from uptane.metadata.identifiers import VehicleIdentifier
from uptane.metadata.root import Root
from uptane.services.asgi import host_names
from uptane.services.static_files import PublishedFiles, StaticFiles, mounts, mounts_by_vehicle
from uptane.storage.folders import ImageFolder, PublishedFolder
from uptane.storage.image_catalog import VerifiedImageCatalog
from uptane.storage.incoming import WaitingFolder, turn
from uptane.storage.sql.inventory import SqlInventory, open_inventory
from uptane.verification.trusted import Held

if TYPE_CHECKING:
    from uptane.storage.object_images import ImageObjects


def image_repository_over_folder(profile: Profile, folder: Path) -> ImageRepository:
    """An Image repository that publishes into `metadata/` and `targets/` of a folder.

    Uploads wait in `waiting/` for more signatures. While one process publishes, others that try are refused.
    """
    return ImageRepository(
        profile=profile,
        metadata=PublishedFolder(folder / "metadata"),
        images=ImageFolder(folder / "targets"),
        waiting=WaitingFolder(folder / "waiting"),
        turn=lambda: turn(folder),
    )


def image_catalog_over_folder(profile: Profile, folder: Path, root: bytes) -> VerifiedImageCatalog:
    """What an Image repository publishes into `metadata/` of a folder, verified from a trusted Root on."""
    return VerifiedImageCatalog(published=PublishedFolder(folder / "metadata"), profile=profile, held=Held(root=root))


@dataclass(frozen=True, slots=True, kw_only=True)
class RunningDirector:
    """A Director with what it stands on.

    Args:
        director: the front desk.
        images: gives the place of images that the Director hosts for a vehicle.
        inventory: its database.
    """

    director: Director
    images: "Callable[[VehicleIdentifier], ImageFolder | ImageObjects]"
    inventory: SqlInventory

    async def close(self) -> None:
        """Closes the database."""
        await self.inventory.dispose()


async def director_over_folder(
    profile: Profile, folder: Path, root: Root, *, catalog: ImageCatalog | UnsafeNoCatalog
) -> RunningDirector:
    """A Director that publishes into `VIN/metadata/` and `VIN/targets/`, its inventory in SQLite beside them.

    What images require of each other stands in `dependencies.txt` there, if anywhere; see `read_dependencies`.

    Raises:
        FormatError: a line of that file is no dependency.
    """
    rules = folder / "dependencies.txt"
    dependencies = read_dependencies(rules.read_text(encoding="utf-8")) if rules.exists() else ()
    inventory = await open_inventory(folder / "inventory.sqlite")

    def images(vehicle: VehicleIdentifier) -> ImageFolder:
        return ImageFolder(folder / vehicle / "targets")

    director = Director(
        profile=profile,
        inventory=inventory,
        metadata=lambda vehicle: PublishedFolder(folder / vehicle / "metadata"),
        root=root,
        catalog=catalog,
        dependencies=dependencies,
        encryption=ImageEncryption(hosted=images, random_bytes=secrets.token_bytes),
    )
    return RunningDirector(director=director, images=images, inventory=inventory)


def folder_site(profile: Profile, folder: Path) -> StaticFiles:
    """An HTTP application that serves `metadata/` and `targets/` of a folder, and nothing else of it."""
    return StaticFiles(mounts(_published(folder)), allowed_hosts=host_names(profile))


def director_site(profile: Profile, folder: Path) -> StaticFiles:
    """An HTTP application that serves `VIN/metadata/` and `VIN/targets/` of every vehicle in a folder."""

    def folders_of(vin: str) -> Mapping[str, PublishedFiles] | None:
        try:
            return _published(folder / VehicleIdentifier(vin))
        except FormatError:
            return None

    return StaticFiles(mounts_by_vehicle(folders_of), allowed_hosts=host_names(profile))


def _published(folder: Path) -> Mapping[str, PublishedFiles]:
    return {"metadata": PublishedFolder(folder / "metadata"), "targets": ImageFolder(folder / "targets")}
