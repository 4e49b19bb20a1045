"""Processes of the TLS server: workers on one inherited socket, and plain HTTP for a front on this machine."""

import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from certificates import House, ask, get
from raw_sockets import answer_of

from uptane.assembly.http_server import ServerThread
from uptane.assembly.tls_server import TlsServer, listening
from uptane.metadata.errors import UptaneError
from uptane.services.asgi import Answer, Receive, Scope, Send


@pytest.fixture
def house(tmp_path: Path) -> House:
    return House(tmp_path)


@pytest.fixture
def servers() -> Iterator[ServerThread]:
    with ServerThread() as thread:
        yield thread


def body_of(answer: bytes) -> bytes:
    return answer.partition(b"\r\n\r\n")[2]


WORKER = """
import asyncio, os, socket, sys
from pathlib import Path
from uptane.assembly.tls_context import server_tls
from uptane.assembly.tls_server import TlsServer
from uptane.services.asgi import Answer

async def app(scope, receive, send):
    await Answer(status=200, content_type="text/plain", body=str(os.getpid()).encode()).send(send)

listener = socket.socket(fileno=int(sys.argv[1]))
certificate, key, authorities = map(Path, sys.argv[2:])
tls = server_tls(certificate=certificate, key=key, client_authorities=authorities.read_bytes())
asyncio.run(TlsServer(app, listener, tls=tls).run())
print("ended in order")
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_worker_processes_share_an_inherited_socket_and_end_on_a_signal(house: House, number: signal.Signals) -> None:
    files = house.server()
    with listening("127.0.0.1", 0) as listener:
        port = listener.getsockname()[1]
        command = [sys.executable, "-c", WORKER, str(listener.fileno()), files.certificate, files.key, house.trusts]
        workers = [
            subprocess.Popen(
                command, pass_fds=[listener.fileno()], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
            )
            for _ in range(2)
        ]
    tls = house.vehicle()
    waiting = {str(worker.pid): worker for worker in workers}
    while waiting:
        # Whichever worker answers is ended, so that the next answer is the other one's.
        worker = waiting.pop(body_of(ask(port, tls, get("/"))).decode())
        worker.send_signal(number)
        assert worker.communicate(timeout=30) == ("ended in order\n", "")
        assert worker.returncode == 0
    with pytest.raises(ConnectionRefusedError):
        ask(port, tls, get("/"))


def test_plain_http_is_for_a_front_on_this_machine_only(servers: ServerThread) -> None:
    port = servers.serve(TlsServer(who_am_i_not, listening("127.0.0.1", 0), tls=None))
    with socket.create_connection(("127.0.0.1", port), timeout=10) as plain:
        plain.sendall(get("/"))
        assert body_of(answer_of(plain)) == b"None"
    with listening("0.0.0.0", 0) as everywhere, pytest.raises(UptaneError, match="plain HTTP"):  # noqa: S104 - refused
        TlsServer(who_am_i_not, everywhere, tls=None)


async def who_am_i_not(scope: Scope, receive: Receive, send: Send) -> None:
    told = str(scope["extensions"]["tls"]["peer_certificate"]).encode()
    await Answer(status=200, content_type="text/plain", body=told).send(send)


def test_an_address_is_an_ip_address() -> None:
    with pytest.raises(UptaneError, match="not an IP address"):
        listening("localhost", 0)
    with listening("127.0.0.1", 0) as taken, pytest.raises(UptaneError, match="in use"):
        listening("127.0.0.1", taken.getsockname()[1])
