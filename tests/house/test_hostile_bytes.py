"""`make fuzz` finds what it looks for, and finds nothing in our decoders."""

import pytest

from fuzz import rounds
from fuzz.decoders import Decoder, decoders
from fuzz.rounds import run
from uptane.metadata.errors import FormatError

SEED = b'{"a":1}'


def refuses(raw: bytes) -> object:
    raise FormatError("no")


def breaks(raw: bytes) -> object:
    if len(raw) < len(SEED):
        raise KeyError("a")
    return raw


def test_an_error_that_is_not_ours_is_found_and_given_again() -> None:
    faulty = Decoder(name="faulty", decode=breaks, seeds=(SEED,))
    first, again = (run(faulty, 200, 1, [SEED]) for _ in range(2))
    assert first.failures and first.failures[0].what.startswith("KeyError")
    assert first.failures == again.failures


def test_a_slow_decoder_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rounds, "MAX_SECONDS", -1.0)
    assert len(run(Decoder(name="slow", decode=refuses, seeds=(SEED,)), 5, 1, [SEED]).failures) == 5


def test_what_is_refused_is_no_failure() -> None:
    result = run(Decoder(name="strict", decode=refuses, seeds=(SEED,)), 50, 1, [SEED])
    assert (result.refused, result.values, result.failures) == (50, 0, [])


def test_hostile_bytes_end_in_a_value_or_an_error_of_ours() -> None:
    every = decoders()
    others = [raw for decoder in every for raw in decoder.seeds]
    for decoder in every:
        for seed in decoder.seeds:
            decoder.decode(seed)
        assert run(decoder, 60, 1, others).failures == []
