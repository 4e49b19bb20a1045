"""`make fuzz`: at least 100,000 hostile inputs over all decoders; any error but ours, or a slow answer, fails."""

import argparse
import resource
import sys
import time

from fuzz.decoders import decoders
from fuzz.rounds import Result, run

MEMORY = 4 * 1024**3
"""Bytes of address space for the whole run: an input that asks for more ends in MemoryError, which fails."""


def main() -> int:
    """The exit code."""
    parser = argparse.ArgumentParser(prog="fuzz", description=__doc__)
    parser.add_argument("--examples", type=int, default=100_000, help="inputs over all decoders (default: 100,000)")
    parser.add_argument("--seed", type=int, default=int(time.time()), help="gives the same inputs again")
    parser.add_argument("--only", default="", help="decoders whose name holds this")
    options = parser.parse_args()
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    every = decoders()
    others = [raw for decoder in every for raw in decoder.seeds]
    chosen = [decoder for decoder in every if options.only in decoder.name]
    each = -(-options.examples // max(len(chosen), 1))
    print(f"{each * len(chosen)} inputs, {each} for each of {len(chosen)} decoders; --seed {options.seed}")
    results = [run(decoder, each, options.seed, others) for decoder in chosen]
    for result in results:
        print(
            f"{result.decoder:32} {result.values:6} values {result.refused:6} refused, {result.slowest:6.3f} s at most"
        )
    return _tell(results)


def _tell(results: list[Result]) -> int:
    failures = [failure for result in results for failure in result.failures]
    for failure in failures[:20]:
        print(f"{failure.decoder}, input {failure.number}: {failure.what}\n    {failure.raw[:200].hex()}")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    tried = sum(result.values + result.refused + len(result.failures) for result in results)
    print(f"{len(failures)} of {tried} inputs failed; {peak} MB at most")
    return 1 if failures or not results else 0


if __name__ == "__main__":
    sys.exit(main())
