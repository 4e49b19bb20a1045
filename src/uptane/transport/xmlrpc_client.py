"""Calls over XML-RPC; what the other side refuses is raised here as the error that it was there."""

from urllib.parse import urlsplit

from uptane.formats.fault_text import error_from_fault
from uptane.formats.xmlrpc import Fault, Value, decode_response, encode_call
from uptane.metadata.errors import FormatError, UnreachableError, UptaneError
from uptane.transport.exchange import Exchange, Request, exchange
from uptane.transport.limits import TransferLimits

XML = frozenset({"text/xml", "application/xml"})
HEADERS = {"Content-Type": "text/xml"}

REFUSED = frozenset({400, 401, 403, 408, 413, 429})
"""Statuses of a server that is there and will not take this request; others are those of another kind of server."""

MAX_RESPONSE = 100_000_000
"""Bytes of an answer: an image of 70 MB in base64. Larger images belong on HTTP."""


class XmlRpcClient:
    """One peer.

    Args:
        url: of the server, `http://HOST:PORT`; the path is `/RPC2`.
        peer: what it is, for messages: `Director`, `Primary`, `Timeserver`.
        timeout: seconds until an answer begins, and between two pieces of it; after that time the answer also has
            to come at the speed that `TransferLimits` asks for.
        max_response: bytes of an answer.

    Raises:
        FormatError: the URL is none.
    """

    def __init__(self, url: str, *, peer: str, timeout: float = 10.0, max_response: int = MAX_RESPONSE) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise FormatError(f"{url!r} is not the URL of a {peer}", next_step="Write http://HOST:PORT.", field="url")
        self._url = url.rstrip("/").removesuffix("/RPC2") + "/RPC2"
        self._peer = peer
        self._limits = TransferLimits(read_seconds=timeout, slow_start_seconds=timeout)
        self._max_response = max_response

    def call(self, method: str, *args: object) -> Value:
        """Calls a method.

        Args:
            method: its name.
            args: texts, whole numbers of 32 bits, booleans, None, bytes, and lists and dicts of them.

        Returns:
            Its value.

        Raises:
            UptaneError: the peer refused; the subclass is that of the error there, and `facts["peer"]` names it.
            UnreachableError: no answer, or not one of an XML-RPC server.
            EndlessDataError: an answer of more than `max_response` bytes.
            SlowRetrievalError: an answer that begins and then comes too slowly.
            FormatError: an argument that XML-RPC cannot carry, or an answer that is not well formed.
        """
        body = encode_call(method, args)
        request = Request(method="POST", url=self._url, headers=HEADERS, content=body)
        with exchange(request, self._limits, self._unreachable) as answer:
            raw = self._read(answer)
        try:
            value = decode_response(raw)
        except FormatError as error:
            raise FormatError(f"the {self._peer} answered {method} wrongly: {error.what}", peer=self._peer) from error
        if isinstance(value, Fault):
            raise error_from_fault(value.text, peer=self._peer)
        return value

    def _read(self, answer: Exchange) -> bytes:
        if answer.status in REFUSED:
            raise UptaneError(
                f"the {self._peer} at {self._url} refused the request: HTTP status {answer.status}",
                peer=self._peer,
                status=answer.status,
            )
        if answer.status != 200:
            raise self._unreachable(f"HTTP status {answer.status}")
        if answer.media_type not in XML:
            raise self._unreachable("the answer is not XML, so this is another kind of server")
        return b"".join(answer.chunks(self._max_response))

    def _unreachable(self, why: str) -> UnreachableError:
        return UnreachableError(
            f"the {self._peer} at {self._url} does not answer: {why}",
            next_step=f"Is the {self._peer} running?",
            peer=self._peer,
        )
