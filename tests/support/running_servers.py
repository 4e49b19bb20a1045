"""Production servers as processes, and clients that ask them."""

import asyncio
import os
import re
import select
import signal
import socket
import ssl
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import TextIO

from certificates import ask, get

from uptane.assembly import production
from uptane.assembly.production import initialise, utc_now
from uptane.assembly.serving import certificates_of
from uptane.assembly.settings import Settings, load_settings, write_settings
from uptane.metadata.identifiers import VehicleIdentifier
from uptane.storage.certificate_authority import CertificateAuthority
from uptane.storage.tls_credentials import VehicleCredentials
from uptane.transport.tls import client_tls

UPTANE = Path(sys.executable).with_name("uptane")
VEHICLE = VehicleIdentifier("VIN123")
SECONDS = 60
"""Until what is waited for must have happened."""


def new_servers(folder: Path, *, published: datetime | None = None) -> Settings:
    """A folder as `uptane init` makes it, with SQLite and a folder; its Image repository published at that time."""
    write_settings(
        folder,
        form="der",
        database="data/inventory.sqlite",
        storage="data/image-repository",
        names=("localhost",),
        port=0,
    )
    settings = load_settings(folder)
    now = production.utc_now
    if published is not None:
        production.utc_now = lambda: published
    try:
        asyncio.run(initialise(settings))
    finally:
        production.utc_now = now
    return settings


def tls_of(settings: Settings) -> ssl.SSLContext:
    """TLS of a vehicle with a certificate."""
    authority = CertificateAuthority.in_folder(certificates_of(settings), now=utc_now())
    held = VehicleCredentials(settings.folder / "car", VEHICLE)
    held.keep(authority.certify_vehicle(held.request(), VEHICLE, now=utc_now(), lifetime=timedelta(days=1)))
    return client_tls(authorities=authority.certificate_file, credentials=held.file)


@dataclass
class RunningServer:
    """A server in a process of its own.

    Args:
        process: of `uptane serve`.
        said: what it has said, line by line.
    """

    process: "subprocess.Popen[str]"
    said: list[str] = field(default_factory=list)

    def until(self, text: str) -> str:
        """Waits for a line with this text."""
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.said.append(line.rstrip("\n"))
            if text in line:
                return line
        raise AssertionError(f"it ended, and never said {text!r}: {self.said}")

    @property
    def port(self) -> int:
        """Where it listens; waits until it answers there."""
        told = [line for line in self.said if "https://" in line] or [self.until("https://")]
        return int(told[0].rstrip("\n").rpartition(":")[2])

    def worker(self, number: int) -> int:
        """The process of a worker that runs."""
        found = [re.search(rf"^worker {number} started as process (\d+)", line) for line in self.said]
        return int([each for each in found if each][-1][1])  # type: ignore[index]

    def end(self, number: int = signal.SIGTERM) -> int:
        """Asks it to end; its exit code."""
        self.process.send_signal(number)
        return self.process.wait(SECONDS)


@contextmanager
def running(
    folder: Path,
    *words: str,
    variables: Mapping[str, str] | None = None,
    ready: Sequence[str] = ("https://",),
    errors: TextIO | None = None,
) -> Iterator[RunningServer]:
    """`uptane serve` of a folder, ended with the context at the latest; it has said what `ready` names."""
    with subprocess.Popen(
        [str(UPTANE), "serve", str(folder), *words],
        env={**os.environ, **(variables or {})},
        stdout=subprocess.PIPE,
        stderr=errors,
        text=True,
    ) as process:
        server = RunningServer(process)
        try:
            for text in ready:
                if not any(text in line for line in server.said):
                    server.until(text)
            yield server
        finally:
            if process.poll() is None:
                process.terminate()
            process.wait(SECONDS)


@contextmanager
def watched(process: int) -> Iterator[int]:
    """A descriptor by which `has_ended` tells when a process that is nobody's child of ours has ended."""
    descriptor = os.pidfd_open(process)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def has_ended(descriptor: int) -> bool:
    """Waits for the end of a watched process."""
    return bool(select.select([descriptor], [], [], SECONDS)[0])


def asked_until_answered(port: int, tls: ssl.SSLContext, path: str) -> tuple[bytes, int]:
    """The answer to a request that is made again where the connection breaks, and how often it was."""
    for again in range(1000):
        with suppress(OSError):
            answer = ask(port, tls, get(path, "Connection: close"))
            if is_whole(answer):
                return answer, again
    raise AssertionError(f"{path} was never answered")


def is_whole(answer: bytes) -> bool:
    """Whether an answer has the body that its head promises."""
    head, found, body = answer.partition(b"\r\n\r\n")
    length = re.search(rb"content-length: (\d+)", head.lower())
    return bool(found) and length is not None and len(body) == int(length[1])


def refused(port: int) -> bool:
    """Waits until nobody listens there any more."""
    for _ in range(10_000):
        try:
            socket.create_connection(("127.0.0.1", port), timeout=10).close()
        except ConnectionRefusedError:
            return True
        except OSError:
            continue
    return False
