"""Lines of the log that may wait are written together, and nothing is lost, mixed or out of order but by a kill."""

import asyncio
import gc
import io
import json
import subprocess
import sys
import threading
from collections.abc import Callable
from typing import Any

import pytest

from uptane.assembly.log_lines import WRITTEN_AT_ONCE, LogLines


class Pieces(io.StringIO):
    """A stream that remembers each write."""

    def __init__(self) -> None:
        super().__init__()
        self.pieces: list[str] = []

    def write(self, text: str) -> int:
        """One write of the process."""
        self.pieces.append(text)
        return len(text)


class Full(Pieces):
    """A stream on a full disk."""

    def flush(self) -> None:
        """Fails once something was written."""
        if self.pieces:
            raise OSError(28, "No space left on device")


def test_lines_that_may_wait_are_one_write_in_their_order() -> None:
    stream = Pieces()
    lines = LogLines(stream, 0.01)

    async def scenario() -> None:
        for line in ("first", "second", "third"):
            lines.info(line)
        assert stream.pieces == []
        await asyncio.sleep(0.05)
        assert stream.pieces == ["first\nsecond\nthird\n"]
        lines.debug("fourth")
        await asyncio.sleep(0.05)
        assert stream.pieces[1:] == ["fourth\n"]

    asyncio.run(scenario())


@pytest.mark.parametrize("level", ["warning", "error", "critical"])
def test_a_warning_is_written_at_once_behind_what_waits(level: str) -> None:
    stream = Pieces()
    lines = LogLines(stream, 60)

    async def scenario() -> None:
        lines.info("waits")
        getattr(lines, level)("urgent")
        assert stream.pieces == ["waits\nurgent\n"]
        lines.info("waits too")
        lines.write("of a library\n")
        assert stream.pieces[1:] == ["waits too\nof a library\n"]

    asyncio.run(scenario())


def test_a_line_waits_for_no_loop_that_has_ended_and_for_none_that_is_elsewhere() -> None:
    stream = Pieces()
    lines = LogLines(stream, 0.01)

    async def leaves_one_behind() -> None:
        lines.info("left behind")

    async def is_seen_again() -> None:
        lines.info("next loop")
        await asyncio.sleep(0.05)

    lines.info("no loop")
    asyncio.run(leaves_one_behind())
    assert stream.pieces == ["no loop\n"]
    asyncio.run(is_seen_again())
    assert stream.pieces[1:] == ["left behind\nnext loop\n"]

    async def another_thread_logs() -> None:
        lines.info("waits")
        thread = threading.Thread(target=lines.info, args=("of a thread",))
        thread.start()
        thread.join()
        assert stream.pieces[2:] == ["waits\nof a thread\n"]

    asyncio.run(another_thread_logs())


def in_a_thread(scenario: Callable[[], object]) -> None:
    """Runs what might never end."""
    thread = threading.Thread(target=scenario, daemon=True)
    thread.start()
    thread.join(30)
    assert not thread.is_alive(), "it waits for itself"


def test_whoever_logs_while_a_line_is_taken_does_not_wait_for_himself_and_no_line_is_lost() -> None:
    """The garbage collector may come at any time, and have asyncio tell of an exception that nobody has fetched."""
    stream = Pieces()
    lines = LogLines(stream, 0.001)
    collected, said = [0], [f"line {number}" for number in range(2_000)]

    def complains(phase: str, info: dict[str, int]) -> None:
        if phase == "stop" and collected[0] < 500:
            collected[0] += 1
            lines.error(f"collected {collected[0]}")

    async def scenario() -> None:
        for number, line in enumerate(said):
            lines.info(line)
            if number % 10 == 0:
                await asyncio.sleep(0)

    before = gc.get_threshold()
    gc.callbacks.append(complains)
    gc.set_threshold(1, 1_000_000, 1_000_000)
    try:
        in_a_thread(lambda: asyncio.run(scenario()))
    finally:
        gc.set_threshold(*before)
        gc.callbacks.remove(complains)
    lines.flush()
    written = "".join(stream.pieces).splitlines()
    assert collected[0] > 50 and sorted(written) == sorted(
        [*said, *(f"collected {n + 1}" for n in range(collected[0]))]
    )
    assert [line for line in written if line in set(said)] == said


