"""The install order that follows from the dependencies: what is required is installed first."""

from collections.abc import Iterable, Mapping, Sequence

from uptane.director.dependencies import Dependency, Relation
from uptane.director.planning import image_of
from uptane.director.ports import Assignment, EcuRecord
from uptane.metadata.identifiers import EcuIdentifier


def derived_order(
    rules: Sequence[Dependency], assignments: Sequence[Assignment], ecus: Sequence[EcuRecord]
) -> Mapping[EcuIdentifier, int]:
    """A number for each ECU of a plan, from 1 on: higher than those of the ECUs whose images its own image requires.

    ECUs whose images require each other have the same number. Empty where no image of the plan requires another one,
    and where somebody has given numbers himself.
    """
    if not rules or any(each.install_order is not None for each in assignments):
        return {}
    first = _required(rules, assignments, {ecu.ecu: ecu for ecu in ecus})
    if not any(first.values()):
        return {}
    # Of two ECUs of which one comes first, it has fewer before it; in a circle all have the same ones.
    before = {ecu: len(_reached(ecu, first)) for ecu in first}
    ranks = {count: number for number, count in enumerate(sorted(set(before.values())), start=1)}
    return {ecu: ranks[count] for ecu, count in before.items()}


def _required(
    rules: Sequence[Dependency], assignments: Sequence[Assignment], ecus: Mapping[EcuIdentifier, EcuRecord]
) -> Mapping[EcuIdentifier, set[EcuIdentifier]]:
    images = {each.ecu: image_of(each.path, each.image) for each in assignments}
    first: dict[EcuIdentifier, set[EcuIdentifier]] = {ecu: set() for ecu in images}
    for rule in rules:
        if rule.relation is not Relation.REQUIRES:
            continue
        required = {
            ecu
            for ecu, image in images.items()
            if rule.counts(ecus[ecu].hardware_id if ecu in ecus else None) and rule.other.may_be(image)
        }
        for ecu, image in images.items():
            if rule.image.may_be(image):
                first[ecu] |= required - {ecu}
    return first


def _reached(ecu: EcuIdentifier, first: Mapping[EcuIdentifier, Iterable[EcuIdentifier]]) -> set[EcuIdentifier]:
    found, waiting = {ecu}, [ecu]
    while waiting:
        for other in first[waiting.pop()]:
            if other not in found:
                found.add(other)
                waiting.append(other)
    return found
