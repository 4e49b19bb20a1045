"""Writes `docs/benchmarks.md`: the figures with the machine and the versions that they were measured with."""

import os
import platform
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from bench.figure import Figure, table

PAGE = Path(__file__).resolve().parents[1] / "docs" / "benchmarks.md"
WORDS = Path(__file__).with_name("words.md")
LIBRARIES = ("cryptography", "msgspec", "httpx2", "h11", "uvicorn", "SQLAlchemy", "tuf", "securesystemslib")


def write_document(figures: list[Figure]) -> None:
    """Writes the page: the words that stand beside this module, with the figures and the machine in their places."""
    words = WORDS.read_text(encoding="utf-8")
    page = words.replace("{figures}", table(figures)).replace("{machine}", machine())
    PAGE.write_text(page, encoding="utf-8")


def machine() -> str:
    """The machine and the versions, a line each."""
    versions = ", ".join(f"{name} {version(name)}" for name in LIBRARIES)
    return "\n".join(
        [
            f"- {datetime.now(UTC):%Y-%m-%d}, {_processor()}, {os.cpu_count()} cores, {platform.system()} "
            f"{platform.release()}",
            f"- {platform.python_implementation()} {platform.python_version()}, {versions}",
            f"- files on {_file_system()}; load average {os.getloadavg()[0]:.1f}, to which the run adds 1 to 2",
        ]
    )


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.processor() or "an unknown processor"


def _file_system() -> str:
    """The kind of the file system of the working folder."""
    best, kind = "", "an unknown file system"
    here = str(Path.cwd())
    for line in Path("/proc/self/mounts").read_text(encoding="utf-8").splitlines():
        _, place, name, *_ = line.split()
        if (here + "/").startswith(place.rstrip("/") + "/") and len(place) >= len(best):
            best, kind = place, name
    return kind
