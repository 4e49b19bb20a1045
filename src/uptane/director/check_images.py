"""A Director directs no image that the Image repository does not list, and none that is for other hardware (TH-40)."""

from collections.abc import Sequence
from datetime import datetime
from functools import lru_cache

from uptane.director.ports import EcuRecord, ImageCatalog
from uptane.metadata.errors import ImageNotListedError
from uptane.metadata.identifiers import HardwareIdentifier
from uptane.metadata.targets import Image, Targets, images_with_ecus
from uptane.verification.match_images import (
    EcuFacts,
    check_directed_hardware,
    check_hardware,
    check_match,
    directed_hardware,
)


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
        check_hardware(image, ecu.ecu, _facts(ecu.hardware_id))


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
    facts = {ecu.ecu: _facts(ecu.hardware_id) for ecu in ecus}
    images = list(images_with_ecus(targets.images))
    for _, image, named in images:
        for ecu, said in named.items():
            check_directed_hardware(image, said, ecu, facts[ecu])
    if isinstance(catalog, UnsafeNoCatalog) or not images:
        return
    listed = await catalog.look_up({path: directed_hardware(named, facts) for path, _, named in images}, now)
    for path, image, _ in images:
        if path not in listed:
            raise ImageNotListedError(
                f"the Image repository lists no image {path} for this hardware, so it is not directed",
                next_step="Publish it on the Image repository first.",
                image=path,
            )
        check_match(image, listed[path])


@lru_cache(maxsize=1024)
def _facts(hardware: HardwareIdentifier | None) -> EcuFacts:
    return EcuFacts(hardware_id=hardware)
