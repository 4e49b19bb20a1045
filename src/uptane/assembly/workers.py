"""A server of several processes: the parent starts workers, replaces those that die, and ends them in good order."""

import asyncio
import signal
import socket
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass

import msgspec

from uptane.assembly.tls_server import CLOSE_SECONDS, GRACE_SECONDS
from uptane.metadata.errors import WorkersError

COMMAND = (sys.executable, "-P", "-m", "uptane.assembly.worker")
"""A worker's command; `-P` keeps modules of the working directory out."""

READY = b"ready\n"
"""What a worker tells its parent when it answers requests."""

STEADY_SECONDS = 10.0
"""A worker that has lived so long did not die at once; another one takes its place without a pause."""

FIRST_PAUSE = 0.5
MAX_PAUSE = 30.0
"""Seconds before another worker starts, doubled each time that one dies at once."""

ATTEMPTS = 5
"""Starts of each worker, in a row and while none answers, after which the server gives up."""

STOP_SECONDS = GRACE_SECONDS + CLOSE_SECONDS + 5
"""Seconds after which a worker that was asked to end is killed: longer than its own grace."""


class WorkerTask(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a parent tells a worker, as one line of JSON over the socket that is the worker's standard input.

    That socket stays open for as long as both live, so that each learns of the other's end.

    Args:
        settings: as the parent has read them; a worker that starts later has the same.
        systems: that run in it.
        certificate, key: the files of the server's certificate, which the parent made.
        listener: the descriptor of the listening socket.
        admin: of the one for operators, if there is one.
    """

    settings: str
    systems: tuple[str, ...]
    certificate: str
    key: str
    listener: int
    admin: int | None = None


@dataclass(frozen=True, slots=True)
class _Worker:
    process: asyncio.subprocess.Process
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def answers(self) -> bool:
        """Waits until it answers requests; False where it ended before."""
        try:
            return await self.reader.readline() == READY
        except OSError:
            return False


class Workers:
    """Worker processes on one listening socket.

    Args:
        count: how many.
        listener: the socket; closed when the workers shall end.
        task: what each is told.
        say: is told each start and end, in one line.
        where: said when the first worker answers.
        command: what a worker is started with.
        first_pause: see FIRST_PAUSE.
    """

    def __init__(
        self,
        count: int,
        listener: socket.socket,
        task: WorkerTask,
        say: Callable[[str], None],
        where: str,
        *,
        command: Sequence[str] = COMMAND,
        first_pause: float = FIRST_PAUSE,
    ) -> None:
        self._count = count
        self._listener = listener
        self._inherited = [number for number in (task.listener, task.admin) if number is not None]
        self._task = msgspec.json.encode(task) + b"\n"
        self._report = say
        self._where = where
        self._command = command
        self._first_pause = first_pause
        self._alive: dict[int, _Worker] = {}
        self._answering: set[int] = set()
        self._in_vain = 0

    async def run(self) -> None:
        """Keeps the workers running until SIGTERM or SIGINT. For the main thread.

        Raises:
            WorkersError: none of them starts.
        """
        loop = asyncio.get_running_loop()
        asked = asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, asked.set)
        keeping = [asyncio.create_task(self._keep(number)) for number in range(1, self._count + 1)]
        waiting = asyncio.create_task(asked.wait())
        try:
            done, _ = await asyncio.wait([waiting, *keeping], return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._listener.close()
            for task in (waiting, *keeping):
                task.cancel()
            await asyncio.gather(waiting, *keeping, return_exceptions=True)
            await asyncio.gather(*(self._end(number) for number in sorted(self._alive)))
            for number in (signal.SIGTERM, signal.SIGINT):
                loop.remove_signal_handler(number)
        for task in done:
            await task

    def _say(self, line: str) -> None:
        with suppress(OSError):  # nobody reads any more what is said; that ends no server
            self._report(line)

    async def _keep(self, number: int) -> None:
        """Has one worker running; ends with an error only."""
        at_once = 0
        while True:
            began = asyncio.get_running_loop().time()
            ended = await self._one_life(number)
            steady = asyncio.get_running_loop().time() - began >= STEADY_SECONDS
            at_once = 0 if steady else at_once + 1
            if not self._answering and self._in_vain >= ATTEMPTS * self._count:
                raise WorkersError(
                    f"no worker has answered in {self._in_vain} starts; the last one {ended}",
                    next_step="What each of them said before says why.",
                )
            pause = 0.0 if steady else min(MAX_PAUSE, self._first_pause * 2.0 ** min(at_once - 1, 10))
            self._say(f"worker {number} {ended}; another one starts " + (f"in {pause:g} s" if pause else "at once"))
            await asyncio.sleep(pause)

    async def _one_life(self, number: int) -> str:
        """Starts a worker and waits for its end; how that was."""
        try:
            worker = await self._started(number)
        except OSError as error:
            self._in_vain += 1
            return f"could not be started: {error.strerror}"
        process = worker.process
        try:
            self._say(f"worker {number} started as process {process.pid}")
            if await worker.answers():
                self._in_vain = 0
                self._answering.add(number)
                if self._where:
                    self._say(self._where)
                    self._where = ""
            else:
                self._in_vain += 1
            await process.wait()
        finally:
            self._answering.discard(number)
            if process.returncode is not None:
                del self._alive[number]
                worker.writer.close()
        return _ended(process)

    async def _started(self, number: int) -> _Worker:
        ours, theirs = socket.socketpair()
        with theirs:
            reader, writer = await asyncio.open_connection(sock=ours)
            try:
                process = await asyncio.create_subprocess_exec(
                    *self._command,
                    stdin=theirs.fileno(),
                    pass_fds=self._inherited,
                    start_new_session=True,  # Ctrl-C is for the parent, which hands it on
                )
            except BaseException:
                writer.close()
                raise
        self._alive[number] = worker = _Worker(process, reader, writer)
        writer.write(self._task)
        return worker

    async def _end(self, number: int) -> None:
        """Asks a worker to end, and kills it where it does not."""
        worker = self._alive.pop(number)
        process = worker.process
        with suppress(ProcessLookupError):
            process.terminate()
        try:
            await asyncio.wait_for(process.wait(), STOP_SECONDS)
        except TimeoutError:
            process.kill()
            await process.wait()
        worker.writer.close()
        self._say(f"worker {number} {_ended(process)}")


def _ended(process: asyncio.subprocess.Process) -> str:
    code = process.returncode or 0
    if code < 0:
        name = next((each.name for each in signal.Signals if each == -code), f"signal {-code}")
        return f"(process {process.pid}) was killed by {name}"
    return f"(process {process.pid}) ended" + (f" with exit code {code}" if code else "")
