"""Lines of the log that may wait are written together, and nothing is lost, mixed or out of order but by a kill."""

import asyncio
import io
import json
import subprocess
import sys
import threading

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


def test_what_waits_is_written_when_the_program_ends() -> None:
    program = """
import asyncio, structlog
from uptane.assembly.logs import start_logging
start_logging("json", "info", waiting_seconds=60)
async def scenario():
    structlog.get_logger().info("the last word", vehicle="VIN1")
asyncio.run(scenario())
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    (line,) = done.stderr.splitlines()
    assert json.loads(line)["event"] == "the last word"
