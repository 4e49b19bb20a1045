"""Feeds changed bytes to decoders and judges what comes of it: a value, or an error of ours, soon."""

import random
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from fuzz.decoders import Decoder
from fuzz.mutations import mutated
from uptane.metadata.errors import SecurityError

MAX_SECONDS = 2.0
"""For one input of at most 200 kB; a thousand times what a genuine one takes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """An input that a decoder cannot deal with; `seed` and `number` give it again."""

    decoder: str
    number: int
    what: str
    raw: bytes


@dataclass(slots=True, kw_only=True)
class Result:
    """What came of the inputs of one decoder; `slowest` in seconds."""

    decoder: str
    values: int = 0
    refused: int = 0
    slowest: float = 0.0
    failures: list[Failure] = field(default_factory=list)


def run(decoder: Decoder, examples: int, seed: int, others: Sequence[bytes]) -> Result:
    """Tries `examples` inputs.

    Args:
        decoder: the decoder.
        examples: how many.
        seed: gives the same inputs again.
        others: genuine inputs of all decoders, of which pieces are taken.
    """
    result = Result(decoder=decoder.name)
    chance = random.Random(f"{seed} {decoder.name}")
    pool = list(decoder.seeds)
    for number in range(examples):
        raw = mutated(chance.choice(pool), chance.choice(others), chance)
        started = time.perf_counter()
        accepted, trouble = _try(decoder, raw)
        taken = time.perf_counter() - started
        result.slowest = max(result.slowest, taken)
        if taken > MAX_SECONDS:
            trouble = f"took {taken:.1f} s"
        if trouble:
            result.failures.append(Failure(decoder=decoder.name, number=number, what=trouble, raw=raw))
        elif accepted:
            result.values += 1
            pool = [*pool, raw][-50:]  # what is still accepted is a better beginning
        else:
            result.refused += 1
    return result


def _try(decoder: Decoder, raw: bytes) -> tuple[bool, str]:
    try:
        decoder.decode(raw)
    except SecurityError:
        return False, ""
    except Exception as error:  # noqa: BLE001 - whatever else comes out is what we are looking for
        return False, f"{type(error).__name__}: {error}"[:300]
    return True, ""
