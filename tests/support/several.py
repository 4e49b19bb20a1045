"""A fleet with a second Image repository, of a supplier, and vehicles whose map names it."""

from dataclasses import replace
from typing import Any

from fleet import Fleet
from links import wait
from maps import DIRECTOR, IMAGES, PARTS, map_of, mapping
from world import NOW, TCU, VIN

from uptane.formats.profile import Profile
from uptane.image_repository.repository import ImageRepository
from uptane.metadata.identifiers import EcuIdentifier, ImagePath, RepositoryName, VehicleIdentifier
from uptane.metadata.repository_map import RepositoryMap
from uptane.metadata.root import Role
from uptane.metadata.targets import Image
from uptane.signing.publish import new_root
from uptane.storage.memory import MemoryPublished
from uptane.vehicle.provisioning import Provisioning

PART = "parts/abs.img"
EITHER = map_of(mapping("parts/*", DIRECTOR, PARTS), mapping("*", DIRECTOR, IMAGES))


class SeveralFleet(Fleet):
    """A fleet whose vehicles take images under `parts/` from a supplier's repository.

    Args:
        profile: the wire format.
        repository_map: of every vehicle.
    """

    def __init__(self, profile: Profile, repository_map: RepositoryMap = EITHER) -> None:
        super().__init__(profile)
        self.repository_map = repository_map
        self.parts_metadata = MemoryPublished()
        self.parts = ImageRepository(profile=profile, metadata=self.parts_metadata, images=self.image_store)
        self.parts_keys = {role: [self.new_key()] for role in Role}
        self.parts.add_signers(signers[0] for signers in self.parts_keys.values())
        self.parts.stage_root(new_root(self.parts_keys, self.thresholds))
        wait(self.parts.publish(NOW))

    def store(self, repository: RepositoryName, vin: VehicleIdentifier) -> MemoryPublished:
        return self.parts_metadata if repository == PARTS else super().store(repository, vin)

    def add_part(self, content: bytes, path: str = PART) -> Image:
        """The supplier signs and publishes an image."""
        image = wait(self.parts.add_image(ImagePath(path), content))
        wait(self.parts.publish(self.now))
        return image

    def release_part(self, content: bytes, ecu: EcuIdentifier = TCU, path: str = PART) -> Image:
        """The supplier and the Director sign for an image."""
        image = self.add_part(content, path)
        self.direct(image, ecu, VIN)
        return image

    def provisioning(self, vin: VehicleIdentifier, ecu: EcuIdentifier, *other: Any) -> Provisioning:
        made = super().provisioning(vin, ecu, *other)
        roles = dict(made.roles) | {PARTS: {role: self.file(PARTS, role) for role in Role}}
        return replace(made, repository_map=self.repository_map, roles=roles)
