"""The certificate of a server: made anew at its start, every day, and after its clock was put right; shown at once."""

import asyncio
import logging
import ssl
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime, timedelta
from pathlib import Path

from cryptography import x509

from uptane.assembly.production import utc_now
from uptane.assembly.tls_context import load_certificate
from uptane.metadata.errors import UptaneError
from uptane.storage.certificate_authority import (
    AUTHORITY,
    BACKDATED,
    CERTIFICATE,
    SERVER,
    CertificateAuthority,
    ServerFiles,
    authority_certificate,
)

LIFETIME = timedelta(days=90)

RENEWED = timedelta(days=1)
"""After how long a server makes a new certificate: a folder that cannot be written to has weeks to be noticed."""

LOOKED_SECONDS = 60.0
"""How often a server looks at its certificate, and each of its processes takes up a new one. For two of these, vehicles
may be shown one that is not valid yet, after a clock that was ahead was put right."""

FAILED_SECONDS = 3_600.0
"""The same after a failure, each of which is told."""

Sleep = Callable[[float], Awaitable[object]]

_log = logging.getLogger(__name__)


def server_certificate(folder: Path, names: Sequence[str]) -> ServerFiles:
    """A new certificate for a server; its key stays.

    Where the authority's private key is not in the folder, key and certificate are those that somebody has brought.

    Args:
        folder: of the certificate authority.
        names: host names and addresses of the server.

    Raises:
        StorageError: a file is damaged or cannot be written, or the authority has expired.
        FormatError: a name that no certificate can have.
    """
    now = utc_now()
    if not (folder / AUTHORITY).exists():
        return ServerFiles(certificate=folder / (SERVER + CERTIFICATE), key=folder / SERVER)
    return CertificateAuthority.in_folder(folder, now=now).server_files(folder, names, now=now, lifetime=LIFETIME)


async def keep_making(folder: Path, names: Sequence[str], *, sleep: Sleep = asyncio.sleep) -> None:
    """Makes a new one where it is due, until it is cancelled; the task of one process of a server."""

    def look() -> None:
        if is_due(folder, utc_now()):
            server_certificate(folder, names)

    seconds = LOOKED_SECONDS
    while True:
        await sleep(seconds)
        try:
            await asyncio.to_thread(look)
            seconds = LOOKED_SECONDS
        except Exception as error:  # noqa: BLE001 - told, and tried again
            seconds = _told(error)


def is_due(folder: Path, now: datetime) -> bool:
    """Whether a server should have a new certificate: it is a day old, cannot be read, or was made by a later clock.

    Where the authority, too, was made by a later clock, a new one would be no better.

    Raises:
        StorageError: the authority's certificate is missing or damaged.
    """
    try:
        begins = _begins((folder / (SERVER + CERTIFICATE)).read_bytes())
    except (OSError, ValueError):
        return True
    if now - BACKDATED < begins:
        return begins > _begins(authority_certificate(folder))
    return now - BACKDATED >= begins + RENEWED


def _begins(certificate: bytes) -> datetime:
    return x509.load_pem_x509_certificate(certificate).not_valid_before_utc


async def keep_loading(context: ssl.SSLContext, files: ServerFiles, *, sleep: Sleep = asyncio.sleep) -> None:
    """Shows the newest one, until it is cancelled; connections that are open stay as they are."""
    seconds = LOOKED_SECONDS
    shown: bytes | None = b""
    while True:
        await sleep(seconds)
        try:
            newest = await asyncio.to_thread(_content, files)
            if newest != shown:
                # In this thread: OpenSSL must not change a context while a connection is made from it.
                load_certificate(context, certificate=files.certificate, key=files.key)
                shown = newest
            seconds = LOOKED_SECONDS
        except Exception as error:  # noqa: BLE001 - told, and tried again
            seconds = _told(error)


def _content(files: ServerFiles) -> bytes | None:
    """What tells one certificate from another; None where it cannot be read, which `load_certificate` explains."""
    try:
        return files.certificate.read_bytes()
    except OSError:
        return None


def _told(error: Exception) -> float:
    """Tells of a failure, and after how many seconds it is tried again."""
    unforeseen = not isinstance(error, UptaneError)
    _log.warning("the server's certificate stays the old one for now: %s", error, exc_info=unforeseen)
    return FAILED_SECONDS
