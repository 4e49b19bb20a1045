"""The servers of the archived demonstration, on loopback only: static files over HTTP, and XML-RPC at `/RPC2`."""

import threading
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from xmlrpc.client import ServerProxy
from xmlrpc.server import SimpleXMLRPCRequestHandler, SimpleXMLRPCServer

from archived.settings import LISTEN_HOST


class _Files(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        """Keeps the window free for calls and their answers."""


class _Calls(SimpleXMLRPCRequestHandler):
    rpc_paths = ("/RPC2",)


def host_files(folder: Path, port: int) -> ThreadingHTTPServer:
    """Serves a folder; it takes connections when this returns."""
    server = ThreadingHTTPServer((LISTEN_HOST, port), partial(_Files, directory=str(folder)))
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server


def listen(
    ports: Iterable[int], methods: Mapping[str, Callable[..., Any]], *, allow_none: bool = True
) -> SimpleXMLRPCServer:
    """Serves XML-RPC on the first port that is free; it takes connections when this returns.

    Raises:
        OSError: none is free.
    """
    failure: OSError | None = None
    for port in ports:
        try:
            server = SimpleXMLRPCServer(
                (LISTEN_HOST, port), requestHandler=_Calls, logRequests=False, allow_none=allow_none
            )
        except OSError as error:
            failure = error
            continue
        for name, method in methods.items():
            server.register_function(method, name)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        return server
    raise failure or OSError("no port to listen on")


def call(host: str, port: int, method: str, *args: object) -> Any:
    """One XML-RPC call on a connection of its own.

    Raises:
        xmlrpc.client.Fault: the other side refuses.
        OSError: nobody answers.
    """
    with ServerProxy(f"http://{host}:{port}", allow_none=True) as server:
        return getattr(server, method)(*args)
