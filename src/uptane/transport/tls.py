"""TLS for the client side: which authorities a vehicle believes of servers, and the certificate that it shows them."""

import ssl
from pathlib import Path

from uptane.metadata.errors import StorageError


def client_tls(*, authorities: Path, credentials: Path | None = None) -> ssl.SSLContext:
    """TLS for a client: 1.2 or newer; a server must have a certificate of these authorities for the name in its URL.

    Args:
        authorities: the certificates of the authorities for servers, PEM; no others are believed.
        credentials: the private key and the certificates of the client in one PEM file, as
            `storage.tls_credentials.VehicleCredentials` keeps them; None shows no certificate, as at first contact.

    Returns:
        The context, for one lifetime of the certificate: a renewed one needs a new context.

    Raises:
        StorageError: a file is missing or damaged, or key and certificate do not belong together.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION
    try:
        context.load_verify_locations(authorities)
    except (OSError, ValueError) as error:
        raise _unusable(authorities, "certificates of authorities", error) from error
    if credentials is not None:
        try:
            # The password keeps OpenSSL from asking for one at the terminal.
            context.load_cert_chain(credentials, password="")
        except (OSError, ValueError) as error:
            raise _unusable(credentials, "private key and certificate of the client", error) from error
    return context


def _unusable(path: Path, what: str, error: Exception) -> StorageError:
    reason = error.reason if isinstance(error, ssl.SSLError) else getattr(error, "strerror", None)
    return StorageError(
        f"{path} cannot be used as {what}: {(reason or 'not a PEM file').replace('_', ' ').lower()}",
        next_step="Provision the ECU again, or restore the file.",
        path=str(path),
    )
