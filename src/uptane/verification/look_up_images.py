"""What an Image repository lists, for a Director that shall not direct anything else (TH-40)."""

from collections.abc import Mapping

from uptane.metadata.errors import ImageNotListedError
from uptane.metadata.identifiers import HardwareIdentifier, ImagePath
from uptane.metadata.targets import Image
from uptane.verification.one_repository import verify_repository
from uptane.verification.resolve_delegations import TargetsOfRepository, resolve
from uptane.verification.steps import Commit, Procedure
from uptane.verification.trusted import Context, Held


def look_up_images(
    context: Context, held: Held, asked: Mapping[ImagePath, frozenset[HardwareIdentifier] | None]
) -> Procedure[Mapping[ImagePath, Image]]:
    """Verifies an Image repository as a vehicle does, and gives its entries for some images.

    Args:
        context: the repository, its profile and the time.
        held: what was trusted of it before.
        asked: the images, each with the hardware that it is for, as far as it is known.

    Returns:
        The entries; an image that no role with authority lists is not among them.

    Raises:
        SecurityError: the metadata does not verify; nothing but new Roots was kept.
        UnreachableError: the repository does not answer, or lacks a file that it lists.
    """
    listed = yield from verify_repository(context, held)
    repository = TargetsOfRepository(context, listed.root, listed.snapshot, listed.targets, held.files)
    found: dict[ImagePath, Image] = {}
    for path, hardware_ids in asked.items():
        try:
            found[path] = yield from resolve(repository, path, hardware_ids)
        except ImageNotListedError:
            continue
    yield Commit({context.repository: listed.files() | repository.files})
    return found
