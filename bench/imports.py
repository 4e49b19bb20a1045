"""What importing the core costs above an empty Python."""

import subprocess
import sys
import time

from bench.figure import Figure
from bench.rounds import Rounds

STATEMENT = "import uptane.verification, uptane.formats"
VERIFYING = "import uptane.verification.full_verification, uptane.formats.profiles"
EVERYTHING = (
    "import pkgutil, importlib, uptane.verification, uptane.formats\n"
    "for package in (uptane.verification, uptane.formats):\n"
    "    for module in pkgutil.iter_modules(package.__path__, package.__name__ + '.'):\n"
    "        importlib.import_module(module.name)\n"
)
TUF = "import tuf.api.metadata, tuf.ngclient"


def _milliseconds(program: str) -> float:
    started = time.perf_counter()
    subprocess.run([sys.executable, "-c", program], check=True)
    return (time.perf_counter() - started) * 1000


def imports(rounds: Rounds) -> list[Figure]:
    """The statement as it stands, which loads next to nothing, and what a program that verifies needs: (g)."""
    programs = {
        "bare": "pass",
        "statement": STATEMENT,
        "verifying": VERIFYING,
        "everything": EVERYTHING,
        "tuf": TUF,
    }
    times: dict[str, list[float]] = {name: [] for name in programs}
    for _ in range(rounds.count):
        for name, program in programs.items():
            times[name].append(_milliseconds(program))
    judged = {name: rounds.judge(values) for name, values in times.items()}
    above = {name: value - judged["bare"] for name, value in judged.items()}
    return [
        Figure(
            what=f"(g) `{STATEMENT}`, above bare Python ({judged['bare']:.0f} ms)",
            ours=above["statement"],
            most=80.0,
        ),
        Figure(
            name="import_verifying_to_tuf",
            what="(g) full verification and both formats, above bare Python",
            ours=above["verifying"],
            other=above["tuf"],
            other_name="tuf.api.metadata and tuf.ngclient",
            most=80.0,
        ),
        Figure(
            what="every module of both packages, XML-RPC among them, above bare Python",
            ours=above["everything"],
        ),
    ]
