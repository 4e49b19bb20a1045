"""Finds images for a vehicle that break no dependency, or says in words why there are none (STD-5.3.2.1-13, -14)."""

from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from types import TracebackType
from typing import Self, TypeAlias

from pysat.solvers import Solver

from uptane.director.clashes import clash, is_in_between, is_unconfirmed
from uptane.director.dependencies import Among, Dependency, Relation
from uptane.director.possibilities import EcuChoices, Outcome
from uptane.metadata.errors import UndecidedError, UnsatisfiableError
from uptane.metadata.identifiers import EcuIdentifier

MAX_CONFLICTS = 20_000
"""Dead ends that the solver may run into for one plan: a second at most. Plans of vehicles have a few dozen."""

Plan: TypeAlias = Mapping[EcuIdentifier, Outcome]
"""What is chosen for each ECU."""


def resolve(rules: Sequence[Dependency], ecus: Sequence[EcuChoices], *, max_conflicts: int = MAX_CONFLICTS) -> Plan:
    """Chooses an outcome for each ECU so that no rule is broken, whichever of the images that an ECU may have it has.

    Outcomes are given in the order of preference. The first ECU's come first: an earlier one is left only where no plan
    has it, with what was chosen before.

    Args:
        rules: what images require and conflict with.
        ecus: every ECU of the vehicle, once, with at least one outcome.
        max_conflicts: dead ends of the solver. Where they are used up once a plan is known, it may leave preferred
            outcomes without need; once it is known that there is none, rules may be named that are not needed for that.

    Raises:
        UnsatisfiableError: there is no such choice; `facts["rules"]` are rules of which each one is needed to make it
            impossible.
        UndecidedError: none was found within `max_conflicts`, nor that there is none.
    """
    with _Question(rules, ecus, max_conflicts) as question:
        possible = question.ask(range(len(rules)))
        if possible is None:
            raise UndecidedError(
                f"no set of images that fulfils the dependencies was found within {max_conflicts} dead ends",
                next_step="Assign fewer images at once, or simplify the dependencies.",
                conflicts=max_conflicts,
            )
        if possible:
            return question.preferred()
        core = [rules[number] for number in question.core()]
    if any(is_unconfirmed(rule, ecus) for rule in core):
        next_step = "Wait until the vehicle has reported what it has, or assign other images."
    elif any(is_in_between(rule, ecus) for rule in core):
        next_step = "Assign one of them first, and the other when the vehicle has reported that one."
    else:
        next_step = "Assign other images, or change the dependencies."
    raise UnsatisfiableError(
        "no set of images fulfils the dependencies: " + "; ".join(clash(rule, ecus) for rule in core),
        next_step=next_step,
        rules=tuple(map(str, core)),
    )


