"""Do Director and Image repository agree on an image (5.4.4.2, step 10), and may the ECU have it?"""

from collections.abc import Mapping
from dataclasses import dataclass

from uptane.metadata.errors import (
    EndlessDataError,
    HardwareMismatchError,
    ImageNameError,
    ImageRollbackError,
    RepositoryMismatchError,
)
from uptane.metadata.identifiers import EcuIdentifier, HardwareIdentifier, PathPattern, RepositoryName
from uptane.metadata.targets import EcuAssignment, Image, ImageFile

MAX_ENCRYPTION_OVERHEAD = 4096
"""Bytes by which an encrypted form may be longer than its image: a tag or padding, of whatever method."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EcuFacts:
    """What is known of an ECU that may get an image.

    Args:
        hardware_id: its hardware; None where it is not known here.
        is_self: whether it is this ECU that verifies: what it does not know of itself, nobody checks after it.
        release_counter: the highest release counter that it ever installed (AMB-6); None if no image had one.
        image_patterns: names that it may install (AMB-18); every name where there are none.
        installed: the image that it runs, as far as that is known here.
    """

    hardware_id: HardwareIdentifier | None = None
    release_counter: int | None = None
    is_self: bool = False
    image_patterns: tuple[PathPattern, ...] = ()
    installed: ImageFile | None = None


_UNKNOWN = EcuFacts()


def check_match(director: Image, other: Image, repository: RepositoryName | None = None) -> None:
    """Raises RepositoryMismatchError unless both say the same of the image (STD-5.4.4.2-17 to -19a).

    Name, length, the whole set of hashes and all must-match custom data are compared for equality.
    """
    path = director.file.path
    for what, directed, listed in (
        ("length differs", director.file.length, other.file.length),
        ("hashes differ", director.file.digests, other.file.digests),
        ("must-match custom data differ", director.custom.must_match, other.custom.must_match),
    ):
        if directed != listed:
            raise RepositoryMismatchError(
                "The Director has instructed us to download a file that does not exactly match the Image Repository "
                f"metadata. File: {str(path)!r}; the {what}",
                image=path,
                field=what.rpartition(" ")[0],
                expected=listed,
                offered=directed,
                repository=repository,
            )


def check_fits(image: Image, ecu: EcuIdentifier, facts: EcuFacts) -> None:
    """Whether the ECU may have an image that both repositories list: hardware, name and release counter."""
    check_encrypted_length(image, ecu)
    check_hardware(image, ecu, facts)
    check_name(image, ecu, facts)
    check_release_counter(image, ecu, facts)


def check_encrypted_length(image: Image, ecu: EcuIdentifier) -> None:
    """Raises EndlessDataError when the encrypted form is far longer than the image, which both repositories sign for.

    Its length is the Director's word alone; a thief of its keys could otherwise fill the disk of a Primary.
    """
    assignment = image.custom.ecus.get(ecu)
    encrypted = None if assignment is None else assignment.encrypted
    if encrypted is not None and encrypted.file.length > image.file.length + MAX_ENCRYPTION_OVERHEAD:
        raise EndlessDataError(
            f"the encrypted form of image {image.file.path} for ECU {ecu} has {encrypted.file.length} bytes, and the "
            f"image {image.file.length}",
            ecu=ecu,
            image=image.file.path,
            expected=image.file.length,
            offered=encrypted.file.length,
        )


def check_name(image: Image, ecu: EcuIdentifier, facts: EcuFacts) -> None:
    """Raises ImageNameError when the ECU may install other names only (STD-5.4.3.4-4, AMB-18)."""
    path = image.file.path
    if facts.image_patterns and not any(pattern.matches(path) for pattern in facts.image_patterns):
        raise ImageNameError(
            f"image {path} is not for ECU {ecu}, which may install {', '.join(facts.image_patterns)} only",
            ecu=ecu,
            image=path,
            expected=facts.image_patterns,
            offered=path,
        )


def check_hardware(image: Image, ecu: EcuIdentifier, facts: EcuFacts) -> None:
    """Raises HardwareMismatchError when the image is for other hardware (STD-5.4.3.4-3).

    An image for some hardware only is refused as well by an ECU that does not know its own.
    """
    check_directed_hardware(image, image.custom.ecus.get(ecu), ecu, facts)


def check_directed_hardware(
    image: Image, assignment: EcuAssignment | None, ecu: EcuIdentifier, facts: EcuFacts
) -> None:
    """`check_hardware` of an image where what the Director says of the ECU is at hand beside it."""
    if facts.hardware_id is None:
        meant_for = image.custom.must_match.hardware_ids
        if facts.is_self and meant_for is not None:
            raise HardwareMismatchError(
                f"image {image.file.path} is for {', '.join(meant_for)}, and ECU {ecu} does not know its hardware",
                next_step="Provision the ECU with its hardware identifier.",
                ecu=ecu,
                image=image.file.path,
                offered=meant_for,
            )
        return
    stated = None if assignment is None or assignment.hardware_id is None else (assignment.hardware_id,)
    for meant_for in (image.custom.must_match.hardware_ids, stated):
        if meant_for is not None and facts.hardware_id not in meant_for:
            raise HardwareMismatchError(
                f"image {image.file.path} is for {', '.join(meant_for)}, and ECU {ecu} is {facts.hardware_id}",
                ecu=ecu,
                image=image.file.path,
                expected=facts.hardware_id,
                offered=meant_for,
            )


def check_release_counter(image: Image, ecu: EcuIdentifier, facts: EcuFacts) -> None:
    """Raises ImageRollbackError when the counter is lower than before, or gone (STD-5.4.3.4-5, AMB-6)."""
    before, offered = facts.release_counter, image.custom.must_match.release_counter
    if before is not None and (offered is None or offered < before):
        raise ImageRollbackError(
            f"image {image.file.path} for ECU {ecu} has release counter {offered}; {before} was installed before",
            ecu=ecu,
            image=image.file.path,
            expected=before,
            offered=offered,
        )


def hardware_of(image: Image, ecus: Mapping[EcuIdentifier, EcuFacts]) -> frozenset[HardwareIdentifier] | None:
    """The hardware of the ECUs that shall install the image, as far as it is known; None when none of it is.

    What is not known of an ECU here is taken from the Director, as a Primary does for its Secondaries.
    """
    return directed_hardware(image.custom.ecus, ecus)


def directed_hardware(
    said: Mapping[EcuIdentifier, EcuAssignment], ecus: Mapping[EcuIdentifier, EcuFacts]
) -> frozenset[HardwareIdentifier] | None:
    """`hardware_of` an image where what the Director says of its ECUs is at hand."""
    known = [ecus.get(ecu, _UNKNOWN).hardware_id or entry.hardware_id for ecu, entry in said.items()]
    return frozenset([hardware for hardware in known if hardware is not None]) or None
