"""Connections at hand run one statement each, and nobody gets the answer to somebody else's."""

import asyncio
from collections.abc import Callable, Coroutine, Iterator
from typing import Any

import psycopg
import pytest
from postgresql import running_postgresql
from psycopg.conninfo import make_conninfo
from psycopg.pq import Format
from psycopg_pool import PoolTimeout
from psycopg_pool.base import AttemptWithBackoff

from uptane.storage.sql import postgresql_connections
from uptane.storage.sql.postgresql_connections import CONNECTIONS, ConnectionsAtHand
from uptane.storage.sql.postgresql_statements import Statement, StatementConnection

ECHO = Statement.of("echo", "SELECT %(said)s::text, pg_backend_pid()", said=Format.TEXT)
SLOW = Statement.of("slow", "SELECT %(said)s::text, pg_sleep(60)", said=Format.TEXT)
WRONG = Statement.of("wrong", "SELECT 1 / length(%(said)s::text)", said=Format.TEXT)
LONG = Statement.of("long", "SELECT length(%(said)s::bytea)", said=Format.BINARY)
END = Statement.of("end", "SELECT pg_terminate_backend(%(said)s::int)", said=Format.TEXT)

Story = Callable[[ConnectionsAtHand], Coroutine[Any, Any, None]]


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    """PostgreSQL, once for all."""
    with running_postgresql() as url:
        yield url


@pytest.fixture
def tell(server: str) -> Callable[..., None]:
    """Runs a story with connections to it."""

    async def told(story: Story, wait_seconds: float) -> None:
        async with ConnectionsAtHand(server, {"autocommit": True}, wait_seconds=wait_seconds).open() as connections:
            await story(connections)

    return lambda story, wait_seconds=60.0: asyncio.run(told(story, wait_seconds))


async def say(connections: ConnectionsAtHand, word: str) -> int:
    """The process that has answered, with that word."""
    ((answer, process),) = await connections.rows(ECHO, [word.encode()])
    assert answer == word
    return int(process)


async def asleep(connections: ConnectionsAtHand, *tasks: "asyncio.Task[Any]") -> None:
    """Waits until as many connections are in use as tasks run a statement."""
    while len(connections._since) - len(connections._at_hand) < len(tasks):
        assert not any(task.done() for task in tasks)
        await asyncio.sleep(0.01)


def slow(connections: ConnectionsAtHand, count: int) -> "list[asyncio.Task[Any]]":
    """Statements that nothing but a cancellation ends."""
    return [asyncio.create_task(connections.rows(SLOW, [b"never"])) for _ in range(count)]


def test_everybody_gets_the_answer_to_his_own_statement_from_few_connections(tell: Callable[..., None]) -> None:
    async def story(connections: ConnectionsAtHand) -> None:
        processes = await asyncio.gather(*(say(connections, f"word {number}") for number in range(100)))
        assert len(set(processes)) <= CONNECTIONS
        assert len(connections._at_hand) == connections._count == len(connections._since)

    tell(story)


def test_who_leaves_before_the_answer_leaves_it_to_nobody(tell: Callable[..., None]) -> None:
    async def story(connections: ConnectionsAtHand) -> None:
        for number in range(20):
            left = slow(connections, 3)
            await asleep(connections, *left)
            for task in left:
                task.cancel()
            words = [f"{number} {word}" for word in ("a", "b", "c", "d")]
            await asyncio.gather(*(say(connections, word) for word in words))
            assert {type(each) for each in await asyncio.gather(*left, return_exceptions=True)} == {
                asyncio.CancelledError
            }
        assert connections._count == len(connections._since) <= CONNECTIONS

    tell(story)


def test_a_wrong_statement_leaves_its_connection_in_order(tell: Callable[..., None]) -> None:
    async def story(connections: ConnectionsAtHand) -> None:
        process = await say(connections, "before")
        with pytest.raises(psycopg.errors.DivisionByZero):
            await connections.rows(WRONG, [b""])
        assert await say(connections, "after") == process

    tell(story)


def test_a_connection_that_the_server_has_ended_meanwhile_is_no_failure(tell: Callable[..., None]) -> None:
    async def story(connections: ConnectionsAtHand) -> None:
        first = await say(connections, "first")
        other = await connections._taken()
        second = await say(connections, "second")
        assert second != first or connections._count == 2
        (here,) = [each for each in connections._since if each is not other]
        await other.rows(END, [str(here.info.backend_pid).encode()])
        await connections._released(other)
        connections._at_hand.sort(key=lambda each: each is here)  # the next one to be taken
        assert await say(connections, "third") == other.info.backend_pid
        assert connections._count == len(connections._since) == 1

    tell(story)


