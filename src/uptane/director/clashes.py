"""Words for a dependency that cannot be fulfilled: which ECUs have what, and what they would have to have."""

from collections.abc import Sequence

from uptane.director.dependencies import Among, Dependency, Relation
from uptane.director.possibilities import EcuChoices, Outcome
from uptane.metadata.targets import Image

NAMED = 4
"""ECUs that are named one by one; of more, only how many there are is told."""


def clash(rule: Dependency, ecus: Sequence[EcuChoices]) -> str:
    """Why a rule cannot be fulfilled, told of what each ECU is preferred to have."""
    having = [each for each in ecus if each.outcomes[0].may_have(rule.image)]
    # Rules are about other ECUs: one that alone has the image is none, of several each is one to the rest.
    others = [each for each in ecus if rule.counts(each.hardware) and [each] != having]
    if rule.relation is Relation.CONFLICTS:
        wrong = [each for each in others if each.outcomes[0].may_have(rule.other)]
    else:
        wrong = [each for each in others if not each.outcomes[0].surely_has(rule.other)]
    if wrong:
        follows = f"while {_described(wrong)}"
    elif rule.relation is Relation.REQUIRES and rule.among is Among.ANY and not others:
        follows = f"and there is no other ECU{'' if rule.hardware is None else f' of hardware {rule.hardware}'}"
    else:
        follows = "and the other rules leave nothing that fulfils it"
    return f"“{rule}”, but {_described(having) if having else _offered(rule, ecus)}, {follows}"


def is_unconfirmed(rule: Dependency, ecus: Sequence[EcuChoices]) -> bool:
    """Whether a rule touches an ECU of which it is open what it has."""
    return any(
        len(each.outcomes[0].images) > 1
        and (each.outcomes[0].may_have(rule.image) or each.outcomes[0].may_have(rule.other))
        for each in ecus
    )


def _described(ecus: Sequence[EcuChoices]) -> str:
    if len(ecus) > NAMED:
        return f"{_described(ecus[:NAMED])} and {len(ecus) - NAMED} more ECUs likewise"
    return " and ".join(f"{each.ecu} {_has(each.outcomes[0])}" for each in ecus)


def _offered(rule: Dependency, ecus: Sequence[EcuChoices]) -> str:
    """What the rule is about where no ECU is preferred to have it."""
    offers = [
        f"{each.ecu} could be given {_named(outcome.directed)}"
        for each in ecus
        for outcome in each.outcomes
        if outcome.directed is not None and outcome.may_have(rule.image)
    ]
    return " and ".join(offers[:NAMED]) or "no ECU is preferred to have it"


def _has(outcome: Outcome) -> str:
    if outcome.directed is not None:
        return f"shall have {_named(outcome.directed)}"
    if not outcome.images:
        return "has not reported anything"
    if len(outcome.images) == 1:
        return f"has {_named(outcome.images[0])}"
    return f"may have {' or '.join(map(_named, outcome.images))}, as it has not confirmed the last one"


def _named(image: Image) -> str:
    counter = image.custom.must_match.release_counter
    return f"{image.file.path} {counter}" if counter is not None else f"{image.file.path} of unknown release"
