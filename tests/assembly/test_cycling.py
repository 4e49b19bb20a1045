"""The program of an ECU: cycles and waits, and an end wherever it is asked to."""

import os
import signal
from collections.abc import Iterator

import pytest

from uptane.assembly.cycling import SIGNALS, ending_when_asked, opened_at_last, run_cycles
from uptane.metadata.errors import SpoofingError, UnreachableError, UptaneError
from uptane.vehicle.polling import FIRST_RETRY_SECONDS, Polling


def polling() -> Polling:
    return Polling(lambda: 0.5, fixed=60)


def test_it_waits_between_cycles_and_longer_after_failures() -> None:
    outcomes, waits, told = iter([True, False, False, True, True]), [], []

    def cycle() -> None:
        if not next(outcomes):
            raise UnreachableError("nobody answers")

    run_cycles(cycle, polling(), cycles=5, failed=told.append, wait=waits.append)
    assert waits == [60, FIRST_RETRY_SECONDS, 2 * FIRST_RETRY_SECONDS, 60]
    assert [type(error) for error in told] == [UnreachableError, UnreachableError]


def test_the_failure_of_the_last_cycle_is_that_of_the_program() -> None:
    def cycle() -> None:
        raise UnreachableError("nobody answers")

    told: list[UptaneError] = []
    with pytest.raises(UnreachableError):
        run_cycles(cycle, polling(), cycles=2, failed=told.append, wait=lambda seconds: None)
    assert len(told) == 1


def test_a_first_contact_is_tried_until_somebody_answers_and_not_when_it_is_refused() -> None:
    outcomes: Iterator[Exception | str] = iter([UnreachableError("nobody"), UnreachableError("nobody"), "opened"])
    waits: list[float] = []
    told: list[UptaneError] = []

    def attempt() -> str:
        outcome = next(outcomes)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    assert opened_at_last(attempt, polling(), failed=told.append, wait=waits.append) == "opened"
    assert (waits, len(told)) == ([FIRST_RETRY_SECONDS, 2 * FIRST_RETRY_SECONDS], 2)
    outcomes = iter([SpoofingError("this token was used")])
    with pytest.raises(SpoofingError):
        opened_at_last(attempt, polling(), failed=told.append, wait=waits.append)


@pytest.mark.parametrize("number", SIGNALS)
@pytest.mark.parametrize("where", ["in a cycle", "between cycles"])
def test_it_ends_in_good_order_when_it_is_asked_to(where: str, number: signal.Signals) -> None:
    before, steps = signal.getsignal(number), []

    def step(name: str) -> None:
        steps.append(name)
        try:
            if name == where:
                os.kill(os.getpid(), number)
                steps.append("not reached")
        finally:
            os.kill(os.getpid(), number)  # a second one disturbs nothing
            steps.append("cleaned up")

    with ending_when_asked():
        run_cycles(
            lambda: step("in a cycle") if where == "in a cycle" else None,
            polling(),
            cycles=0,
            failed=lambda error: None,
            wait=lambda seconds: step("between cycles"),
        )
    assert steps == [where, "cleaned up"]
    assert signal.getsignal(number) is before
