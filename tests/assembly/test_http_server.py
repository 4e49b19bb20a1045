"""Servers on loopback ports beside a synchronous program."""

import asyncio
import logging
import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack, suppress

import pytest
from raw_sockets import answer_of, raw_connection, say, status_of

from uptane.assembly.http_server import LoopbackServer, ServerThread, first_free
from uptane.metadata.errors import UptaneError
from uptane.services.asgi import Answer, Receive, Scope, Send

GET = b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"


async def hello(scope: Scope, receive: Receive, send: Send) -> None:
    await Answer(status=200, content_type="text/plain", body=b"hello").send(send)


async def failing(scope: Scope, receive: Receive, send: Send) -> None:
    raise ZeroDivisionError("the secret of the house")


async def waits_for_the_body(scope: Scope, receive: Receive, send: Send) -> None:
    await receive()


@pytest.fixture
def servers() -> Iterator[ServerThread]:
    with ServerThread() as thread:
        yield thread


def test_a_server_answers_the_moment_start_returns(servers: ServerThread) -> None:
    port = servers.start(hello, 0)
    assert servers.serves(port)
    assert say(port, GET).endswith(b"hello")


def test_an_answer_of_two_packets_does_not_wait_for_an_acknowledgement() -> None:
    """asyncio switches Nagle's algorithm off for sockets whose protocol is named, and only for those."""
    with first_free("127.0.0.1", [0], print) as bound:
        assert bound.proto == socket.IPPROTO_TCP


def test_several_servers_share_one_thread(servers: ServerThread) -> None:
    before = threading.active_count()
    ports = {servers.start(hello, 0) for _ in range(3)}
    assert len(ports) == 3
    assert threading.active_count() == before + 1


def test_a_port_in_use_is_one_clear_error(servers: ServerThread) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(UptaneError, match=f"port {port} on 127.0.0.1 is in use") as caught:
            servers.start(hello, port)
        assert caught.value.next_step == "End the other program, or choose another port."
        assert caught.value.facts["ports"] == (port,)


def test_a_port_of_our_own_server_is_in_use_too(servers: ServerThread) -> None:
    port = servers.start(hello, 0)
    with pytest.raises(UptaneError, match="in use"):
        servers.start(hello, port)
    assert say(port, GET).endswith(b"hello")


def test_thefirst_free_port_wins_and_each_busy_one_is_told(servers: ServerThread) -> None:
    busy: list[int] = []
    with socket.create_server(("127.0.0.1", 0)) as one, socket.create_server(("127.0.0.1", 0)) as two:
        taken = [one.getsockname()[1], two.getsockname()[1]]
        port = servers.start(hello, [*taken, 0], on_busy=busy.append)
        assert busy == taken
        assert say(port, GET).endswith(b"hello")
        with pytest.raises(UptaneError, match="are in use"):
            servers.start(hello, taken)


def test_a_range_of_busy_ports_is_named_by_its_ends() -> None:
    with ExitStack() as stack:
        while True:
            first = stack.enter_context(socket.create_server(("127.0.0.1", 0))).getsockname()[1]
            with suppress(OSError, OverflowError):
                stack.enter_context(socket.create_server(("127.0.0.1", first + 1)))
                break
        with pytest.raises(UptaneError, match=f"ports {first} to {first + 1} on"):
            LoopbackServer(hello, range(first, first + 2))


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "example.org", ""])  # noqa: S104 - refused
def test_an_address_that_others_reach_is_refused(servers: ServerThread, host: str) -> None:
    with pytest.raises(UptaneError) as caught:
        servers.start(hello, 0, host=host)
    assert "127.0.0.1" in caught.value.next_step


def test_whoever_wants_the_network_says_so_loudly_and_hears_when_there_is_none(servers: ServerThread) -> None:
    with pytest.raises(UptaneError, match="cannot be used"):
        servers.start(hello, 0, host="192.0.2.1", unsafe_listen_on_network=True)


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1"])
def test_this_machine_has_two_names(servers: ServerThread, host: str) -> None:
    assert say(servers.start(hello, 0, host=host), GET).endswith(b"hello")


def test_a_stopped_port_is_free_at_once_for_the_next_server(servers: ServerThread) -> None:
    port = servers.start(hello, 0)
    assert say(port, GET).endswith(b"hello")
    servers.stop(port)
    assert not servers.serves(port)
    with pytest.raises(ConnectionRefusedError):
        say(port, GET)
    assert servers.start(hello, port) == port
    assert say(port, GET).endswith(b"hello")


def test_clients_that_stay_do_not_keep_a_server_from_stopping(servers: ServerThread) -> None:
    port = servers.start(waits_for_the_body, 0)
    with raw_connection(port) as idle, raw_connection(port) as unfinished, raw_connection(port) as uploading:
        unfinished.sendall(b"GET / HT")
        uploading.sendall(b"POST / HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 5\r\n\r\n")
        servers.stop(port)
        assert answer_of(idle) == b""


def test_a_failure_of_the_application_is_logged_and_not_told(
    servers: ServerThread, caplog: pytest.LogCaptureFixture
) -> None:
    port = servers.start(failing, 0)
    with caplog.at_level(logging.ERROR):
        answer = say(port, GET)
    assert status_of(answer) == 500
    assert b"secret" not in answer
    assert "the secret of the house" in caplog.text


def test_the_console_stays_quiet(servers: ServerThread, capfd: pytest.CaptureFixture[str]) -> None:
    port = servers.start(hello, 0)
    say(port, b"nonsense\r\n\r\n")
    say(port, GET)
    servers.stop(port)
    assert capfd.readouterr() == ("", "")


def test_a_coroutine_runs_on_the_loop_and_its_error_is_raised_here(servers: ServerThread) -> None:
    async def thread_name() -> str:
        return threading.current_thread().name

    async def fails() -> None:
        raise UptaneError("it went wrong")

    assert servers.run(thread_name()) == "uptane-servers"
    with pytest.raises(UptaneError, match="it went wrong"):
        servers.run(fails())


def test_the_loop_never_waits_for_itself(servers: ServerThread) -> None:
    async def inner() -> None:
        raise AssertionError("never started")

    async def outer() -> None:
        servers.run(inner())

    with pytest.raises(UptaneError, match="wait for itself"):
        servers.run(outer())


def test_a_closed_thread_leaves_nothing_behind_and_starts_anew() -> None:
    servers = ServerThread()
    servers.close()
    before = threading.active_count()
    ports = [servers.start(hello, 0) for _ in range(2)]
    started = threading.Event()

    async def forever() -> None:
        started.set()
        await asyncio.Event().wait()

    async def begin() -> "asyncio.Task[None]":
        return asyncio.create_task(forever())

    task = servers.run(begin())
    assert started.wait(10)
    servers.close()
    assert task.cancelled()
    assert threading.active_count() == before
    for port in ports:
        with pytest.raises(ConnectionRefusedError):
            say(port, GET)
    port = servers.start(hello, 0)
    assert say(port, GET).endswith(b"hello")
    servers.close()
    servers.close()