def test_what_the_event_loop_does_not_tell_is_noticed_all_the_same(
    tell: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """uvloop says nothing of a connection that was reset, and its statement would wait for ever."""
    monkeypatch.setattr(StatementConnection, "watch", lambda self: setattr(self, "_descriptor", self.pgconn.socket))
    monkeypatch.setattr(postgresql_connections, "LOOK_SECONDS", 0.001)

    async def story(connections: ConnectionsAtHand) -> None:
        async with asyncio.timeout(10):
            process = await say(connections, "first")
            assert await connections.rows(END, [str(process).encode()]) == [(False,)], (
                "run by another, as the first ended"
            )

    tell(story)


def test_a_connection_that_cannot_be_watched_is_not_lost(
    tell: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(self: StatementConnection) -> None:
        raise OSError("no more files can be watched")

    async def story(connections: ConnectionsAtHand) -> None:
        with monkeypatch.context() as broken:
            broken.setattr(StatementConnection, "watch", fails)
            for _ in range(CONNECTIONS):
                with pytest.raises(OSError, match="watched"):
                    await say(connections, "never")
        assert not connections._count and not connections._since
        assert await say(connections, "after")

    tell(story, 1.0)


def test_more_than_a_socket_takes_at_once_arrives_whole(tell: Callable[..., None]) -> None:
    async def story(connections: ConnectionsAtHand) -> None:
        for length in (5, 30_000_000, 7):
            assert await connections.rows(LONG, [b"x" * length]) == [(length,)]
        assert connections._count == 1

    tell(story)


def test_who_waits_too_long_for_a_connection_is_told(tell: Callable[..., None]) -> None:
    async def story(connections: ConnectionsAtHand) -> None:
        busy = slow(connections, CONNECTIONS)
        await asleep(connections, *busy)
        with pytest.raises(PoolTimeout, match=r"no connection was free for 0\.05 s"):
            await connections.rows(ECHO, [b"in vain"])
        for task in busy:
            task.cancel()
        await asyncio.gather(*busy, return_exceptions=True)
        await say(connections, "there are some again")

    tell(story, wait_seconds=0.05)


def test_who_asked_the_pool_in_vain_gets_what_others_need_no_more(server: str) -> None:
    """Where the server gives no more connections, nobody waits beside one that is idle."""

    async def told() -> None:
        async with await psycopg.AsyncConnection.connect(server, autocommit=True) as connection:
            await connection.execute("CREATE ROLE alone LOGIN CONNECTION LIMIT 1")
        alone = ConnectionsAtHand(make_conninfo(server, user="alone"), {"autocommit": True}, wait_seconds=60)
        async with alone.open() as connections:
            processes = await asyncio.gather(*(say(connections, str(number)) for number in range(2 * CONNECTIONS)))
            assert len(set(processes)) == 1
            assert connections._count == len(connections._since)

    asyncio.run(told())


def test_after_a_long_outage_the_server_is_found_again_as_soon_as_after_a_short_one(
    tell: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Pauses that double would, after twenty failures, last longer than anybody waits."""
    monkeypatch.setattr(AttemptWithBackoff, "INITIAL_DELAY", 0.001)
    connect, failures = StatementConnection.connect, iter(range(20))

    async def sometimes(*args: Any, **kwargs: Any) -> StatementConnection:
        if next(failures, None) is not None:
            raise psycopg.OperationalError("the server is away")
        return await connect(*args, **kwargs)

    monkeypatch.setattr(StatementConnection, "connect", sometimes)
    monkeypatch.setattr(postgresql_connections, "RETRY_SECONDS", 0.001)

    async def story(connections: ConnectionsAtHand) -> None:
        await asyncio.gather(*(say(connections, str(number)) for number in range(2 * CONNECTIONS)))
        assert next(failures, None) is None
        assert connections._count == len(connections._since)

    tell(story)


def test_what_is_handed_to_somebody_who_is_leaving_goes_to_the_next(tell: Callable[..., None]) -> None:
    async def story(connections: ConnectionsAtHand) -> None:
        held = [await connections._taken() for _ in range(CONNECTIONS)]
        leaving = asyncio.create_task(connections.rows(ECHO, [b"leaves"]))
        staying = asyncio.create_task(say(connections, "stays"))
        while len(connections._waiting) < 2:
            await asyncio.sleep(0)
        await connections._released(held.pop())
        leaving.cancel()
        await staying
        assert leaving.cancelled()
        for connection in held:
            await connections._released(connection)
        assert connections._count == len(connections._at_hand) == CONNECTIONS

    tell(story)


def test_a_connection_goes_back_to_the_pool_after_its_time(
    tell: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The pool closes those that are old; a connection that stayed at hand for ever would be none of them."""
    returned: list[StatementConnection] = []

    async def story(connections: ConnectionsAtHand) -> None:
        await say(connections, "first")
        monkeypatch.setattr(postgresql_connections, "AT_HAND_SECONDS", -1.0)
        give = connections._pool.putconn

        async def seen(connection: StatementConnection) -> None:
            returned.append(connection)
            await give(connection)

        monkeypatch.setattr(connections._pool, "putconn", seen)
        await say(connections, "second")
        assert len(returned) == 1
        assert connections._count == 0

    tell(story)
