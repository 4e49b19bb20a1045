"""The comparison of ratios with their baselines: it can fail, and it does not fail because a machine hiccups once."""

from collections.abc import Callable
from pathlib import Path

import pytest

from bench.checking import BASELINES, check, read_baselines, worse
from bench.figure import Figure, ratios, table
from bench.rounds import Rounds, take_turns


def group(*values: float) -> Callable[[Rounds], list[Figure]]:
    """A group that gives these ratios, one after the other."""
    rest = iter(values)

    def measure(rounds: Rounds) -> list[Figure]:
        return [Figure(name="figure", what="a figure", ours=next(rest), other=1.0)]

    return measure


def test_a_ratio_more_than_a_third_above_its_baseline_is_named() -> None:
    assert worse({"figure": 1.33}, {"figure": 1.0}) == []
    assert worse({"figure": 0.1}, {"figure": 1.0}) == []
    (line,) = worse({"figure": 1.34}, {"figure": 1.0})
    assert line.startswith("figure is 1.340")


def test_a_ratio_without_a_baseline_is_named() -> None:
    assert worse({"figure": 0.1}, {}) == ["figure is 0.100 and has no baseline"]


def test_a_ratio_that_is_worse_twice_fails() -> None:
    said: list[str] = []
    (line,) = check({group(2.0, 1.9): Rounds(1)}, {"figure": 1.0}, said.append)
    assert line.startswith("figure is 1.900") and said[0].startswith("again")


def test_a_ratio_that_was_worse_only_once_does_not_fail() -> None:
    assert check({group(2.0, 1.0): Rounds(1)}, {"figure": 1.0}, lambda line: None) == []


def test_a_ratio_that_is_fine_is_not_measured_again() -> None:
    assert check({group(1.2): Rounds(1)}, {"figure": 1.0}, lambda line: None) == []


def test_a_baseline_that_nothing_was_measured_for_fails() -> None:
    assert check({group(1.0): Rounds(1)}, {"figure": 1.0, "gone": 1.0}, lambda line: None) == [
        "gone has a baseline and is not measured"
    ]


def test_the_committed_baselines_are_numbers() -> None:
    assert len(read_baselines()) > 10 and all(ratio > 0 for ratio in read_baselines().values())
    assert BASELINES.read_text(encoding="utf-8").startswith("#")


def test_baselines_are_read_from_their_file(tmp_path: Path) -> None:
    (tmp_path / "b.toml").write_text("[ratios]\nfigure = 2\n")
    assert read_baselines(tmp_path / "b.toml") == {"figure": 2.0}


@pytest.mark.parametrize(
    ("figure", "verdict"),
    [
        (Figure(what="x", ours=8.0, most=8.0), "met"),
        (Figure(what="x", ours=8.1, most=8.0), "**MISSED**"),
        (Figure(what="x", ours=1.0, other=5.0, most_ratio=0.2), "met"),
        (Figure(what="x", ours=1.1, other=5.0, most_ratio=0.2), "**MISSED**"),
        (Figure(what="x", ours=1.1, other=5.0), ""),
    ],
)
def test_a_figure_that_is_missed_is_printed_as_missed(figure: Figure, verdict: str) -> None:
    assert table([figure]).rstrip(" |").endswith(verdict)


def test_only_figures_with_a_name_and_a_ratio_are_compared() -> None:
    figures = [
        Figure(name="a", what="x", ours=1.0, other=2.0),
        Figure(what="x", ours=1.0, other=2.0),
        Figure(name="c", what="x", ours=1.0),
    ]
    assert ratios(figures) == {"a": 0.5}


def test_programs_take_turns() -> None:
    calls: list[str] = []
    times = take_turns({"a": lambda: calls.append("a"), "b": lambda: calls.append("b")}, 3)
    assert "".join(calls) == "ab" * 4
    assert {name: len(values) for name, values in times.items()} == {"a": 3, "b": 3}
    assert Rounds(2, min).more() == Rounds(6, min)


@pytest.mark.parametrize(("speed", "verdict"), [(499.9, "**MISSED**"), (500.0, "met"), (2000.0, "met")])
def test_a_speed_has_a_least_value(speed: float, verdict: str) -> None:
    figure = Figure(what="transfer", ours=speed, unit="MB/s", least=500.0)
    assert figure.verdict == verdict
    assert "| at least 500 MB/s |" in table([figure])
