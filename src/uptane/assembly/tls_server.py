"""The server that vehicles reach over a network: their certificates, and limits against slow and endless clients."""

import asyncio
import ipaddress
import signal
import socket
import ssl
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http import HTTPStatus
from itertools import chain

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from uptane.assembly.http_server import BACKLOG, QuietServer, first_free, logged, started
from uptane.assembly.slow_clients import ClientWatch
from uptane.metadata.errors import UptaneError
from uptane.services.asgi import Application, Receive, Scope, Send
from uptane.services.identity import PEER_CERTIFICATE
from uptane.services.problems import refusal
from uptane.services.request_body import CLOSE

HANDSHAKE_SECONDS = 10.0
"""Seconds for a TLS handshake; a mobile link needs three round trips."""

HEAD_SECONDS = 10.0
"""Seconds from the first byte of a request, or from the handshake, to the end of the request's head."""

REST_SECONDS = 10.0
"""Seconds from an answer to the end of its request, for a client that sends a body which nobody asked for."""

STALLED_SECONDS = 60.0
"""Seconds after which it is judged, again and again, whether a client takes its answers at the least speed."""

MAX_HEAD_BYTES = 16_384
"""Bytes of the head of a request: a client certificate that a front passes on takes 3,000 at most. What frames
the pieces of a body may have as many between two of them."""

MAX_WAITING = 16
"""Requests of one connection that wait for the answer to the one before; our clients and fronts ask one at a time."""

KEEP_ALIVE_SECONDS = 15
"""Seconds that an idle connection is kept: longer than our clients do, so that none is used while it closes. Who still
takes the end of an answer is not idle."""

CLOSE_SECONDS = 5.0
"""Seconds for a client to say goodbye, once it has taken all and the connection shall close."""

FLUSH_SECONDS = 900.0
"""Seconds for the rest of an answer and the goodbye, for a client that takes it fast enough: more than what TLS and the
kernel hold of a file, at the least speed that a vehicle puts up with."""

GRACE_SECONDS = 30
"""Seconds that a stopping server gives to requests on their way."""

MAX_CONNECTIONS = 10_000
"""Connections of one process at once; further ones are answered with 503."""


