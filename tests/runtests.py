"""Runs all tests with one metadata format: `python tests/runtests.py [der|json|pouf1|pouf1-json]`."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

FORMATS = ("der", "json", "pouf1", "pouf1-json")
WRONG_USE = 2


def main(arguments: list[str]) -> int:
    """Runs pytest in a process of its own.

    Args:
        arguments: nothing for `der`, or one format.

    Returns:
        The exit code of pytest, or 2 for other arguments and where pytest is missing.
    """
    if len(arguments) > 1 or not set(arguments) <= set(FORMATS):
        print(f"usage: python tests/runtests.py [{'|'.join(FORMATS)}], not {' '.join(arguments)!r}", file=sys.stderr)
        return WRONG_USE
    if importlib.util.find_spec("pytest") is None:
        print(f"{sys.executable} has no pytest. Run: pip install -r dev-requirements.txt", file=sys.stderr)
        return WRONG_USE
    side_by_side = ["-n", "2"] if importlib.util.find_spec("xdist") else []
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-q", *side_by_side],
        cwd=Path(__file__).resolve().parent.parent,
        env=os.environ | {"UPTANE_DEMO__FORMAT": (arguments or FORMATS)[0]},
        check=False,
    ).returncode


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
