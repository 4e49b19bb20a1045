"""ASGI applications on loopback ports, all on one background event loop beside a synchronous program."""

import asyncio
import errno
import ipaddress
import logging
import socket
import threading
from collections.abc import Callable, Coroutine, Sequence
from concurrent.futures import ThreadPoolExecutor
from types import TracebackType
from typing import Any, Literal, Protocol, Self, TypeVar

import uvicorn

from uptane.metadata.errors import UptaneError
from uptane.services.asgi import Application, Receive, Scope, Send

ResultT = TypeVar("ResultT")

HOST = "127.0.0.1"
BACKLOG = 128
MAX_CONNECTIONS = 256
"""Connections of one server at once; further ones are answered with 503."""

GRACE_SECONDS = 1
"""Seconds that a stopping server gives to answers on their way."""

WORKERS = 16
"""Threads for synchronous methods and for reading files."""

_log = logging.getLogger(__name__)
_log.addHandler(logging.NullHandler())


class Server(Protocol):
    """What `ServerThread` runs: one listening socket and what answers there."""

    port: int

    async def start(self) -> None:
        """Serves from now on."""
        ...

    async def stop(self) -> None:
        """Ends, whatever clients do."""
        ...


class LoopbackServer:
    """One application on one port. `ServerThread` runs it.

    Args:
        app: the ASGI application.
        ports: tried in this order; 0 is any free port.
        host: the address to listen on.
        on_busy: is told each port that is in use, if another one is tried next.
        unsafe_listen_on_network: allows an address that other machines reach. The doors have no authentication.

    Raises:
        UptaneError: no port is free, or the address is not a loopback address.
    """

    def __init__(
        self,
        app: Application,
        ports: Sequence[int],
        *,
        host: str = HOST,
        on_busy: Callable[[int], None] | None = None,
        unsafe_listen_on_network: bool = False,
    ) -> None:
        address = _address(host, unsafe_listen_on_network=unsafe_listen_on_network)
        self._socket = first_free(address, ports, on_busy or (lambda port: None))
        self.port: int = self._socket.getsockname()[1]
        self._server = QuietServer(
            logged(app), http="h11", limit_concurrency=MAX_CONNECTIONS, timeout_graceful_shutdown=GRACE_SECONDS
        )
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Serves from now on."""
        self._task = await started(self._server, self._socket)

    async def stop(self) -> None:
        """Ends within about `GRACE_SECONDS`, whatever clients do."""
        await self._server.ended(self._task)


class ServerThread:
    """Runs servers and coroutines beside a synchronous program. The thread starts at the first use."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._workers: ThreadPoolExecutor | None = None
        self._servers: dict[int, Server] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def run(self, coroutine: Coroutine[Any, Any, ResultT]) -> ResultT:
        """Runs a coroutine on the event loop and waits for its result; its errors are raised here."""
        if threading.current_thread() is self._thread:
            coroutine.close()
            raise UptaneError("the event loop was asked to wait for itself", next_step="Use await there.")
        future = asyncio.run_coroutine_threadsafe(coroutine, self._running_loop())
        try:
            return future.result()
        except BaseException:
            future.cancel()
            raise

    def serves(self, port: int) -> bool:
        """Whether a server of this thread is on that port."""
        return port in self._servers

    def start(
        self,
        app: Application,
        ports: int | Sequence[int],
        *,
        host: str = HOST,
        on_busy: Callable[[int], None] | None = None,
        unsafe_listen_on_network: bool = False,
    ) -> int:
        """Starts a server; see `LoopbackServer`.

        Returns:
            The port; the server answers there when this returns.
        """
        server = LoopbackServer(
            app,
            [ports] if isinstance(ports, int) else ports,
            host=host,
            on_busy=on_busy,
            unsafe_listen_on_network=unsafe_listen_on_network,
        )
        return self.serve(server)

    def serve(self, server: Server) -> int:
        """Starts a server that is made already; returns its port, on which it answers then."""
        self.run(server.start())
        self._servers[server.port] = server
        return server.port

    def stop(self, port: int) -> None:
        """Stops the server on that port, if there is one."""
        server = self._servers.pop(port, None)
        if server is not None:
            self.run(server.stop())

    def close(self) -> None:
        """Stops all servers and the event loop. The next use starts anew."""
        if self._loop is None or self._thread is None or self._workers is None:
            return
        servers = list(self._servers.values())
        self._servers.clear()
        self.run(_end(servers))
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._workers.shutdown(wait=False, cancel_futures=True)
        self._loop.close()
        self._loop = self._thread = self._workers = None

    def _running_loop(self) -> asyncio.AbstractEventLoop:
        with self._lock:
            if self._loop is None:
                loop = asyncio.new_event_loop()
                self._workers = ThreadPoolExecutor(WORKERS, thread_name_prefix="uptane-worker")
                loop.set_default_executor(self._workers)
                self._thread = threading.Thread(target=loop.run_forever, name="uptane-servers", daemon=True)
                self._thread.start()
                self._loop = loop
            return self._loop


