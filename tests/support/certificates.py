"""An authority of the house, certificates that no honest authority issues, and one TLS request over a raw socket."""

import socket
import ssl
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from raw_sockets import answer_of

from uptane.metadata.identifiers import VehicleIdentifier
from uptane.storage.certificate_authority import AUTHORITY, CertificateAuthority, ServerFiles
from uptane.storage.tls_credentials import VehicleCredentials
from uptane.transport.tls import client_tls

NOW = datetime.now(UTC).replace(microsecond=0)
"""The handshakes of these tests ask the machine's clock."""

DAY = timedelta(days=1)
VIN = VehicleIdentifier("1HGBH41JXMN109186")
URI = f"urn:uptane:vehicle:{VIN}"
CLIENT = (ExtendedKeyUsageOID.CLIENT_AUTH,)


class House:
    """An authority, a server's files and vehicles' credentials in one folder.

    Args:
        folder: of its own.
        since: when the authority was made.
        authority: the folder of an authority that is there already.
    """

    def __init__(self, folder: Path, *, since: datetime = NOW, authority: Path | None = None) -> None:
        self.folder = folder
        self.authority = CertificateAuthority.in_folder(authority or folder / "authority", now=since)
        self.trusts = self.authority.certificate_file

    def server(self, *names: str) -> ServerFiles:
        """A server's key and certificate."""
        return self.authority.server_files(
            self.folder / "server", names or ("127.0.0.1", "localhost"), now=NOW, lifetime=30 * DAY
        )

    def credentials(self, vehicle: VehicleIdentifier = VIN) -> VehicleCredentials:
        """A vehicle's credentials, issued in the honest way."""
        held = VehicleCredentials(self.folder / "vehicles" / vehicle, vehicle)
        held.keep(self.authority.certify_vehicle(held.request(), vehicle, now=NOW, lifetime=30 * DAY))
        return held

    def vehicle(self, vehicle: VehicleIdentifier = VIN) -> ssl.SSLContext:
        """TLS of a vehicle with a certificate."""
        return client_tls(authorities=self.trusts, credentials=self.credentials(vehicle).file)

    def stranger(self) -> ssl.SSLContext:
        """TLS of a client without a certificate."""
        return client_tls(authorities=self.trusts)

    def with_pem(self, pem: bytes) -> ssl.SSLContext:
        """TLS of a client with this key and certificate."""
        file = self.folder / "forged.pem"
        file.write_bytes(pem)
        return client_tls(authorities=self.trusts, credentials=file)

    def forged(
        self,
        uris: Sequence[str] = (URI,),
        *,
        usages: Sequence[x509.ObjectIdentifier] = CLIENT,
        common_name: str = "whatever",
        begins: datetime = NOW - DAY,
        ends: datetime = NOW + DAY,
    ) -> bytes:
        """A private key and a certificate that this authority has signed though it is odd, PEM."""
        key = ec.generate_private_key(ec.SECP256R1())
        signer = serialization.load_pem_private_key(self.trusts.with_name(AUTHORITY).read_bytes(), password=None)
        assert isinstance(signer, ec.EllipticCurvePrivateKey)
        builder = (
            x509.CertificateBuilder()
            .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)]))
            .issuer_name(x509.load_pem_x509_certificate(self.authority.certificate).subject)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(begins)
            .not_valid_after(ends)
        )
        if uris:
            names = x509.SubjectAlternativeName([x509.UniformResourceIdentifier(uri) for uri in uris])
            builder = builder.add_extension(names, critical=False)
        if usages:
            builder = builder.add_extension(x509.ExtendedKeyUsage(usages), critical=False)
        certificate = builder.sign(signer, hashes.SHA256())
        private = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        return private + certificate.public_bytes(serialization.Encoding.PEM)


def certificate_of(pem: bytes) -> x509.Certificate:
    """The certificate in a PEM file that may begin with a private key."""
    return x509.load_pem_x509_certificate(pem[pem.find(b"-----BEGIN CERTIFICATE") :])


def der_of(pem: bytes) -> bytes:
    """The same, as DER."""
    return certificate_of(pem).public_bytes(serialization.Encoding.DER)


def get(path: str, *headers: str) -> bytes:
    """The bytes of a request."""
    return "\r\n".join([f"GET {path} HTTP/1.1", "Host: localhost", *headers, "", ""]).encode()


def ask(port: int, tls: ssl.SSLContext, request: bytes) -> bytes:
    """The answer to one request over a connection of its own; empty where the server hung up.

    Raises:
        ssl.SSLError: the handshake failed. With TLS 1.3 a client learns only now that its certificate was refused.
    """
    with (
        socket.create_connection(("127.0.0.1", port), timeout=10) as plain,
        tls.wrap_socket(plain, server_hostname="localhost") as connection,
    ):
        connection.sendall(request)
        return answer_of(connection)
