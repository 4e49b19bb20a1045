"""The three services over folders and an SQL database: which concrete classes they are made of."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from uptane.director.director import Director
from uptane.formats.profile import Profile
from uptane.image_repository.repository import ImageRepository
from uptane.metadata.errors import FormatError
from uptane.metadata.identifiers import VehicleIdentifier
from uptane.metadata.root import Root
from uptane.services.asgi import host_names
from uptane.services.static_files import PublishedFiles, StaticFiles, mounts, mounts_by_vehicle
from uptane.storage.folders import ImageFolder, PublishedFolder
from uptane.storage.sql.inventory import SqlInventory, open_inventory


def image_repository_over_folder(profile: Profile, folder: Path) -> ImageRepository:
    """An Image repository that publishes into `metadata/` and `targets/` of a folder."""
    return ImageRepository(
        profile=profile, metadata=PublishedFolder(folder / "metadata"), images=ImageFolder(folder / "targets")
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class RunningDirector:
    """A Director with what it stands on.

    Args:
        director: the front desk.
        images: gives the folder of images that the Director hosts for a vehicle.
        inventory: its database.
    """

    director: Director
    images: Callable[[VehicleIdentifier], ImageFolder]
    inventory: SqlInventory

    async def close(self) -> None:
        """Closes the database."""
        await self.inventory.dispose()


async def director_over_folder(profile: Profile, folder: Path, root: Root) -> RunningDirector:
    """A Director that publishes into `VIN/metadata/` and `VIN/targets/`, its inventory in SQLite beside them."""
    inventory = await open_inventory(folder / "inventory.sqlite")
    director = Director(
        profile=profile,
        inventory=inventory,
        metadata=lambda vehicle: PublishedFolder(folder / vehicle / "metadata"),
        root=root,
    )
    return RunningDirector(
        director=director, images=lambda vehicle: ImageFolder(folder / vehicle / "targets"), inventory=inventory
    )


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
