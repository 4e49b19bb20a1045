"""TLS as a server speaks it: which versions, with which certificate, and whose certificates it takes of clients."""

import ssl
from pathlib import Path

from uptane.metadata.errors import StorageError

TLS_1_2_CIPHERS = "ECDHE+AESGCM:ECDHE+CHACHA20"
"""Ciphers for clients without TLS 1.3: forward secrecy and authenticated encryption only."""


def server_tls(*, certificate: Path, key: Path, client_authorities: bytes) -> ssl.SSLContext:
    """TLS for a server: 1.2 or newer; clients may show a certificate, and it must then be a good one.

    A certificate that no authority here has issued, that has expired, is not valid yet or is not for clients ends the
    handshake. A client without one is let in, as a vehicle at its first contact has none.

    Args:
        certificate: the server's certificates, PEM, its own first.
        key: its private key, PEM.
        client_authorities: the certificates of the authorities for vehicles, PEM; an intermediate one may stand alone.

    Raises:
        StorageError: a file is missing or damaged, or key and certificate do not belong together.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION | ssl.OP_CIPHER_SERVER_PREFERENCE
    context.set_ciphers(TLS_1_2_CIPHERS)
    context.set_alpn_protocols(["http/1.1"])
    context.verify_mode = ssl.CERT_OPTIONAL
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    load_certificate(context, certificate=certificate, key=key)
    try:
        context.load_verify_locations(cadata=client_authorities.decode("ascii"))
    except (ssl.SSLError, ValueError) as error:
        raise StorageError(
            f"the certificates of the authorities for vehicles cannot be used: {_reason(error)}",
            next_step="They must be PEM.",
        ) from error
    return context


def load_certificate(context: ssl.SSLContext, *, certificate: Path, key: Path) -> None:
    """Has a server show this certificate from its next connection on; as `server_tls`."""
    try:
        # The password keeps OpenSSL from asking for one at the terminal.
        context.load_cert_chain(certificate, key, password="")
    except (OSError, ValueError) as error:
        raise StorageError(
            f"the server's certificate {certificate} and its key {key} cannot be used: {_reason(error)}",
            next_step="Both must be PEM, unencrypted, readable, and belong together.",
            certificate=str(certificate),
            key=str(key),
        ) from error


def _reason(error: Exception) -> str:
    if isinstance(error, ssl.SSLError):
        return (error.reason or "not a PEM file").replace("_", " ").lower()
    if isinstance(error, OSError):
        return error.strerror or "it cannot be read"
    return "not a PEM file"
