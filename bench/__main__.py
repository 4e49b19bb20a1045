"""`make bench`: measures every figure and writes `docs/benchmarks.md`."""

import sys

from bench.director import director_sets, whole_publications
from bench.document import write_document
from bench.figure import Figure, table
from bench.imports import imports
from bench.targets import der, large_json_memory, large_json_time, small_json
from bench.vehicle import cycles, verification


def measured() -> list[Figure]:
    """Every figure, group after group; within a group the programs take turns."""
    return [
        *small_json(41),
        *large_json_time(7),
        *large_json_memory(),
        *der(41),
        *cycles(41),
        *verification(41),
        *director_sets(41),
        *whole_publications(15),
        *imports(21),
    ]


def main() -> None:
    """Prints the table, and writes the page unless `--print` is given."""
    figures = measured()
    print(table(figures))
    if "--print" not in sys.argv[1:]:
        write_document(figures)


if __name__ == "__main__":
    main()
