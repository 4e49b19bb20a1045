"""Words for a dependency that cannot be fulfilled: which ECUs have what, and what they would have to have."""

from collections.abc import Sequence

from uptane.director.dependencies import Among, Dependency, ImageLine, Relation
from uptane.director.possibilities import EcuChoices, Outcome
from uptane.metadata.targets import Image

NAMED = 4
"""ECUs that are named one by one; of more, only how many there are is told."""


def clash(rule: Dependency, ecus: Sequence[EcuChoices]) -> str:
    """Why a rule cannot be fulfilled, told of what each ECU is preferred to have."""
    conflict = rule.relation is Relation.CONFLICTS
    having = [each for each in ecus if _concerns(each, rule.image, until_then=conflict)]
    # Rules are about other ECUs: one that alone has the image is none, of several each is one to the rest.
    others = [each for each in ecus if rule.counts(each.hardware) and [each] != having]
    if conflict:
        wrong = [each for each in others if _concerns(each, rule.other, until_then=True)]
    else:
        wrong = [each for each in others if not each.outcomes[0].surely_has(rule.other)]
    if wrong:
        follows = f"while {_described(wrong, rule.other)}"
    elif rule.relation is Relation.REQUIRES and rule.among is Among.ANY and not others:
        follows = f"and there is no other ECU{'' if rule.hardware is None else f' of hardware {rule.hardware}'}"
    else:
        follows = "and the other rules leave nothing that fulfils it"
    return f"“{rule}”, but {_described(having, rule.image) if having else _offered(rule, ecus)}, {follows}"


def is_in_between(rule: Dependency, ecus: Sequence[EcuChoices]) -> bool:
    """Whether images conflict only while ECUs have not installed yet what they are directed."""
    return rule.relation is Relation.CONFLICTS and any(
        each.outcomes[0].may_still_have(line) and not each.outcomes[0].may_have(line)
        for each in ecus
        for line in (rule.image, rule.other)
    )


def is_unconfirmed(rule: Dependency, ecus: Sequence[EcuChoices]) -> bool:
    """Whether a rule touches an ECU of which it is open what it has."""
    return any(
        len(each.outcomes[0].images) > 1
        and (each.outcomes[0].may_have(rule.image) or each.outcomes[0].may_have(rule.other))
        for each in ecus
    )


def _concerns(each: EcuChoices, line: ImageLine, *, until_then: bool) -> bool:
    outcome = each.outcomes[0]
    return outcome.may_have(line) or (until_then and outcome.may_still_have(line))


def _described(ecus: Sequence[EcuChoices], line: ImageLine) -> str:
    if len(ecus) > NAMED:
        return f"{_described(ecus[:NAMED], line)} and {len(ecus) - NAMED} more ECUs likewise"
    return " and ".join(f"{each.ecu} {_has(each.outcomes[0], line)}" for each in ecus)


def _offered(rule: Dependency, ecus: Sequence[EcuChoices]) -> str:
    """What the rule is about where no ECU is preferred to have it."""
    offers = [
        f"{each.ecu} could be given {_named(outcome.directed)}"
        for each in ecus
        for outcome in each.outcomes
        if outcome.directed is not None and outcome.may_have(rule.image)
    ]
    return " and ".join(offers[:NAMED]) or "no ECU is preferred to have it"


def _has(outcome: Outcome, line: ImageLine) -> str:
    if outcome.directed is not None:
        still = [_named(image) for image in outcome.until_then if line.may_be(image)]
        if still and not outcome.may_have(line):
            return f"may have {' or '.join(still)} until it has {_named(outcome.directed)}"
        return f"shall have {_named(outcome.directed)}"
    if not outcome.images:
        return "has not reported anything"
    if len(outcome.images) == 1:
        return f"has {_named(outcome.images[0])}"
    return f"may have {' or '.join(map(_named, outcome.images))}, as it has not confirmed the last one"


def _named(image: Image) -> str:
    counter = image.custom.must_match.release_counter
    return f"{image.file.path} {counter}" if counter is not None else f"{image.file.path} of unknown release"
