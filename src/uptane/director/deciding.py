"""Decides what a vehicle is directed: what its ECUs are assigned, where no dependency forbids it (STD-5.3.2.1-13)."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from msgspec import Struct

from uptane.director.check_images import UnsafeNoCatalog
from uptane.director.dependencies import Dependency
from uptane.director.installed import by_ecu, installed_files, may_have
from uptane.director.ordering import derived_order
from uptane.director.planning import image_of, newly_directed, not_published, plan_targets
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
    """

    catalog: ImageCatalog | UnsafeNoCatalog
    dependencies: tuple[Dependency, ...] = ()


class VehicleView(Struct, frozen=True, kw_only=True, gc=False):
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


class Decision(Struct, frozen=True, kw_only=True, gc=False):
    """What a vehicle is to be directed.

    Args:
        targets: as metadata.
        directed: what was not the last that its ECU was directed.
    """

    targets: Targets
    directed: Sequence[Directed] = ()

    async def record(self, transaction: InventoryTransaction, vehicle: VehicleIdentifier) -> None:
        """Puts on record what ECUs may get, which is done before it is signed for."""
        known = by_ecu(await transaction.directed(vehicle)) if self.directed else {}
        for each in self.directed:
            await transaction.set_directed(vehicle, each.ecu, [*known.get(each.ecu, ()), each])


async def decide(
    view: VehicleView, rules: PlanRules, profile: Profile, now: datetime, published: Targets | None = None
) -> Decision:
    """Every ECU gets what it is assigned, or nobody gets anything new.

    Dependencies are looked at when an ECU is directed an image that is not published for it already: they have to hold
    with the new images, and whichever of the images that they may have by now the other ECUs have (BP-SEC-13). Taking
    images back, and publishing the same again, is always possible. The event loop waits for none of it: the solver, and
    whatever else goes through all rules, runs on a thread.

    Args:
        view: what is on record.
        rules: what to keep to.
        profile: the format.
        now: UTC.
        published: the Targets that the vehicle can fetch now.

    Raises:
        UnsatisfiableError: the dependencies cannot be kept.
        UndecidedError: whether they can was not found out.
        UptaneError: two ECUs are assigned different images under the same path.
    """
    new = not_published(view.assignments, published)
    if new and rules.dependencies:
        known = await _known_images(view, rules.catalog, profile, now)
        await asyncio.to_thread(resolve, rules.dependencies, _choices(view, new, known))
    if rules.dependencies:
        targets = await asyncio.to_thread(_targets, view, rules, profile)
    else:
        targets = _targets(view, rules, profile)
    return Decision(targets=targets, directed=newly_directed(new, view.directed))


def _targets(view: VehicleView, rules: PlanRules, profile: Profile) -> Targets:
    """The plan as metadata, with the install order that follows from it where the format can carry one."""
    order = derived_order(rules.dependencies, view.assignments, view.ecus)
    targets = plan_targets(view.assignments, view.ecus, order)
    if order:
        try:
            profile.check_writable(targets.images)
        except FormatError:
            return plan_targets(view.assignments, view.ecus)
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
    view: VehicleView, new: Sequence[Assignment], known: Mapping[EcuIdentifier, tuple[Image, ...]]
) -> list[EcuChoices]:
    wanted = {each.ecu: image_of(each.path, each.image) for each in new}
    return [
        EcuChoices(
            ecu=ecu.ecu,
            hardware=ecu.hardware_id,
            outcomes=(
                Outcome.of(wanted[ecu.ecu], known[ecu.ecu]) if ecu.ecu in wanted else Outcome(images=known[ecu.ecu]),
            ),
        )
        for ecu in view.ecus
    ]