class _Question:
    """Rules and choices as clauses for a SAT solver: a variable for each outcome, and one for each rule that holds."""

    def __init__(self, rules: Sequence[Dependency], ecus: Sequence[EcuChoices], max_conflicts: int) -> None:
        self._rules = rules
        self._ecus = ecus
        self._max_conflicts = max_conflicts
        self._chosen: list[list[int]] = []
        last = len(rules)
        for each in ecus:
            self._chosen.append(list(range(last + 1, last + 1 + len(each.outcomes))))
            last += len(each.outcomes)
        self._last = last
        self._solver = Solver(name="minisat22", bootstrap_with=self._clauses())

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._solver.delete()

    def ask(self, rules: Sequence[int], chosen: Sequence[int] = ()) -> bool | None:
        """Whether some choice keeps these rules and has these outcomes; None when that is not found out."""
        left = self._max_conflicts - self._solver.accum_stats()["conflicts"]
        if left <= 0:
            return None
        self._solver.conf_budget(left)
        answer: bool | None = self._solver.solve_limited(
            assumptions=[*(rule + 1 for rule in rules), *chosen],
            expect_interrupt=True,  # which lets go of the interpreter meanwhile
        )
        return answer

    def preferred(self) -> Plan:
        """The plan that leaves the preferred outcomes last, after a question that was answered with yes."""
        every = range(len(self._rules))
        model = self._model()
        fixed: list[int] = []
        for variables in self._chosen:
            for variable in variables:
                if variable not in model and self.ask(every, [*fixed, variable]):
                    model = self._model()
                if variable in model:
                    fixed.append(variable)
                    break
        plan: dict[EcuIdentifier, Outcome] = {}
        for each, variables in zip(self._ecus, self._chosen, strict=True):
            plan[each.ecu] = next(
                outcome for outcome, variable in zip(each.outcomes, variables, strict=True) if variable in model
            )
        return plan

    def core(self) -> list[int]:
        """Rules that no choice keeps, after a question that was answered with no; none of them could be left out."""
        found = sorted(variable - 1 for variable in self._solver.get_core() or ())
        for number in tuple(found):
            fewer = [other for other in found if other != number]
            if self.ask(fewer) is False:
                found = fewer
        return found

    def _model(self) -> set[int]:
        return {variable for variable in self._solver.get_model() or () if variable > 0}

    def _clauses(self) -> Iterator[list[int]]:
        for variables in self._chosen:
            yield variables
            yield from ([-one, -other] for place, one in enumerate(variables) for other in variables[:place])
        for number, rule in enumerate(self._rules, start=1):
            yield from self._clauses_of(number, rule)

    def _clauses_of(self, number: int, rule: Dependency) -> Iterator[list[int]]:
        if rule.relation is Relation.CONFLICTS:
            # The new image of an ECU meets what others have, and what they have until they get new ones too. That two
            # images of today meet is no reason to direct nothing that ends it.
            new = self._where(lambda each, out: out.directed is not None and out.may_have(rule.image))
            yield from self._never_meet(
                number,
                new,
                self._where(
                    lambda each, out: (
                        rule.counts(each.hardware) and (out.may_have(rule.other) or out.may_still_have(rule.other))
                    )
                ),
            )
            left = self._where(lambda each, out: out.directed is None and out.may_have(rule.image))
            having = self._where(lambda each, out: rule.counts(each.hardware) and out.may_have(rule.other))
            yield from self._never_meet(number, left, having)
            old = self._where(lambda each, out: out.may_still_have(rule.image))
            coming = self._where(
                lambda each, out: rule.counts(each.hardware) and out.directed is not None and out.may_have(rule.other)
            )
            yield from self._never_meet(number, old, coming)
            return
        about = self._where(lambda each, out: out.may_have(rule.image))
        if rule.among is Among.EVERY:
            lacking = self._where(lambda each, out: rule.counts(each.hardware) and not out.surely_has(rule.other))
            yield from self._never_meet(number, about, lacking)
        elif about:
            good = self._where(lambda each, out: rule.counts(each.hardware) and out.surely_has(rule.other))
            elsewhere = yield from self._elsewhere(good)
            for place, variables in about.items():
                yield from ([-number, -one, *elsewhere(place)] for one in variables)

    def _where(self, holds: Callable[[EcuChoices, Outcome], bool]) -> dict[int, list[int]]:
        """The variables of the outcomes of which something holds, by the place of their ECU."""
        found: dict[int, list[int]] = {}
        for place, each in enumerate(self._ecus):
            variables = [
                variable
                for outcome, variable in zip(each.outcomes, self._chosen[place], strict=True)
                if holds(each, outcome)
            ]
            if variables:
                found[place] = variables
        return found

    def _never_meet(
        self, number: int, some: Mapping[int, list[int]], others: Mapping[int, list[int]]
    ) -> Iterator[list[int]]:
        """Where a rule holds, none of `some` is chosen together with one of `others` of another ECU."""
        if not some or not others:
            return
        elsewhere = yield from self._elsewhere(others)
        for place, variables in some.items():
            yield from ([-number, -one, -other] for one in variables for other in elsewhere(place))

    def _elsewhere(
        self, by_place: Mapping[int, list[int]]
    ) -> Generator[list[int], None, Callable[[int], tuple[int, ...]]]:
        """Variables that stand for all of other ECUs: as many clauses as there are ECUs, not as there are pairs.

        Returns:
            For a place, variables of which one is true exactly when one is true of those of any other place.
        """
        places = list(by_place)
        before = yield from self._any_up_to([by_place[place] for place in places])
        after = yield from self._any_up_to([by_place[place] for place in reversed(places)])
        index = {place: number for number, place in enumerate(places)}

        def elsewhere(place: int) -> tuple[int, ...]:
            if place not in index:
                return tuple(before[-1:])
            number = index[place]
            return (*before[:number][-1:], *after[: len(places) - 1 - number][-1:])

        return elsewhere

    def _any_up_to(self, groups: Sequence[list[int]]) -> Generator[list[int], None, list[int]]:
        """For each group, a variable that is true exactly when one is true in it or in a group before it."""
        found: list[int] = []
        for group in groups:
            self._last += 1
            parts = [*group, *found[-1:]]
            yield from ([-part, self._last] for part in parts)
            yield [-self._last, *parts]
            found.append(self._last)
        return found
