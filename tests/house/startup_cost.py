"""What the start of our commands costs, in milliseconds: run by `make bench-start`.

Prints what `uptane --help` costs above an empty cyclopts app with as many commands; the aim is at most 50 ms. And what
`uptane-tuf-client` costs before its first request; the aim is at most 200 ms. Times depend on the machine, so no test
judges them. What tests do judge is which modules are imported (`tests/cli/test_main.py`, `tests/interop`).
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


TUF_CLIENT = """
from uptane.cli.tuf_client import main
import uptane.assembly.tuf_client, uptane.transport.http_client
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
    programs = {"an empty app": EMPTY.format(names=names), "uptane": UPTANE, "uptane-tuf-client": TUF_CLIENT}
    times: dict[str, list[float]] = {name: [] for name in programs}
    for _ in range(RUNS):
        for name, program in programs.items():
            times[name].append(seconds(program))
    medians = {name: statistics.median(measured) for name, measured in times.items()}
    print(
        f"uptane-tuf-client {medians.pop('uptane-tuf-client') * 1000:.1f} ms before its first request, of at most 200"
    )
    for name, median in medians.items():
        print(f"{name:14} --help with {len(names)} commands: {median * 1000:6.1f} ms (median of {RUNS})")
    difference = medians["uptane"] - medians["an empty app"]
    print(f"{'difference':14} {difference * 1000:6.1f} ms, of at most 50 ms")


if __name__ == "__main__":
    main()
