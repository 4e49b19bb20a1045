"""Plans in a few words, and an oracle that tries every choice and every state of the vehicle that it may lead to."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import permutations, product

from world import image

from uptane.director.dependencies import Among, Dependency, ImageLine, Relation
from uptane.director.possibilities import EcuChoices, Outcome
from uptane.metadata.identifiers import EcuIdentifier, HardwareIdentifier
from uptane.metadata.targets import Image

COUNTERS = range(4)


def release(name: str, counter: int | None = None) -> Image:
    """An image of that release."""
    return image(f"{name}.img", f"{name} {counter}".encode(), counter=counter)


def left(*images: Image) -> Outcome:
    """The ECU is left alone; it may have one of these."""
    return Outcome(images=images)


def choices(name: str, *outcomes: Outcome, hardware: str | None = None) -> EcuChoices:
    """What can be done about an ECU."""
    return EcuChoices(
        ecu=EcuIdentifier(name),
        hardware=None if hardware is None else HardwareIdentifier(hardware),
        outcomes=outcomes,
    )


State = Mapping[EcuIdentifier, tuple[str, int | None] | None]
"""One thing that may really be in a vehicle: name and release counter of each ECU's image."""


def satisfiable(rules: Sequence[Dependency], ecus: Sequence[EcuChoices]) -> bool:
    """Whether some choice breaks no rule in any state."""
    return any(
        holds(rules, ecus, dict(zip((each.ecu for each in ecus), outcomes, strict=True)))
        for outcomes in product(*(each.outcomes for each in ecus))
    )


def holds(rules: Sequence[Dependency], ecus: Sequence[EcuChoices], plan: Mapping[EcuIdentifier, Outcome]) -> bool:
    """Whether a choice breaks no rule in any state, and no conflict while some ECUs have not got their images yet."""
    hardware = {each.ecu: each.hardware for each in ecus}
    kept = all(_is_kept(rule, hardware, state) for state in _states(plan) for rule in rules)
    conflicts = [rule for rule in rules if rule.relation is Relation.CONFLICTS]
    return kept and all(
        _is_kept(rule, hardware, {one: mine, other: theirs})
        for one, other in permutations(plan, 2)
        if plan[one].directed is not None
        for mine in _possible(plan[one].images)
        for theirs in _possible(plan[other].until_then)
        for rule in conflicts
    )


def _states(plan: Mapping[EcuIdentifier, Outcome]) -> Iterator[State]:
    """Each ECU has one of its images, or nothing that is known."""
    for combination in product(*(_possible(outcome.images) or [None] for outcome in plan.values())):
        yield dict(zip(plan, combination, strict=True))


def _possible(images: Sequence[Image]) -> list[tuple[str, int | None] | None]:
    """An image whose release is not known may be any, or none that a range holds."""
    found: list[tuple[str, int | None] | None] = []
    for one in images:
        counter = one.custom.must_match.release_counter
        found += [(one.file.path, n) for n in ([*COUNTERS, None] if counter is None else [counter])]
    return found


def _is_kept(rule: Dependency, hardware: Mapping[EcuIdentifier, HardwareIdentifier | None], state: State) -> bool:
    for ecu, having in state.items():
        if not _is_of(rule.image, having):
            continue
        others = [o for o in state if o != ecu and (rule.hardware is None or hardware[o] == rule.hardware)]
        matching = [o for o in others if _is_of(rule.other, state[o])]
        if rule.relation is Relation.CONFLICTS:
            kept = not matching
        elif rule.among is Among.EVERY:
            kept = matching == others
        else:
            kept = bool(matching)
        if not kept:
            return False
    return True


def _is_of(line: ImageLine, having: tuple[str, int | None] | None) -> bool:
    if having is None or not line.pattern.matches(having[0]):
        return False
    if line.lowest is None and line.highest is None:
        return True
    return having[1] is not None and (line.lowest or 0) <= having[1] <= (9 if line.highest is None else line.highest)
