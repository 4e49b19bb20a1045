"""Which images a role may list, and its content when it lists several new ones together."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from msgspec import structs

from uptane.formats.profile import Profile
from uptane.image_repository.authority import Contents, has_authority
from uptane.image_repository.uploads import check_release
from uptane.metadata.errors import FormatError, ProvisioningError
from uptane.metadata.identifiers import ImagePath, RoleName
from uptane.metadata.targets import Custom, Image, Targets


@dataclass(frozen=True, slots=True, kw_only=True)
class NewImage:
    """An image of a release.

    Args:
        image: its name, length and hashes, and what is said of it.
        chunks: opens its bytes, in pieces; None for an image that is listed and not stored, as nobody may download it
            in plain (AMB-15).
    """

    image: Image
    chunks: Callable[[], Iterable[bytes]] | None


def content_of(contents: Contents, role: RoleName) -> Targets:
    """What a role lists; raises ProvisioningError where nobody delegates to it."""
    if role not in contents:
        raise ProvisioningError(f"nobody delegates to role {role}", next_step="Delegate to it first.", role=role)
    return contents[role]


def check_may_list(
    contents: Contents, role: RoleName, path: ImagePath, custom: Custom, *, unsafe_lower_release: bool = False
) -> None:
    """Whether a role may list an image.

    Raises:
        ProvisioningError: no chain of delegations leads to that role for that path and hardware (STD-5.3.1-5).
        ImageRollbackError: the release counter is lower than that of the image it takes the place of, in this role or
            in another one, or missing where that one has one (STD-5.2.3.1.1-4); not with `unsafe_lower_release`.
    """
    content_of(contents, role)
    if not has_authority(contents, role, path, custom.must_match.hardware_ids):
        raise ProvisioningError(
            f"role {role} has no authority over {path}",
            next_step="Delegate a pattern that covers this path to it, and to every role above it.",
            role=role,
            image=path,
        )
    if not unsafe_lower_release:
        check_release(contents, role, path, custom)


def with_images(profile: Profile, contents: Contents, role: RoleName, images: Sequence[NewImage]) -> Targets:
    """What a role lists with new images in place of earlier ones of the same names.

    Raises:
        ProvisioningError, ImageRollbackError: as `check_may_list` does.
        FormatError: the profile cannot carry a name or custom data, or a name stands twice.
    """
    targets = content_of(contents, role)
    new = {each.image.file.path: each.image for each in images}
    if len(new) != len(images):
        raise FormatError("two images of one release have the same name", field="image path")
    for path, image in new.items():
        check_may_list(contents, role, path, image.custom)
    profile.check_writable(new)
    return structs.replace(targets, images=dict(targets.images) | new)
