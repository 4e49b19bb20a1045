"""Object storage by its URL: which store, with which options, and how long it may take to answer."""

import os
from collections.abc import Callable, Mapping
from datetime import timedelta
from ipaddress import ip_address
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from obstore.exceptions import BaseError, UnknownConfigurationKeyError
from obstore.store import from_url

from uptane.metadata.errors import FormatError, StorageError
from uptane.storage.names import components
from uptane.storage.object_store import Objects

if TYPE_CHECKING:
    from obstore.store import ObjectStore

SCHEMES = ("memory", "s3", "gs", "az")

_PATIENCE = {
    "connect_timeout": timedelta(seconds=5),
    "read_timeout": timedelta(seconds=30),
    "timeout": timedelta(minutes=5),
}
_RETRIES = {
    "max_retries": 3,
    "retry_timeout": timedelta(seconds=10),
    "backoff": {"init_backoff": timedelta(milliseconds=100), "max_backoff": timedelta(seconds=2), "base": 2},
}


def open_objects(url: str, *, options: Mapping[str, str] | None = None, unsafe_plain_http: bool = False) -> Objects:
    """The objects below a URL; nothing is asked of the store yet.

    `memory://` forgets everything with the returned object, `s3://BUCKET/PREFIX` is S3 or what speaks like it,
    `gs://BUCKET/PREFIX` is Google's, `az://CONTAINER/PREFIX` Azure's; the last two are not tested here.

    Args:
        url: without keys in it.
        options: of `obstore` for that store, such as `endpoint`, `region`, `access_key_id`, `secret_access_key`; what
            is not given comes from the environment (`AWS_ENDPOINT_URL`, `AWS_ACCESS_KEY_ID` ...).
        unsafe_plain_http: an endpoint without TLS may be on another machine.

    Raises:
        StorageError: not such a URL, keys in it, an unknown option, or an endpoint without TLS on another machine.
    """
    parts = urlsplit(url)
    if parts.scheme not in SCHEMES:
        raise StorageError(
            f"no object storage is reached by a URL that begins with {parts.scheme[:20]!r}",
            next_step=f"Use one of {', '.join(f'{scheme}://' for scheme in SCHEMES)}, or the path of a folder.",
        )
    if parts.username is not None or parts.password is not None or parts.query or parts.fragment:
        raise StorageError(
            f"the URL of the {parts.scheme} storage has more in it than a bucket and a prefix",
            next_step="Write it as SCHEME://BUCKET/PREFIX, and give keys in the environment or in the settings.",
        )
    path = unquote(parts.path).strip("/")
    try:
        prefix = f"{'/'.join(components(path))}/" if path else ""
        bucket = "" if parts.scheme == "memory" else components(parts.netloc)[0]
    except FormatError as error:
        raise StorageError(
            f"the URL of the {parts.scheme} storage has a bad bucket or prefix: {error.what}",
            next_step="Write it as SCHEME://BUCKET/PREFIX.",
        ) from None
    shown = f"{parts.scheme}://{bucket}"
    return Objects(_opened(shown, dict(options or {}), unsafe_plain_http), shown, prefix)


def _opened(url: str, options: dict[str, str], unsafe_plain_http: bool) -> "ObjectStore":
    if url == "memory://":
        return from_url("memory:///")
    endpoints = [options.get("endpoint"), *(os.environ.get(name) for name in ("AWS_ENDPOINT_URL", "AWS_ENDPOINT"))]
    endpoint = next((each for each in endpoints if each), "") if url.startswith("s3:") else options.get("endpoint", "")
    plain = endpoint.startswith("http://")
    if plain and not unsafe_plain_http and not _is_loopback(urlsplit(endpoint).hostname or ""):
        raise StorageError(
            f"the endpoint of {url} is on another machine and has no TLS",
            next_step="Use an https:// endpoint.",
        )
    opening: Callable[..., ObjectStore] = from_url  # its overloads ask for the options of one store
    try:
        return opening(url, config=options, client_options={**_PATIENCE, "allow_http": plain}, retry_config=_RETRIES)
    except UnknownConfigurationKeyError:
        raise StorageError(
            f"not all of these are options of {url}: {', '.join(sorted(options))}",
            next_step="Use the names that docs/operations/storage.md lists.",
        ) from None
    except (BaseError, ValueError):
        raise StorageError(
            f"the options of {url} do not fit together, or some are missing",
            next_step="Give an access key and its secret key, or none of them; see docs/operations/storage.md.",
        ) from None


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
