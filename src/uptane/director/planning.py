"""What a vehicle shall install, as Targets metadata: from the assignments of its ECUs. Pure."""

from collections.abc import Sequence
from dataclasses import replace

from uptane.director.ports import Assignment, EcuRecord
from uptane.formats.canonical_json import compact, decode_strict
from uptane.formats.json_images import read_image, write_image
from uptane.metadata.errors import UptaneError
from uptane.metadata.identifiers import EcuIdentifier, ImagePath, VehicleIdentifier
from uptane.metadata.root import NOT_PUBLISHED_YET
from uptane.metadata.targets import EcuAssignment, Image, Targets


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
    images: dict[ImagePath, Image] = {}
    for assignment in assignments:
        image = read_image(assignment.path, decode_strict(assignment.image))
        known = images.get(assignment.path, image)
        if known.file != image.file or known.custom.must_match != image.custom.must_match:
            raise UptaneError(
                f"two ECUs of vehicle {assignment.vehicle} are assigned different images named {assignment.path}",
                next_step="Assign the same image to both, or give the images different names.",
                image=assignment.path,
            )
        entry = EcuAssignment(hardware_id=hardware.get(assignment.ecu))
        custom = replace(known.custom, ecus=dict(known.custom.ecus) | {assignment.ecu: entry})
        images[assignment.path] = replace(known, custom=custom)
    return Targets(version=1, expires=NOT_PUBLISHED_YET, images=images)