class TlsServer:
    """One application on one listening socket.

    Args:
        app: the ASGI application; `scope["extensions"]["tls"]["peer_certificate"]` is the DER of the client's
            certificate that the handshake verified, or None.
        listener: a bound socket, such as `listening` makes or a parent process or service manager hands on.
        tls: what `tls_context.server_tls` makes; None is plain HTTP, for a server whose front ends TLS, and for a
            socket of a loopback address only.
        grace_seconds: for requests on their way when the server stops.

    Raises:
        UptaneError: plain HTTP on an address that other machines reach.
    """

    def __init__(
        self,
        app: Application,
        listener: socket.socket,
        *,
        tls: ssl.SSLContext | None,
        grace_seconds: int = GRACE_SECONDS,
    ) -> None:
        if tls is None:
            _check_loopback(listener)
        self._listener = listener
        self.port: int = listener.getsockname()[1]
        self._server = _Server(logged(app), tls, grace_seconds)
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Serves from now on."""
        self._task = await started(self._server, self._listener)

    async def stop(self) -> None:
        """Takes no more connections, finishes the requests that are here within the grace, and ends."""
        await self._server.ended(self._task)

    async def stop_at_once(self) -> None:
        """Ends without waiting for anybody, such as a client that keeps a connection and does not look at it."""
        self._server.abort_connections()
        await self.stop()

    async def run(self, asked: asyncio.Event | None = None, on_ready: Callable[[], object] = lambda: None) -> None:
        """Serves until the process is asked to end by SIGTERM or SIGINT, then stops. For the main thread.

        Args:
            asked: ends it too, once it is set.
            on_ready: called when requests are answered.
        """
        loop = asyncio.get_running_loop()
        asked = asked or asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, asked.set)
        try:
            await self.start()
            on_ready()
            await asked.wait()
            await self.stop()
        finally:
            for number in (signal.SIGTERM, signal.SIGINT):
                loop.remove_signal_handler(number)


def listening(address: str, port: int) -> socket.socket:
    """A socket that listens on an IP address and port; 0 is any free port. Raises UptaneError."""
    try:
        ipaddress.ip_address(address)
    except ValueError as error:
        raise UptaneError(
            f"{address!r} is not an IP address", next_step="Name an address of this machine, or :: for all."
        ) from error
    return first_free(address, [port], lambda port: None)


class _Server(QuietServer):
    def __init__(self, app: Application, tls: ssl.SSLContext | None, grace_seconds: int) -> None:
        super().__init__(
            app,
            http=_Connection,
            limit_concurrency=MAX_CONNECTIONS,
            timeout_graceful_shutdown=grace_seconds,
            timeout_keep_alive=KEEP_ALIVE_SECONDS,
        )
        self._tls = tls

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """uvicorn's, with limits on the handshake and on the goodbye."""
        loop = asyncio.get_running_loop()
        timeouts = (HANDSHAKE_SECONDS, FLUSH_SECONDS) if self._tls is not None else (None, None)
        self.servers = [
            await loop.create_server(
                self._connection,
                sock=listener,
                ssl=self._tls,
                backlog=BACKLOG,
                ssl_handshake_timeout=timeouts[0],
                ssl_shutdown_timeout=timeouts[1],
            )
            for listener in sockets or ()
        ]
        self.started = True
        await self.on_tick(0)
        self.ready.set()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leaves the signals of the process to the program."""
        yield

    def _connection(self) -> "_Connection":
        return _Connection(self.config, self.server_state, {})


class _Connection(HttpToolsProtocol):
    """uvicorn's, with the client's certificate in the scope, and limits on everything but the bytes of bodies.

    A head that takes too long is cut off, one that is too large is answered with 431. Bodies are bounded by
    applications, who know how large theirs may be, until they have answered. Trailers behind a body are dropped: no
    application can tell them from the headers that a front has set. Whoever asks for another protocol is refused. What
    is bad behind a request that is not answered yet ends the connection and gets no answer.
    """

    _certificate: bytes | None = None
    _in_head = True
    _head_begun = True
    _loose_bytes = 0
    _timer: asyncio.TimerHandle | None = None
    _watch: ClientWatch

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """The handshake is over."""
        super().connection_made(transport)
        tls = transport.get_extra_info("ssl_object")
        if tls is not None:
            self._certificate = tls.getpeercert(binary_form=True)
        self._watch = ClientWatch(transport, self.loop, seconds=STALLED_SECONDS, goodbye_seconds=CLOSE_SECONDS)
        self._time(HEAD_SECONDS)

    def connection_lost(self, exc: Exception | None) -> None:
        """The client, or we, closed."""
        self._stop_timing()
        self._watch.end()
        super().connection_lost(exc)

    def eof_received(self) -> None:
        """The client sends no more."""
        self._watch.says_goodbye()
        super().eof_received()

    def data_received(self, data: bytes) -> None:
        """Some bytes of a request."""
        if self.transport.is_closing():
            return
        self._loose_bytes += len(data)
        super().data_received(data)
        if self.transport.is_closing():
            return
        if self._loose_bytes > MAX_HEAD_BYTES:
            if self._in_head and self._is_next():
                self.transport.write(_HEAD_TOO_LARGE)
            self.transport.close()
        elif self._in_head and (self._head_begun or not (self._owes_an_answer() or self.timeout_keep_alive_task)):
            self._time(HEAD_SECONDS)

    def on_message_begin(self) -> None:
        """The first byte of a request."""
        super().on_message_begin()
        self._unset_keepalive_if_required()
        self._head_begun = True
        self.scope["extensions"] = {"tls": {PEER_CERTIFICATE: self._certificate}}

    def on_header(self, name: bytes, value: bytes) -> None:
        """A header of the head, or a trailer."""
        if self._in_head:
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """The last byte of a request's head."""
        if self.parser.should_upgrade():
            # The parser would end here, and take the body for the next request, with headers that no front has set.
            raise UptaneError("no other protocol is spoken here")  # ends the parser, and uvicorn answers with 400
        self._stop_timing()
        self._loose_bytes = 0
        if len(self.url) + sum(map(len, chain.from_iterable(self.headers))) + 4 * len(self.headers) > MAX_HEAD_BYTES:
            self.app = _head_too_large
        super().on_headers_complete()
        self._in_head = self._head_begun = False
        if len(self.pipeline) > MAX_WAITING:
            raise UptaneError("too many requests at once")  # ends the parser, and the connection

    def on_body(self, body: bytes) -> None:
        """Some bytes of a body."""
        self._loose_bytes = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        """The last byte of a request."""
        self._in_head = True
        super().on_message_complete()
        if not self._owes_an_answer():
            self._stop_timing()
            self._keep_alive()

    def on_response_complete(self) -> None:
        """The last byte of an answer is on its way."""
        super().on_response_complete()
        if self.pipeline:
            self.flow.pause_reading()
        if not self._in_head and not self.transport.is_closing():
            self._time(REST_SECONDS)

    def send_400_response(self, msg: str) -> None:
        """The request that is being read is bad. Where another answer is awaited, this one would be taken for that."""
        if self._is_next():
            super().send_400_response(msg)
        else:
            self.transport.close()

    def resume_writing(self) -> None:
        """The client has taken some of its answer."""
        self._watch.resumed()
        super().resume_writing()

    def shutdown(self) -> None:
        """The server stops. Once it is closed twice, asyncio's TLS forgets itself, and nothing ends it any more."""
        if not self.transport.is_closing():
            super().shutdown()

    def timeout_keep_alive_handler(self) -> None:
        """The client was idle, or still takes its answer."""
        if not self.transport.is_closing() and self._watch.is_taking():
            self._keep_alive()
        else:
            super().timeout_keep_alive_handler()

    def _keep_alive(self) -> None:
        self._unset_keepalive_if_required()
        self.timeout_keep_alive_task = self.loop.call_later(self.timeout_keep_alive, self.timeout_keep_alive_handler)

    def _is_next(self) -> bool:
        """Whether what is written now is the beginning of the answer to the request that is being read."""
        if self._in_head:
            return not self._owes_an_answer()
        return not self.pipeline and not self.cycle.response_started

    def _owes_an_answer(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete

    def _time(self, seconds: float) -> None:
        if self._timer is None:
            self._timer = self.loop.call_later(seconds, self._is_late)

    def _stop_timing(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _is_late(self) -> None:
        self._timer = None
        if self._owes_an_answer():
            self._time(HEAD_SECONDS)  # the client has begun to ask again, and waits for us
        else:
            self.transport.abort()


_TOO_LARGE = refusal(
    HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE,
    f"The head of a request may have {MAX_HEAD_BYTES} bytes at most.",
    headers=CLOSE,
)
_HEAD_TOO_LARGE = (
    b"HTTP/1.1 431 Request Header Fields Too Large\r\nconnection: close\r\ncontent-type: "
    + _TOO_LARGE.content_type.encode()
    + b"\r\ncontent-length: %d\r\n\r\n" % len(_TOO_LARGE.body)
    + _TOO_LARGE.body
)


async def _head_too_large(scope: Scope, receive: Receive, send: Send) -> None:
    await _TOO_LARGE.send(send)


def _check_loopback(listener: socket.socket) -> None:
    name = listener.getsockname()
    address = name[0] if isinstance(name, tuple) else ""
    if not ipaddress.ip_address(address).is_loopback:
        raise UptaneError(
            f"{address} can be reached by other machines, and plain HTTP would tell them all",
            next_step="Serve TLS, or listen on 127.0.0.1 with a front before it that ends TLS.",
            address=address,
        )
