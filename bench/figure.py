"""One measured figure: ours beside another one of the same run, the ratio of the two, and what it has to be."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """A figure as it stands in a row of the table.

    Args:
        name: of the ratio, as the baselines know it; empty where the figure has no ratio.
        what: what was measured.
        ours: our value.
        other: the value it is compared with; None where there is nothing to compare it with.
        other_name: what that one is.
        unit: of both values.
        most, least: the most, or the least, that `ours` may be, in that unit; None for no such bound.
        most_ratio: the most that `ours / other` may be; None for no such bound.
    """

    name: str = ""
    what: str
    ours: float
    other: float | None = None
    other_name: str = ""
    unit: str = "ms"
    most: float | None = None
    least: float | None = None
    most_ratio: float | None = None

    @property
    def ratio(self) -> float | None:
        """Ours divided by the other."""
        return None if self.other is None else self.ours / self.other

    @property
    def met(self) -> bool | None:
        """Whether the bound holds; None where there is none."""
        if self.most is not None:
            return self.ours <= self.most
        if self.least is not None:
            return self.ours >= self.least
        if self.most_ratio is not None and self.ratio is not None:
            return self.ratio <= self.most_ratio
        return None

    @property
    def bound(self) -> str:
        """The bound in words."""
        if self.most is not None:
            return f"at most {self.most:g} {self.unit}"
        if self.least is not None:
            return f"at least {self.least:g} {self.unit}"
        if self.most_ratio is not None:
            return f"ratio at most {self.most_ratio:g}"
        return ""

    @property
    def verdict(self) -> str:
        """`met`, `MISSED`, or nothing where there is no bound."""
        return {True: "met", False: "**MISSED**", None: ""}[self.met]


def ratios(figures: list[Figure]) -> Mapping[str, float]:
    """The named ratios: what does not depend on the speed of the machine."""
    return {figure.name: figure.ratio for figure in figures if figure.name and figure.ratio is not None}


def table(figures: list[Figure]) -> str:
    """The figures as a table in Markdown."""
    lines = ["| figure | ours | compared with | ratio | bound | |", "| --- | ---: | ---: | ---: | --- | --- |"]
    for figure in figures:
        other = "" if figure.other is None else f"{figure.other_name}: {_number(figure.other)} {figure.unit}"
        ratio = "" if figure.ratio is None else f"{figure.ratio:.2f}"
        ours = f"{_number(figure.ours)} {figure.unit}"
        lines.append(f"| {figure.what} | {ours} | {other} | {ratio} | {figure.bound} | {figure.verdict} |")
    return "\n".join(lines)


def _number(value: float) -> str:
    if value >= 100:
        return f"{value:.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.3f}"
