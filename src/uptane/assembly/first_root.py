"""The Image repository's first Root, which servers keep beside their keys: all that it publishes follows from that."""

from pathlib import Path

from uptane.assembly.settings import Settings
from uptane.metadata.errors import ProvisioningError
from uptane.metadata.root import Role
from uptane.signing.ports import MetadataStore
from uptane.storage.pinned_root import PinnedRoot, read_pin


def name_of_first(settings: Settings) -> str:
    """Its name in the published metadata."""
    return settings.profile.metadata_name(Role.ROOT, 1)


def pin_of(settings: Settings) -> Path:
    """The file that has it."""
    return settings.place(settings.keys.folder) / f"image-repository-first-root.{settings.profile.format.extension}"


def under_first_root(settings: Settings, published: MetadataStore) -> PinnedRoot:
    """The published metadata under the first Root that was kept; ProvisioningError where it was not."""
    first = read_pin(pin_of(settings))
    if first is None:
        raise ProvisioningError(
            f"the first Root of the Image repository is not in {pin_of(settings)}: whoever can write to "
            f"{settings.storage.url} could put another one in its place",
            next_step=f"Bring that file from where uptane init ran, or {name_of_first(settings)} from a backup.",
        )
    return PinnedRoot(published, name_of_first(settings), first)
