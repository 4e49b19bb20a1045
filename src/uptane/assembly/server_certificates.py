"""The certificate of a server: made anew at its start and every day, and shown from then on without a restart."""

import asyncio
import logging
import ssl
from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta
from pathlib import Path

from uptane.assembly.production import utc_now
from uptane.assembly.tls_server import load_certificate
from uptane.metadata.errors import UptaneError
from uptane.storage.certificate_authority import CertificateAuthority, ServerFiles

LIFETIME = timedelta(days=90)

MADE_SECONDS = 86_400.0
"""How often a server makes a new certificate: a folder that cannot be written to has weeks to be noticed."""

LOADED_SECONDS = 3_600.0
"""How often each of its processes takes up the newest one."""

Sleep = Callable[[float], Awaitable[object]]

_log = logging.getLogger(__name__)


def server_certificate(folder: Path, names: Sequence[str]) -> ServerFiles:
    """A new certificate for a server; its key stays.

    Args:
        folder: of the certificate authority.
        names: host names and addresses of the server.

    Raises:
        StorageError: a file is damaged or cannot be written, or the authority has expired.
        FormatError: a name that no certificate can have.
    """
    now = utc_now()
    return CertificateAuthority.in_folder(folder, now=now).server_files(folder, names, now=now, lifetime=LIFETIME)


async def keep_making(folder: Path, names: Sequence[str], *, sleep: Sleep = asyncio.sleep) -> None:
    """Makes a new one every day, until it is cancelled; the task of one process of a server."""
    while True:
        await sleep(MADE_SECONDS)
        await _tried(lambda: server_certificate(folder, names))


async def keep_loading(context: ssl.SSLContext, files: ServerFiles, *, sleep: Sleep = asyncio.sleep) -> None:
    """Shows the newest one, until it is cancelled; connections that are open stay as they are."""
    while True:
        await sleep(LOADED_SECONDS)
        await _tried(lambda: load_certificate(context, certificate=files.certificate, key=files.key))


async def _tried(work: Callable[[], object]) -> None:
    try:
        await asyncio.to_thread(work)
    except UptaneError as error:
        _log.warning("the server's certificate stays the old one for now: %s", error)
    except Exception:  # noqa: BLE001 - logged, and tried again
        _log.exception("the server's certificate stays the old one for now")
