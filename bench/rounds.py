"""Times of several programs that take turns, so that whatever slows the machine slows all of them."""

import gc
import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

Program = Callable[[], object]


def take_turns(programs: Mapping[str, Program], rounds: int, *, repeat: int = 1) -> dict[str, list[float]]:
    """Runs every program once in each round: A B C, A B C, and so on.

    The garbage collector stays on, as it is in any program; what the program before left behind is collected before
    the clock starts. One round before the first warms all of them up and does not count.

    Args:
        programs: by name.
        rounds: how many count.
        repeat: runs of a program in its turn, for those that take so little time that the collection before them, which
            empties the processor's cache, would be felt; their mean is one measurement.

    Returns:
        Milliseconds of one run, by name, one for each round.
    """
    times: dict[str, list[float]] = {name: [] for name in programs}
    for program in programs.values():
        program()
    for _ in range(rounds):
        for name, program in programs.items():
            gc.collect()
            started = time.perf_counter()
            for _ in range(repeat):
                program()
            times[name].append((time.perf_counter() - started) / repeat * 1000)
    return times


@dataclass(frozen=True, slots=True)
class Rounds:
    """How a group of figures is measured.

    Args:
        count: of rounds.
        judge: makes one number of the times of a program: the median for a report, the least for a comparison of
            ratios, because what disturbs a program only ever makes it slower.
    """

    count: int
    judge: Callable[[list[float]], float] = statistics.median

    def of(self, programs: Mapping[str, Program], *, repeat: int = 1) -> dict[str, float]:
        """Milliseconds of each program; see `take_turns`."""
        times = take_turns(programs, self.count, repeat=repeat)
        return {name: self.judge(values) for name, values in times.items()}

    def more(self) -> "Rounds":
        """Three times as many."""
        return replace(self, count=3 * self.count)
