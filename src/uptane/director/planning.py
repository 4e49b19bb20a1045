"""What a vehicle shall install, as Targets metadata: from the assignments of its ECUs. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import lru_cache

from uptane.director.ports import Assignment, EcuRecord
from uptane.formats.canonical_json import compact, decode_strict
from uptane.formats.json_images import read_image, write_image
from uptane.metadata.errors import UptaneError
from uptane.metadata.identifiers import EcuIdentifier, HardwareIdentifier, ImagePath, VehicleIdentifier
from uptane.metadata.root import NOT_PUBLISHED_YET
from uptane.metadata.targets import Custom, EcuAssignment, Image, Targets


def assignment_of(vehicle: VehicleIdentifier, ecu: EcuIdentifier, image: Image) -> Assignment:
    """The record that an ECU shall have an image."""
    bare = replace(image, custom=replace(image.custom, ecus={}))
    return Assignment(vehicle=vehicle, ecu=ecu, path=image.file.path, image=compact(write_image(bare)))


def plan_targets(assignments: Sequence[Assignment], ecus: Sequence[EcuRecord]) -> Targets:
    """Targets that give each ECU its assigned image; several ECUs may get the same one (AMB-19).

    Raises:
        UptaneError: two ECUs are assigned different images under the same path.
    """
    hardware = {ecu.ecu: ecu.hardware_id for ecu in ecus}
    bare: dict[ImagePath, Image] = {}
    named: dict[ImagePath, dict[EcuIdentifier, EcuAssignment]] = {}
    for assignment in assignments:
        image = _image_of(assignment.path, assignment.image)
        known = bare.setdefault(assignment.path, image)
        if known is not image and (known.file, known.custom.must_match) != (image.file, image.custom.must_match):
            raise UptaneError(
                f"two ECUs of vehicle {assignment.vehicle} are assigned different images named {assignment.path}",
                next_step="Assign the same image to both, or give the images different names.",
                image=assignment.path,
            )
        named.setdefault(assignment.path, {})[assignment.ecu] = _entry_of(hardware.get(assignment.ecu))
    images = {path: _directed(image, named[path]) for path, image in bare.items()}
    return Targets(version=1, expires=NOT_PUBLISHED_YET, images=images)


# The same few images go to one vehicle after the other.
@lru_cache(maxsize=4096)
def _image_of(path: ImagePath, text: bytes) -> Image:
    return read_image(path, decode_strict(text))


@lru_cache(maxsize=4096)
def _entry_of(hardware: HardwareIdentifier | None) -> EcuAssignment:
    return EcuAssignment(hardware_id=hardware)


def _directed(image: Image, ecus: Mapping[EcuIdentifier, EcuAssignment]) -> Image:
    custom = image.custom
    return Image(
        file=image.file,
        custom=Custom(must_match=custom.must_match, ecus=ecus, url=custom.url, extensions=custom.extensions),
    )
