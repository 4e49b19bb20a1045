"""What a vehicle shall install, as Targets metadata: from the assignments of its ECUs. Pure."""

from collections.abc import Mapping, Sequence
from functools import lru_cache

from msgspec import structs

from uptane.director.ports import Assignment, Directed, EcuRecord
from uptane.formats.canonical_json import compact, decode_strict
from uptane.formats.json_images import read_encrypted, read_image, write_encrypted, write_image
from uptane.metadata.errors import UptaneError
from uptane.metadata.identifiers import EcuIdentifier, HardwareIdentifier, ImagePath, VehicleIdentifier
from uptane.metadata.install_order import with_install_order
from uptane.metadata.root import NOT_PUBLISHED_YET
from uptane.metadata.targets import DirectedImages, EcuAssignment, EncryptedImage, Image, Targets, images_with_ecus

NO_ORDER: Mapping[EcuIdentifier, int] = {}


def assignment_of(
    vehicle: VehicleIdentifier,
    ecu: EcuIdentifier,
    image: Image,
    install_order: int | None = None,
    encrypted: EncryptedImage | None = None,
) -> Assignment:
    """The record that an ECU shall have an image, in plain or in an encrypted form."""
    bare = structs.replace(image, custom=structs.replace(image.custom, ecus={}))
    text = compact(write_image(bare))
    return Assignment(
        vehicle=vehicle,
        ecu=ecu,
        path=image.file.path,
        image=text,
        install_order=install_order,
        encrypted=None if encrypted is None else compact(write_encrypted(encrypted)),
    )


def plan_targets(
    assignments: Sequence[Assignment], ecus: Sequence[EcuRecord], order: Mapping[EcuIdentifier, int] = NO_ORDER
) -> Targets:
    """Targets that give each ECU its assigned image; several ECUs may get the same one (AMB-19).

    Args:
        assignments: what each ECU shall have.
        ecus: what is known of them.
        order: the install order of those whose assignments say none.

    Raises:
        UptaneError: two ECUs are assigned different images under the same path.
    """
    hardware = {ecu.ecu: ecu.hardware_id for ecu in ecus}
    parts: dict[ImagePath, tuple[Image, dict[EcuIdentifier, EcuAssignment]]] = {}
    for assignment in assignments:
        path = assignment.path
        image = image_of(path, assignment.image)
        number = order.get(assignment.ecu) if assignment.install_order is None else assignment.install_order
        entry = _entry_of(hardware.get(assignment.ecu), number, assignment.encrypted)
        if path not in parts:
            parts[path] = image, {assignment.ecu: entry}
            continue
        known, named = parts[path]
        if known is not image and (known.file, known.custom.must_match) != (image.file, image.custom.must_match):
            raise UptaneError(
                f"two ECUs of vehicle {assignment.vehicle} are assigned different images named {path}",
                next_step="Assign the same image to both, or give the images different names.",
                image=path,
            )
        named[assignment.ecu] = entry
    return Targets(version=1, expires=NOT_PUBLISHED_YET, images=DirectedImages(parts))


def not_published(assignments: Sequence[Assignment], published: Targets | None) -> Sequence[Assignment]:
    """What ECUs are assigned and are not told by the Targets that are published now."""
    if published is None:
        return assignments
    told = {
        ecu: (image.file, image.custom.must_match)
        for _, image, ecus in images_with_ecus(published.images)
        for ecu in ecus
    }
    images = {each.ecu: image_of(each.path, each.image) for each in assignments}
    return [
        each
        for each in assignments
        if told.get(each.ecu) != (images[each.ecu].file, images[each.ecu].custom.must_match)
    ]


def newly_directed(assignments: Sequence[Assignment], directed: Sequence[Directed]) -> Sequence[Directed]:
    """Records of what ECUs would be directed now and were not the last time."""
    last = {each.ecu: each for each in sorted(directed, key=lambda each: each.number)}
    return [
        Directed(
            vehicle=wanted.vehicle,
            ecu=wanted.ecu,
            number=last[wanted.ecu].number + 1 if wanted.ecu in last else 1,
            path=wanted.path,
            image=wanted.image,
        )
        for wanted in assignments
        if wanted.ecu not in last or (last[wanted.ecu].path, last[wanted.ecu].image) != (wanted.path, wanted.image)
    ]


# The same few images go to one vehicle after the other.
@lru_cache(maxsize=4096)
def image_of(path: ImagePath, text: bytes) -> Image:
    """The image of an assignment, without ECUs."""
    image = read_image(path, decode_strict(text))
    return image if not image.custom.ecus else structs.replace(image, custom=structs.replace(image.custom, ecus={}))


@lru_cache(maxsize=4096)
def _entry_of(hardware: HardwareIdentifier | None, order: int | None, encrypted: bytes | None) -> EcuAssignment:
    form = None if encrypted is None else read_encrypted(decode_strict(encrypted))
    entry = EcuAssignment(hardware_id=hardware, encrypted=form)
    return entry if order is None else with_install_order(entry, order)
