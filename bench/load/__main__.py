"""`make load`: prints the figures and writes `docs/load.md`."""

import argparse
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from bench.document import machine
from bench.figure import table
from bench.load.run import Size, measure

PAGE = Path(__file__).resolve().parents[2] / "docs" / "load.md"
WORDS = Path(__file__).with_name("words.md")


def main(arguments: list[str]) -> int:
    """The exit code."""
    parser = argparse.ArgumentParser(prog="make load")
    parser.add_argument("--vehicles", type=int, default=Size().vehicles)
    parser.add_argument("--polls", type=int, default=Size().polls, help="of each vehicle, in each of two passes")
    parser.add_argument("--format", choices=("der", "json"), default="der")
    parser.add_argument("--print", action="store_true", help="leave docs/load.md as it is")
    asked = parser.parse_args(arguments)
    with TemporaryDirectory(dir=Path.cwd(), prefix=".load-") as folder:
        figures = measure(Path(folder), Size(vehicles=asked.vehicles, polls=asked.polls), asked.format)
    print(table(figures))
    if not asked.print:
        words = WORDS.read_text(encoding="utf-8")
        page = words.replace("{figures}", table(figures)).replace("{machine}", machine())
        PAGE.write_text(page, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
