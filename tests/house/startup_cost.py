"""What `uptane --help` costs above an empty cyclopts app with as many commands: run by `make bench-start`.

Prints the median of each and the difference; the aim is at most 50 ms. Times depend on the machine, so no test judges
them. What a test does judge is which modules are imported (`tests/cli/test_main.py`).
"""

import statistics
import subprocess
import sys
import time

RUNS = 15

EMPTY = """
from cyclopts import App
app = App(name="empty", help="An empty command line.", version="1", result_action="return_value")
for name in {names!r}:
    def command() -> None:
        "Do nothing."
    app.command(command, name=name)
app(["--help"])
"""

UPTANE = """
from uptane.cli.main import main
main(["--help"])
"""


def seconds(program: str) -> float:
    """The wall time of a Python process that runs `program`."""
    started = time.perf_counter()
    subprocess.run([sys.executable, "-c", program], check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - started


def main() -> None:
    """Measures both in turn, so that a busy machine slows both."""
    from uptane.cli.main import app

    names = [name for name in app if not name.startswith("-")]
    programs = {"an empty app": EMPTY.format(names=names), "uptane": UPTANE}
    times: dict[str, list[float]] = {name: [] for name in programs}
    for _ in range(RUNS):
        for name, program in programs.items():
            times[name].append(seconds(program))
    medians = {name: statistics.median(measured) for name, measured in times.items()}
    for name, median in medians.items():
        print(f"{name:14} --help with {len(names)} commands: {median * 1000:6.1f} ms (median of {RUNS})")
    difference = medians["uptane"] - medians["an empty app"]
    print(f"{'difference':14} {difference * 1000:6.1f} ms, of at most 50 ms")


if __name__ == "__main__":
    main()
