"""A large image from our own HTTP server into the slots of an ECU: each side a process of its own, over loopback."""

import hashlib
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from tempfile import TemporaryDirectory

from bench.figure import Figure
from bench.rounds import Rounds

IMAGE_BYTES = 1 << 30
SMALL_BYTES = 1 << 26
"""Of the image whose download shows that memory does not grow with the image."""

LEAST_SPEED = 500.0
"""MB/s (10**6 bytes)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Transfer:
    """What one client process tells.

    Args:
        seconds: from the request until the image has its name and is on disk.
        peak: of its resident memory, in MB.
        fetched: bytes that came over the network.
        most_on_disk: of the slots while it ran, in MB as the file system counts its blocks.
        left_on_disk: the same afterwards.
    """

    seconds: float
    peak: float
    fetched: int
    most_on_disk: float
    left_on_disk: float


def transfers(rounds: Rounds) -> list[Figure]:
    """An image of 1 GiB streamed, hashed and stored; beside it reading, hashing and writing alone."""
    # In the working folder, not in a temporary one: that might be in memory, where a disk costs nothing.
    with TemporaryDirectory(dir=Path.cwd(), prefix=".bench-") as name:
        folder = Path(name)
        published = folder / "published"
        published.mkdir()
        _write_image(published / "large", IMAGE_BYTES)
        _write_image(published / "small", SMALL_BYTES)
        with _server(published) as port:
            seconds: dict[str, list[float]] = {"ours": [], "both": [], "bare": []}
            for _ in range(rounds.count):
                bare = _client(folder, port, "bare", published / "large", "sha256")
                both = _client(folder, port, "download", published / "large", "sha256,sha512")
                large = _client(folder, port, "download", published / "large", "sha256")
                for who, done in (("ours", large), ("both", both), ("bare", bare)):
                    seconds[who].append(done.seconds)
            small = _client(folder, port, "download", published / "small", "sha256")
            cut, rest = _cut_at_the_half(folder, port, published / "large")
    speed = {who: IMAGE_BYTES / 1e6 / rounds.judge(each) for who, each in seconds.items()}
    stored = IMAGE_BYTES / 1e6
    return [
        Figure(
            what="(h) an image of 1 GiB streamed, hashed (SHA-256) and stored durably",
            ours=speed["ours"],
            other=speed["bare"],
            other_name="socket, hash and file alone",
            unit="MB/s",
            least=LEAST_SPEED,
        ),
        Figure(
            what="(h) the same with both hashes that our repositories list (SHA-256, SHA-512)",
            ours=speed["both"],
            unit="MB/s",
            least=LEAST_SPEED,
        ),
        Figure(
            what="(h) peak memory of its process, beside that of an image of 64 MiB",
            ours=large.peak,
            other=small.peak,
            other_name="64 MiB",
            unit="MB",
            most_ratio=1.1,
        ),
        Figure(
            what="(h) the most that it took on disk while it came, beside the image itself",
            ours=max(large.most_on_disk, large.left_on_disk),
            other=stored,
            other_name="the image",
            unit="MB",
            most_ratio=1.01,
        ),
        Figure(
            what=f"(h) killed at the half ({cut:,} bytes) and started anew: bytes that were fetched again",
            ours=(cut + rest.fetched - IMAGE_BYTES) / 1e6,
            unit="MB",
            most=1.0,
        ),
    ]


def _write_image(path: Path, length: int) -> None:
    piece = os.urandom(1 << 20)
    with path.open("wb") as file:
        for number in range(length >> 20):
            file.write(number.to_bytes(8, "big") + piece[8:])


@lru_cache
def _digests(path: Path, functions: str) -> str:
    digests = []
    for name in functions.split(","):
        with path.open("rb") as file:
            digests.append(f"{name}={hashlib.file_digest(file, name).hexdigest()}")
    return ",".join(digests)


@contextmanager
def _server(published: Path) -> Iterator[int]:
    child = subprocess.Popen(
        [sys.executable, "-m", "bench.transfer_client", "serve", str(published)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with child:
        assert child.stdin is not None and child.stdout is not None
        yield int(child.stdout.readline())
        child.stdin.close()


def _start(folder: Path, port: int, mode: str, image: Path, functions: str) -> "subprocess.Popen[str]":
    words = [mode, str(port), image.name, str(folder / "slots"), str(image.stat().st_size), _digests(image, functions)]
    return subprocess.Popen([sys.executable, "-m", "bench.transfer_client", *words], stdout=subprocess.PIPE, text=True)


def _client(folder: Path, port: int, mode: str, image: Path, functions: str, *, fresh: bool = True) -> Transfer:
    slots = folder / "slots"
    if fresh:
        shutil.rmtree(slots, ignore_errors=True)
    with _start(folder, port, mode, image, functions) as child:
        assert child.stdout is not None
        most = 0.0
        while child.poll() is None:
            most = max(most, _on_disk(slots))
            time.sleep(0.02)
        answer = child.stdout.read().split()
    if child.returncode:
        raise RuntimeError("the client failed")
    return Transfer(
        seconds=float(answer[0]),
        peak=float(answer[1]),
        fetched=int(answer[2]),
        most_on_disk=most,
        left_on_disk=_on_disk(slots),
    )


def _cut_at_the_half(folder: Path, port: int, image: Path) -> tuple[int, Transfer]:
    """Kills a client when half of the image is there; gives how much was, and the transfer that followed."""
    slots, half = folder / "slots", image.stat().st_size // 2
    shutil.rmtree(slots, ignore_errors=True)
    with _start(folder, port, "download", image, "sha256") as child:
        while (came := _partial(slots)) < half and child.poll() is None:
            time.sleep(0.001)
        child.kill()
    came = _partial(slots)
    if came < half:
        raise RuntimeError("the client ended before it could be killed")
    return came, _client(folder, port, "download", image, "sha256", fresh=False)


def _partial(slots: Path) -> int:
    return sum(path.stat().st_size for path in slots.glob("*.part"))


def _on_disk(slots: Path) -> float:
    total = 0
    for path in slots.glob("*"):
        try:
            total += path.stat().st_blocks * 512
        except FileNotFoundError:
            continue  # it has just got its name
    return total / 1e6