class QuietServer(uvicorn.Server):
    """uvicorn without its logs and its waiting in steps of a tenth of a second.

    Args:
        app: the ASGI application.
        http: the protocol that reads requests.
        limit_concurrency: connections at once.
        timeout_graceful_shutdown: seconds that answers on their way have when the server ends.
        timeout_keep_alive: seconds that an idle connection is kept.
    """

    def __init__(
        self,
        app: Application,
        *,
        http: type[asyncio.Protocol] | Literal["h11"],
        limit_concurrency: int,
        timeout_graceful_shutdown: int,
        timeout_keep_alive: int = 5,
    ) -> None:
        super().__init__(
            uvicorn.Config(
                app,
                http=http,
                ws="none",
                lifespan="off",
                log_config=None,
                log_level="critical",
                access_log=False,
                proxy_headers=False,
                server_header=False,
                backlog=BACKLOG,
                limit_concurrency=limit_concurrency,
                timeout_graceful_shutdown=timeout_graceful_shutdown,
                timeout_keep_alive=timeout_keep_alive,
            )
        )
        self.ready = asyncio.Event()
        self._ending = asyncio.Event()

    def end(self) -> None:
        """Asks the server to end."""
        self.should_exit = True
        self._ending.set()

    async def ended(self, task: asyncio.Task[None] | None) -> None:
        """Ends the server, and the connections that are left when its grace is over."""
        self.end()
        if task is not None:
            await task
        self.abort_connections()
        # One turn of the loop, in which the aborted connections close.
        await asyncio.sleep(0)

    def abort_connections(self) -> None:
        """Ends every connection, whatever is on its way."""
        for connection in list(self.server_state.connections):
            connection.transport.abort()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Also tells that requests are answered from now on."""
        await super().startup(sockets)
        await self.on_tick(0)
        self.ready.set()

    async def main_loop(self) -> None:
        """Keeps the Date header right, and ends at once when it shall."""
        while not await self.on_tick(0):
            try:
                await asyncio.wait_for(self._ending.wait(), timeout=1.0)
            except TimeoutError:
                continue


async def started(server: QuietServer, listener: socket.socket) -> asyncio.Task[None]:
    """Serves on a listening socket; returns the running task when requests are answered there."""
    task = asyncio.create_task(server.serve(sockets=[listener]))
    ready = asyncio.create_task(server.ready.wait())
    await asyncio.wait((task, ready), return_when=asyncio.FIRST_COMPLETED)
    ready.cancel()
    if task.done():
        listener.close()
        await task
    return task


def logged(app: Application) -> Application:
    """An application whose unforeseen failures are logged."""

    async def watched(scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await app(scope, receive, send)
        except Exception:
            _log.exception("a request failed in a way that nobody foresaw")
            raise

    return watched


async def _end(servers: Sequence[Server]) -> None:
    await asyncio.gather(*(server.stop() for server in servers))
    rest = asyncio.all_tasks() - {asyncio.current_task()}
    for task in rest:
        task.cancel()
    await asyncio.gather(*rest, return_exceptions=True)
    await asyncio.get_running_loop().shutdown_asyncgens()


def _address(host: str, *, unsafe_listen_on_network: bool) -> str:
    address = HOST if host == "localhost" else host
    try:
        loopback = ipaddress.ip_address(address).is_loopback
    except ValueError as error:
        raise UptaneError(f"{host!r} is not an IP address", next_step=f"Listen on {HOST}.") from error
    if not loopback and not unsafe_listen_on_network:
        raise UptaneError(
            f"{host} can be reached by other machines, and this server has no authentication",
            next_step=f"Listen on {HOST}, with a gateway before it that knows its clients.",
            host=host,
        )
    return address


def first_free(address: str, ports: Sequence[int], on_busy: Callable[[int], None]) -> socket.socket:
    """A socket that listens on the first of these ports that is free; raises UptaneError when none is."""
    for position, port in enumerate(ports, 1):
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        # The protocol is named because asyncio switches Nagle's algorithm off only where it is: without that, every
        # answer of two packets waits 40 ms for an acknowledgement.
        bound = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            bound.bind((address, port))
            # At once, because with SO_REUSEADDR two sockets may be bound to a port until one of them listens.
            bound.listen(BACKLOG)
        except OSError as error:
            bound.close()
            if error.errno != errno.EADDRINUSE:
                raise UptaneError(
                    f"port {port} on {address} cannot be used: {error.strerror}",
                    next_step="Choose another port.",
                    port=port,
                ) from error
            if position < len(ports):
                on_busy(port)
            continue
        return bound
    named = f"port {ports[0]} on {address} is" if len(ports) == 1 else f"ports {_listed(ports)} on {address} are"
    raise UptaneError(f"{named} in use", next_step="End the other program, or choose another port.", ports=tuple(ports))


def _listed(ports: Sequence[int]) -> str:
    if list(ports) == list(range(ports[0], ports[0] + len(ports))):
        return f"{ports[0]} to {ports[-1]}"
    return ", ".join(map(str, ports))
