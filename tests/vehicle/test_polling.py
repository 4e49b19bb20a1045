"""A vehicle comes back as often as its server asks, and no server can make it come without pause, or never."""

import pytest

from uptane.vehicle.polling import (
    DEFAULT_POLL_SECONDS,
    FIRST_RETRY_SECONDS,
    JITTER,
    LONGEST_RETRY_SECONDS,
    MAX_POLL_SECONDS,
    MIN_POLL_SECONDS,
    Polling,
)


def middle() -> float:
    return 0.5


@pytest.mark.parametrize("asked", ["0", "1", "9", "00000000"])
def test_a_server_cannot_make_a_vehicle_poll_without_pause(asked: str) -> None:
    polling = Polling(lambda: 0.0)
    polling.heard(asked)
    assert polling.succeeded() == MIN_POLL_SECONDS * (1 - JITTER) > 0


@pytest.mark.parametrize("asked", ["86401", "999999999"])
def test_a_server_cannot_make_a_vehicle_sleep_for_ever(asked: str) -> None:
    polling = Polling(lambda: 1.0)
    polling.heard(asked)
    assert polling.succeeded() == MAX_POLL_SECONDS * (1 + JITTER)


@pytest.mark.parametrize("asked", ["", "-1", "+60", "1e9", "60.5", "nan", "inf", " 60", "60, 70", "٣٠", "9" * 5000])
def test_what_is_no_number_is_not_heard(asked: str) -> None:
    polling = Polling(middle)
    polling.heard(asked)
    assert polling.succeeded() == DEFAULT_POLL_SECONDS
    polling.heard("60")
    polling.heard(asked)
    assert polling.succeeded() == 60


def test_a_fleet_comes_back_spread_over_the_whole_interval() -> None:
    waits = []
    for number in range(11):
        polling = Polling(lambda part=number / 10: part)
        polling.heard("600")
        waits.append(polling.succeeded())
    assert waits == pytest.approx([300 + 60 * number for number in range(11)])


def test_after_failures_it_waits_longer_and_longer_up_to_a_bound() -> None:
    polling = Polling(middle)
    polling.heard("60")
    waits = [polling.failed() for _ in range(1100)]
    assert waits[:3] == [FIRST_RETRY_SECONDS, 2 * FIRST_RETRY_SECONDS, 4 * FIRST_RETRY_SECONDS]
    assert waits == sorted(waits) and waits[-1] == LONGEST_RETRY_SECONDS
    assert polling.succeeded() == 60
    assert polling.failed() == FIRST_RETRY_SECONDS


def test_an_operator_at_the_vehicle_has_the_last_word() -> None:
    polling = Polling(middle, fixed=1.5)
    polling.heard("600")
    assert polling.succeeded() == 1.5
