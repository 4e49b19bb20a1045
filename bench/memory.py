"""The memory that reading a Targets file takes: a process of its own for each side, which tells its own peak."""

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

WANTED = "77777"


@dataclass(frozen=True, slots=True, kw_only=True)
class Peak:
    """Megabytes (10**6 bytes) of resident memory.

    Args:
        whole: of the process at its peak, interpreter and libraries included.
        added: by how much that is more than it had after its imports.
    """

    whole: float
    added: float


def peak_megabytes(who: str, folder: Path) -> Peak:
    """The peak of a fresh process that reads `root.json` and `targets.json` of a folder.

    `VmHWM` of Linux is asked, not `ru_maxrss`: that one may tell the parent's memory from before the child's `exec`.

    Args:
        who: `ours` or `tuf`.
        folder: where the files are.
    """
    done = subprocess.run(
        [sys.executable, "-m", "bench.memory", who, str(folder)], check=True, capture_output=True, text=True
    )
    after_imports, peak = (int(word) / 1000 for word in done.stdout.split())
    return Peak(whole=peak, added=peak - after_imports)


def resident(field: str) -> int:
    """Memory of this process in kilobytes (1,000 bytes), by the name that `/proc/self/status` has for it."""
    for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
        name, _, value = line.partition(":")
        if name == field:
            return int(value.split()[0]) * 1024 // 1000
    raise ValueError(f"the system tells no {field}")


def _ours(folder: Path) -> None:
    from uptane.formats.json_format import JSON
    from uptane.metadata.identifiers import ImagePath
    from uptane.metadata.root import Role, Root
    from uptane.metadata.targets import Targets
    from uptane.verification.threshold import check_threshold

    before = resident("VmRSS")
    root = JSON.decode(Root, (folder / "root.json").read_bytes()).payload
    envelope = JSON.decode(Targets, (folder / "targets.json").read_bytes())
    check_threshold(envelope, root.keys, root.roles[Role.TARGETS], repository="bench", role=Role.TARGETS)
    if envelope.payload.images[ImagePath(f"supplier7/firmware-0{WANTED}.img")].file.length != 1_000 + int(WANTED):
        raise ValueError("another image")
    print(before, resident("VmHWM"))


def _tuf(folder: Path) -> None:
    from typing import Any

    from tuf.api.metadata import Metadata, Root, Targets

    before = resident("VmRSS")
    root: Any = Metadata[Root].from_bytes((folder / "root.json").read_bytes()).signed
    metadata = Metadata[Targets].from_bytes((folder / "targets.json").read_bytes())
    root.verify_delegate("targets", metadata.signed_bytes, metadata.signatures)
    if metadata.signed.targets[f"supplier7/firmware-0{WANTED}.img"].length != 1_000 + int(WANTED):
        raise ValueError("another image")
    print(before, resident("VmHWM"))


if __name__ == "__main__":
    {"ours": _ours, "tuf": _tuf}[sys.argv[1]](Path(sys.argv[2]))
