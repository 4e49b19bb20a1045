"""`make bench` measures every figure and writes `docs/benchmarks.md`; with `--check` only ratios are compared."""

import sys

from bench.checking import main as check
from bench.director import director_sets, whole_publications
from bench.document import write_document
from bench.figure import Figure, table
from bench.imports import imports
from bench.rounds import Rounds
from bench.targets import der, large_json_memory, large_json_time, small_json
from bench.transfer import transfers
from bench.vehicle import cycles, verification

ALL = {
    small_json: Rounds(101),
    large_json_time: Rounds(7),
    large_json_memory: Rounds(1),
    der: Rounds(41),
    cycles: Rounds(41),
    verification: Rounds(41),
    director_sets: Rounds(101),
    whole_publications: Rounds(15),
    imports: Rounds(21),
    transfers: Rounds(5),
}
"""Every group; within one the programs take turns."""

CHECKED = {
    small_json: Rounds(15, min),
    large_json_time: Rounds(2, min),
    large_json_memory: Rounds(1, min),
    der: Rounds(15, min),
    verification: Rounds(15, min),
    director_sets: Rounds(15, min),
    imports: Rounds(7, min),
}
"""Those whose ratios do not depend on the machine, its disk or its network."""


def main(arguments: list[str]) -> int:
    """The exit code."""
    if {"--check", "--accept"} & set(arguments):
        return check(CHECKED, arguments)
    figures: list[Figure] = [figure for group, rounds in ALL.items() for figure in group(rounds)]
    print(table(figures))
    if "--print" not in arguments:
        write_document(figures)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
