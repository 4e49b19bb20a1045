"""ECUs are assigned an image, in plain or in an encrypted form; one name is one image."""

from collections.abc import Sequence

from msgspec import structs

from uptane.director.check_images import check_fits
from uptane.director.planning import assignment_of, image_of, plan_targets
from uptane.director.ports import Assignment, EcuRecord, InventoryTransaction
from uptane.formats.profile import Profile
from uptane.metadata.errors import UptaneError
from uptane.metadata.identifiers import VehicleIdentifier
from uptane.metadata.targets import Image


async def put_on_record(
    transaction: InventoryTransaction,
    profile: Profile,
    vehicle: VehicleIdentifier,
    image: Image,
    wanted: Sequence[Assignment],
) -> None:
    """Records assignments of one image; raises as `changed_assignments` does, and nothing is changed then."""
    present, ecus = await transaction.assignments(vehicle), await transaction.ecus(vehicle)
    for assignment in changed_assignments(profile, image, wanted, present, ecus):
        await transaction.assign(assignment)


def changed_assignments(
    profile: Profile,
    image: Image,
    wanted: Sequence[Assignment],
    present: Sequence[Assignment],
    ecus: Sequence[EcuRecord],
) -> Sequence[Assignment]:
    """Those that are wanted, and those of other ECUs of the vehicle that have an image of that name.

    Args:
        profile: the format that has to carry them.
        image: the image of all that are wanted.
        wanted, present: the new assignments, and all that the vehicle has.
        ecus: the vehicle's ECUs.

    Raises:
        UptaneError: another ECU is assigned an encrypted form of an older image of that name: it would get this one
            in plain.
        FormatError: the profile cannot say that.
        HardwareMismatchError: the image is for other hardware.
    """
    named = {each.ecu for each in wanted}
    changed = list(wanted)
    for other in present:
        if other.path != image.file.path or other.ecu in named:
            continue
        if other.encrypted is not None and image_of(other.path, other.image).file != image.file:
            raise UptaneError(
                f"ECU {other.ecu} is assigned an encrypted form of an older {image.file.path}, and would get this one "
                "in plain",
                next_step="Encrypt the new image for that ECU as well, in the same call.",
                ecu=other.ecu,
                image=image.file.path,
            )
        follower = assignment_of(other.vehicle, other.ecu, image, other.install_order)
        changed.append(structs.replace(follower, encrypted=other.encrypted))
    planned = plan_targets([*({each.ecu: each for each in (*present, *changed)}.values())], ecus)
    profile.check_writable(planned.images)
    having = planned.images[image.file.path].custom.ecus
    check_fits(image, [record for record in ecus if record.ecu in having])
    return changed
