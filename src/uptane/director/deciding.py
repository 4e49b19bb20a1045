"""Decides what a vehicle is directed: what its ECUs are assigned, and what that requires of others (STD-5.3.2.1-13)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from uptane.director.check_images import UnsafeNoCatalog
from uptane.director.dependencies import Dependency
from uptane.director.installed import by_ecu, installed_files, may_have
from uptane.director.ordering import derived_order
from uptane.director.planning import assignment_of, image_of, newly_directed, plan_targets
from uptane.director.ports import Assignment, Directed, EcuRecord, ImageCatalog, InventoryTransaction
from uptane.director.possibilities import EcuChoices, Outcome
from uptane.director.resolution import resolve
from uptane.formats.profile import Profile
from uptane.metadata.errors import FormatError
from uptane.metadata.identifiers import EcuIdentifier, VehicleIdentifier
from uptane.metadata.targets import Image, ImageFile, Targets


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanRules:
    """What every plan has to keep to.

    Args:
        catalog: what the Image repository lists.
        dependencies: what images require and conflict with.
        stock: images that may be directed although nobody assigned them, where a dependency asks for them; the
            preferred ones first. Only for an ECU whose hardware is on record and among those that the image is for.

    Raises:
        FormatError: two images in stock have one name.
    """

    catalog: ImageCatalog | UnsafeNoCatalog
    dependencies: tuple[Dependency, ...] = ()
    stock: tuple[Image, ...] = ()

    def __post_init__(self) -> None:
        if len({image.file.path for image in self.stock}) != len(self.stock):
            raise FormatError("two images in stock have one name", field="stock")


@dataclass(frozen=True, slots=True, kw_only=True)
class VehicleView:
    """What the inventory says of a vehicle at one moment."""

    ecus: Sequence[EcuRecord]
    assignments: Sequence[Assignment]
    directed: Sequence[Directed]

    @classmethod
    async def read(cls, transaction: InventoryTransaction, vehicle: VehicleIdentifier) -> "VehicleView":
        """Reads it."""
        return cls(
            ecus=await transaction.ecus(vehicle),
            assignments=await transaction.assignments(vehicle),
            directed=await transaction.directed(vehicle),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What a vehicle is to be directed.

    Args:
        targets: as metadata.
        added: assignments that the dependencies ask for, beyond those that were made.
        directed: what is directed for the first time.
    """

    targets: Targets
    added: Sequence[Assignment] = ()
    directed: Sequence[Directed] = field(default=())

    async def record(self, transaction: InventoryTransaction, vehicle: VehicleIdentifier) -> None:
        """Puts on record what ECUs may get, which is done before it is signed for."""
        known = by_ecu(await transaction.directed(vehicle)) if self.directed else {}
        for each in self.directed:
            await transaction.set_directed(vehicle, each.ecu, [*known.get(each.ecu, ()), each])
        taken = {each.ecu for each in await transaction.assignments(vehicle)} if self.added else set()
        for assignment in self.added:
            if assignment.ecu not in taken:
                await transaction.assign(assignment)


async def decide(view: VehicleView, rules: PlanRules, profile: Profile, now: datetime) -> Decision:
    """Every ECU gets what it is assigned, and others what that requires, or nobody gets anything new.

    Dependencies are looked at when an ECU is directed an image that it was not directed before: they have to hold with
    the new images, and whichever of the images that they may have by now the other ECUs have (BP-SEC-13). Taking images
    back, and publishing the same again, is always possible.

    Raises:
        UnsatisfiableError: the dependencies cannot be kept.
        UndecidedError: whether they can was not found out.
        UptaneError: two ECUs are assigned different images under the same path.
    """
    new = newly_directed(view.assignments, view.directed)
    added: list[Assignment] = []
    if new and rules.dependencies:
        known = await _known_images(view, rules.catalog, profile, now)
        plan = resolve(rules.dependencies, _choices(view, new, known, rules.stock))
        wanted = {each.ecu for each in new}
        vehicle = new[0].vehicle
        added = [
            assignment_of(vehicle, ecu, outcome.directed)
            for ecu, outcome in plan.items()
            if outcome.directed is not None and ecu not in wanted
        ]
        new = [*new, *newly_directed(added, view.directed)]
    return Decision(targets=_targets(view, added, rules, profile), added=added, directed=new)


def _targets(view: VehicleView, added: Sequence[Assignment], rules: PlanRules, profile: Profile) -> Targets:
    """The plan as metadata, with the install order that follows from it where the format can carry one."""
    assignments = [*view.assignments, *added]
    order = derived_order(rules.dependencies, assignments, view.ecus)
    targets = plan_targets(assignments, view.ecus, order)
    if order:
        try:
            profile.check_writable(targets.images)
        except FormatError:
            return plan_targets(assignments, view.ecus)
    return targets


async def _known_images(
    view: VehicleView, catalog: ImageCatalog | UnsafeNoCatalog, profile: Profile, now: datetime
) -> Mapping[EcuIdentifier, tuple[Image, ...]]:
    """What each ECU may have; of what was never directed, the release is looked up in the catalogue."""
    installed, directed = installed_files(profile, view.ecus), by_ecu(view.directed)
    found = {ecu.ecu: may_have(directed.get(ecu.ecu, ()), installed.get(ecu.ecu)) for ecu in view.ecus}
    unknown = {image.file.path for images in found.values() for image in images if image == Image(file=image.file)}
    if isinstance(catalog, UnsafeNoCatalog) or not unknown:
        return found
    listed = {image.file: image for image in (await catalog.look_up(dict.fromkeys(unknown), now)).values()}
    return {ecu: tuple(_with_custom(image, listed) for image in images) for ecu, images in found.items()}


def _with_custom(image: Image, listed: Mapping[ImageFile, Image]) -> Image:
    return listed.get(image.file, image) if image == Image(file=image.file) else image


def _choices(
    view: VehicleView,
    new: Sequence[Directed],
    known: Mapping[EcuIdentifier, tuple[Image, ...]],
    stock: Sequence[Image],
) -> list[EcuChoices]:
    wanted = {each.ecu: image_of(each.path, each.image) for each in new}
    names = {each.path: image_of(each.path, each.image) for each in view.assignments}
    offered = [image for image in stock if names.get(image.file.path, image) == image]
    assigned = {each.ecu for each in view.assignments}
    choices: list[EcuChoices] = []
    for ecu in view.ecus:
        outcomes: tuple[Outcome, ...]
        if ecu.ecu in wanted:
            outcomes = (Outcome.of(wanted[ecu.ecu]),)
        else:
            offers = [] if ecu.ecu in assigned else [image for image in offered if _may_offer(image, ecu, known)]
            outcomes = (Outcome(images=known[ecu.ecu]), *map(Outcome.of, offers))
        choices.append(EcuChoices(ecu=ecu.ecu, hardware=ecu.hardware_id, outcomes=outcomes))
    return choices


def _may_offer(image: Image, ecu: EcuRecord, known: Mapping[EcuIdentifier, tuple[Image, ...]]) -> bool:
    """Whether an image is for that hardware, and no older release than what the ECU may have."""
    meant_for = image.custom.must_match.hardware_ids
    if ecu.hardware_id is None or meant_for is None or ecu.hardware_id not in meant_for:
        return False
    return all(_release(image) >= _release(other) for other in known[ecu.ecu])


def _release(image: Image) -> int:
    counter = image.custom.must_match.release_counter
    return -1 if counter is None else counter
