"""Images at URLs that the Director's Targets give, from hosts that this vehicle was told it may fetch from (M-38)."""

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from uptane.metadata.errors import FormatError, UntrustedHostError
from uptane.transport.file_download import Body, FileClient
from uptane.transport.limits import TransferLimits

_ORIGIN = r"(?P<scheme>[Hh][Tt][Tt][Pp][Ss]?)://(?P<host>[A-Za-z0-9.-]+|\[[0-9A-Fa-f:.]+\])(?::(?P<port>[0-9]{1,5}))?"
_REST = r"(?P<rest>(?:/(?:[A-Za-z0-9._~!$&'()*+,;=:@/?-]|%[0-9A-Fa-f]{2})*)?)"
_URL = re.compile(_ORIGIN + _REST)
"""Every URL that is followed: what does not match, such as one with credentials or other letters, names no host."""

_DEFAULT_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True, slots=True, kw_only=True)
class HostPolicy:
    """Which third hosts a vehicle fetches images from; none unless it is told.

    Args:
        hosts: `https://HOST` or `https://HOST:PORT`, in ASCII. Names are compared letter by letter, capitals aside: a
            name with a dot at its end, an address, or another port is another host.
        unsafe_plain_http: allows hosts with `http://` among them: whoever is on the way sees which images are fetched.

    Raises:
        FormatError: one of them is no such host.
    """

    hosts: frozenset[str] = frozenset()
    unsafe_plain_http: bool = False

    def __post_init__(self) -> None:
        origins = set()
        for host in self.hosts:
            found = _URL.fullmatch(host)
            if found is None or found["rest"] or (_scheme(found) == "http" and not self.unsafe_plain_http):
                raise FormatError(
                    f"{host!r} is not a host to fetch images from",
                    next_step="Write https://HOST or https://HOST:PORT.",
                    field="third hosts",
                )
            origins.add(_origin(found))
        object.__setattr__(self, "hosts", frozenset(origins))

    def allowed(self, url: str) -> str:
        """The URL to ask for; raises UntrustedHostError where the host is not among those that are allowed."""
        found = _URL.fullmatch(url)
        if found is None:
            raise _untrusted(url, "it is not a plain URL of http or https")
        origin = _origin(found)
        if origin not in self.hosts:
            raise _untrusted(url, f"{origin} is not among the hosts that this vehicle fetches images from")
        return origin + (found["rest"] or "/")


class ThirdHostsOverHttp:
    """`vehicle.ports.ThirdHosts`: the hosts of a policy, asked as mirrors are, with the same limits.

    Args:
        policy: the hosts.
        limits: of each transfer.
        on_event: is told of every download, a line at a time.
    """

    def __init__(self, policy: HostPolicy, *, limits: TransferLimits, on_event: Callable[[str], None]) -> None:
        self._policy = policy
        self._files = FileClient(limits=limits, server="the host that the Director named", say=on_event)

    def source(self, url: str) -> "_ImageAtUrl":
        """The image at a URL; raises UntrustedHostError."""
        return _ImageAtUrl(self._policy.allowed(url), self._files)


class _ImageAtUrl:
    def __init__(self, url: str, files: FileClient) -> None:
        self._url = url
        self._files = files

    @contextmanager
    def stream(self, name: str, limit: int, start: int = 0) -> Iterator[Body | None]:
        """See `vehicle.ports.ImageSource`; the image has the Director's URL in the place of its name."""
        with self._files.open(self._url, limit, f"the expected {limit}", start) as body:
            yield body


def _scheme(found: re.Match[str]) -> str:
    return found["scheme"].lower()


def _origin(found: re.Match[str]) -> str:
    scheme, port = _scheme(found), found["port"]
    written = "" if port is None or int(port) == _DEFAULT_PORTS[scheme] else f":{int(port)}"
    return f"{scheme}://{found['host'].lower()}{written}"


def _untrusted(url: str, why: str) -> UntrustedHostError:
    return UntrustedHostError(
        f"the Director's URL {url!r} is not followed: {why}",
        next_step="Correct it on the Director, or tell the vehicle that it may fetch from that host.",
        url=url,
    )
