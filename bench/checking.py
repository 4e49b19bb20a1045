"""`make bench-check`: fails when a ratio has got worse by more than a third since its baseline was committed."""

import sys
import tomllib
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from bench.figure import Figure, ratios
from bench.rounds import Rounds

BASELINES = Path(__file__).with_name("baselines.toml")
WORSE = 4 / 3
"""What a ratio may be, of its baseline."""

Group = Callable[[Rounds], list[Figure]]
"""Measures some figures."""

Groups = Mapping[Any, Rounds]
"""Each `Group` with its rounds."""


def read_baselines(file: Path = BASELINES) -> dict[str, float]:
    """The committed ratios by name."""
    return {name: float(ratio) for name, ratio in tomllib.loads(file.read_text(encoding="utf-8"))["ratios"].items()}


def worse(measured: Mapping[str, float], baselines: Mapping[str, float]) -> list[str]:
    """A line for each ratio that is more than a third above its baseline, or that has none."""
    lines = []
    for name, ratio in sorted(measured.items()):
        if name not in baselines:
            lines.append(f"{name} is {ratio:.3f} and has no baseline")
        elif ratio > baselines[name] * WORSE:
            lines.append(f"{name} is {ratio:.3f}, more than a third above its baseline {baselines[name]:.3f}")
    return lines


def check(groups: Groups, baselines: Mapping[str, float], say: Callable[[str], None] = print) -> list[str]:
    """Measures every group, and once more in three times the rounds where a ratio looks worse: a machine may hiccup.

    Args:
        groups: with the rounds of the first try.
        baselines: the committed ratios.
        say: is told each ratio.

    Returns:
        What is worse in both tries; a baseline that nothing was measured for counts as well.
    """
    found: list[str] = []
    seen: set[str] = set()
    for group, rounds in groups.items():
        measured = ratios(group(rounds))
        lines = worse(measured, baselines)
        if lines:
            say(f"again, with more rounds: {'; '.join(lines)}")
            again = ratios(group(rounds.more()))
            measured = {name: min(ratio, again[name]) for name, ratio in measured.items()}
            lines = worse(measured, baselines)
        for name, ratio in measured.items():
            say(f"{name:34} {ratio:8.3f}   baseline {baselines.get(name, float('nan')):8.3f}")
        found += lines
        seen |= set(measured)
    return found + [f"{name} has a baseline and is not measured" for name in sorted(set(baselines) - seen)]


def main(groups: Groups, arguments: Iterable[str]) -> int:
    """The exit code: 1 when something is worse. With `--accept` the ratios of now become the baselines."""
    if "--accept" in arguments:
        lines = [f"{name} = {ratio:.4g}" for name, ratio in sorted(_accepted(groups).items())]
        head = BASELINES.read_text(encoding="utf-8").partition("[ratios]")[0]
        BASELINES.write_text(f"{head}[ratios]\n" + "\n".join(lines) + "\n", encoding="utf-8")
        return 0
    found = check(groups, read_baselines())
    for line in found:
        print(f"WORSE: {line}", file=sys.stderr)
    return 1 if found else 0


def _accepted(groups: Groups) -> dict[str, float]:
    return {name: ratio for group, rounds in groups.items() for name, ratio in ratios(group(rounds)).items()}