def test_threads_share_it_and_every_line_is_there_once_and_whole() -> None:
    stream = Pieces()
    lines = LogLines(stream, 0.001)

    def talk(name: int) -> None:
        for number in range(500):
            (lines.info if number % 2 else lines.warning)(f"{name} {number} " + "x" * 40)

    async def scenario() -> None:
        threads = [asyncio.to_thread(talk, name) for name in range(3)]
        talking = asyncio.gather(*threads)
        for number in range(500):
            lines.info(f"loop {number} " + "x" * 40)
            await asyncio.sleep(0)
        await talking

    in_a_thread(lambda: asyncio.run(scenario()))
    lines.flush()
    written = "".join(stream.pieces).splitlines()
    assert len(written) == len(set(written)) == 2_000 and {line.count("x") for line in written} == {40}


def test_a_full_buffer_leaves_no_timer_that_cuts_the_next_one_short() -> None:
    stream = Pieces()
    lines = LogLines(stream, 0.2)

    async def scenario() -> None:
        loop, timers = asyncio.get_running_loop(), 0
        real = loop.call_later

        def counted(*arguments: Any, **more: Any) -> Any:
            nonlocal timers
            timers += 1
            return real(*arguments, **more)

        loop.call_later = counted  # type: ignore[method-assign]
        for number in range(1_000):
            lines.info(f"{number} " + "x" * 100)
        assert timers == 1 and len(stream.pieces) > 20

    asyncio.run(scenario())


def test_no_write_is_so_long_that_lines_of_several_processes_mix() -> None:
    stream = Pieces()
    lines = LogLines(stream, 60)
    said = [f"{number} " + "ü" * number for number in range(200)]

    async def scenario() -> None:
        for line in said:
            lines.info(line)
        lines.info("long " + "x" * WRITTEN_AT_ONCE)
        lines.warning("the end")

    asyncio.run(scenario())
    sizes = [len(piece.encode()) for piece in stream.pieces]
    assert sizes.pop(-2) > WRITTEN_AT_ONCE, "a longer line is a write by itself"
    assert max(sizes) <= WRITTEN_AT_ONCE and len(sizes) < 15
    assert "".join(stream.pieces).splitlines() == [*said, "long " + "x" * WRITTEN_AT_ONCE, "the end"]


def test_a_log_that_cannot_be_written_stops_nobody_and_keeps_nothing_in_memory() -> None:
    stream = Full()
    lines = LogLines(stream, 0.01)

    async def scenario() -> None:
        problems = []
        asyncio.get_running_loop().set_exception_handler(lambda loop, context: problems.append(context))
        lines.info("lost")
        await asyncio.sleep(0.05)
        lines.error("lost as well")
        assert stream.pieces == ["lost\n", "lost as well\n"] and problems == []

    asyncio.run(scenario())


PROGRAM = """
import asyncio, structlog
from uptane.assembly.logs import start_logging
start_logging("json", "info", waiting_seconds=60)
async def scenario():
    structlog.get_logger().info("the last word", vehicle="VIN1")
asyncio.run(scenario())
print("done")
"""


def test_what_waits_is_written_when_the_program_ends() -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True)
    (line,) = done.stderr.splitlines()
    assert json.loads(line)["event"] == "the last word"


def test_a_program_that_was_started_without_standard_error_logs_nowhere() -> None:
    closed = ["sh", "-c", 'exec "$0" "$@" 2>&-', sys.executable, "-c", PROGRAM]
    done = subprocess.run(closed, stdout=subprocess.PIPE, text=True, check=True)
    assert done.stdout == "done\n"
