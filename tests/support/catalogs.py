"""A Director's view of the Image repository of a fleet, from the Root on that is published now."""

from fleet import Fleet
from world import IMAGES

from uptane.metadata.root import Role
from uptane.storage.image_catalog import VerifiedImageCatalog
from uptane.verification.trusted import Held


def catalog_of(fleet: Fleet) -> VerifiedImageCatalog:
    """What the fleet's Image repository publishes."""
    root = Held(root=fleet.file(IMAGES, Role.ROOT))
    return VerifiedImageCatalog(published=fleet.image_metadata, profile=fleet.profile, held=root)
