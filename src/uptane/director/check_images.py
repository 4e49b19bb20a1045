"""A Director directs no image that the Image repository does not list, and none that is for other hardware (TH-40)."""

from collections.abc import Sequence
from datetime import datetime

from uptane.director.ports import EcuRecord, ImageCatalog
from uptane.metadata.errors import ImageNotListedError
from uptane.metadata.targets import Image, Targets
from uptane.verification.match_images import EcuFacts, check_hardware, check_match, hardware_of


class UnsafeNoCatalog:
    """A Director that sees no Image repository and signs for whatever it is told to: vehicles will refuse the rest.

    The demonstration has it, since its intruder directs evil images with stolen keys, and since its images may be
    assigned before the Image repository publishes them.
    """


UNSAFE_NO_CATALOG = UnsafeNoCatalog()


def check_fits(image: Image, ecus: Sequence[EcuRecord]) -> None:
    """Raises HardwareMismatchError when an image is for other hardware than one of these ECUs (STD-5.3.2.2-11).

    An ECU whose hardware is not on record may get any.
    """
    for ecu in ecus:
        check_hardware(image, ecu.ecu, EcuFacts(hardware_id=ecu.hardware_id))


async def check_images(
    catalog: ImageCatalog | UnsafeNoCatalog, targets: Targets, ecus: Sequence[EcuRecord], now: datetime
) -> None:
    """Checks what a vehicle is to be directed, before it is signed.

    Raises:
        HardwareMismatchError: an image is for other hardware.
        ImageNotListedError: the Image repository lists no image of that name.
        RepositoryMismatchError: it lists another length, other hashes or other must-match data.
        SecurityError, UnreachableError: what the Image repository publishes does not verify, or is not there.
    """
    records = {ecu.ecu: ecu for ecu in ecus}
    images = dict(targets.images)
    for image in images.values():
        check_fits(image, [records[ecu] for ecu in image.custom.ecus])
    if isinstance(catalog, UnsafeNoCatalog) or not targets.images:
        return
    facts = {ecu.ecu: EcuFacts(hardware_id=ecu.hardware_id) for ecu in ecus}
    listed = await catalog.look_up({path: hardware_of(image, facts) for path, image in images.items()}, now)
    for path, image in images.items():
        if path not in listed:
            raise ImageNotListedError(
                f"the Image repository lists no image {path} for this hardware, so it is not directed",
                next_step="Publish it on the Image repository first.",
                image=path,
            )
        check_match(image, listed[path])
