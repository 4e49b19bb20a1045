"""Downloads one image from the first mirror that gives exactly the listed bytes."""

from collections.abc import Callable, Sequence

from uptane.formats.profile import Profile
from uptane.metadata.errors import SecurityError, UnreachableError, UptaneError
from uptane.metadata.targets import Image
from uptane.vehicle.installation import slot_of
from uptane.vehicle.ports import ImageSlots, ImageSource
from uptane.verification.verify_image import ImageCheck


def download(
    image: Image,
    mirrors: Sequence[ImageSource],
    slots: ImageSlots,
    profile: Profile,
    *,
    say: Callable[[str], None],
    note: Callable[[SecurityError], None],
) -> None:
    """Stores the image in its slot once every byte of it is verified; what is refused is dropped.

    Args:
        image: what signed metadata lists.
        mirrors: the hosts, in the order they are asked.
        slots: where the image is stored.
        profile: the names of files.
        say: is told what happens, line by line.
        note: is told of every attack, also when a later mirror has the genuine image.

    Raises:
        SecurityError: no mirror gave the listed bytes; of several reasons the first attack is told.
        UnreachableError: no mirror had it, and none gave other bytes.
    """
    name = profile.requested_image(image.file.path, image.file.digests.items[0][1])
    reasons: list[UptaneError] = []
    for mirror in mirrors:
        try:
            if _from_mirror(image, name, mirror, slots):
                return
            reasons.append(UnreachableError(f"a mirror does not have {image.file.path}", image=image.file.path))
        except (SecurityError, UnreachableError) as error:
            say(f"Update failed: {type(error).__name__}: {error}")
            reasons.append(error)
            if isinstance(error, SecurityError):
                note(error)
    attacks = [reason for reason in reasons if isinstance(reason, SecurityError)]
    say(f"Failed to update {image.file.path} from all mirrors: {[type(reason).__name__ for reason in reasons]}")
    raise (
        attacks[0]
        if attacks
        else UnreachableError(
            f"no mirror has image {image.file.path}",
            next_step="Is the image still hosted by the Director or the Image repository?",
            image=image.file.path,
        )
    )


def _from_mirror(image: Image, name: str, mirror: ImageSource, slots: ImageSlots) -> bool:
    check = ImageCheck(image.file)
    with mirror.stream(name, image.file.length) as chunks:
        if chunks is None:
            return False
        with slots.receive(slot_of(image)) as writer:
            for chunk in chunks:
                check.update(chunk)
                writer.write(chunk)
            check.finish()
            writer.keep()
    return True
