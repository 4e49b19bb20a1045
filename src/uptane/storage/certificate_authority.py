"""The built-in certificate authority: certificates for this system's servers and for the vehicles that talk to them."""

import ipaddress
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Self

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from uptane.metadata.errors import FormatError, SpoofingError, StorageError
from uptane.metadata.identifiers import VehicleIdentifier, check_text
from uptane.metadata.keys import KeyType
from uptane.metadata.vehicle_certificate import common_name, vehicle_uri
from uptane.storage.atomic_files import OPERATING_SYSTEM, FileLayer, Folder
from uptane.storage.key_files import FOLDER_MODE, PUBLIC_MODE, KeyFolder, PrivateKey, damaged

AUTHORITY = "authority"
"""The file of the authority's private key; `authority.pem` beside it is its certificate."""

SERVER = "server"
"""The file of a server's private key; `server.pem` beside it is its certificate."""

CERTIFICATE = ".pem"

AUTHORITY_LIFETIME = timedelta(days=20 * 365)
"""How long the authority's own certificate is valid: as long as vehicles are on the road."""

BACKDATED = timedelta(hours=1)
"""How much earlier than now a certificate begins to be valid, for clocks that are behind."""

MAX_REQUEST_BYTES = 16_384
"""Bytes of a certificate request; one of ours has 400."""

MAX_NAME = 64
"""Bytes of an authority's name: a common name of X.520."""

_DNS_NAME = re.compile(
    r"(?=.{1,253}\Z)(\*\.)?([a-z0-9_]([a-z0-9-]{0,61}[a-z0-9])?\.)*[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?"
)

CertifiedKey = ec.EllipticCurvePublicKey | ed25519.Ed25519PublicKey


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerFiles:
    """Where a server's TLS files are, both PEM.

    Args:
        certificate: the certificate.
        key: the private key, readable for its owner only.
    """

    certificate: Path
    key: Path


class CertificateAuthority:
    """An authority in a folder; `in_folder` opens it.

    Args:
        certificate: its own certificate.
        key: its private key.
        path: the file of the certificate, which servers, fronts and vehicles are told to trust.
    """

    def __init__(self, certificate: x509.Certificate, key: PrivateKey, path: Path) -> None:
        self._certificate = certificate
        self._key = key
        self.certificate_file = path

    @classmethod
    def in_folder(
        cls,
        folder: Path,
        *,
        now: datetime,
        name: str = "Uptane vehicles and servers",
        lifetime: timedelta = AUTHORITY_LIFETIME,
        layer: FileLayer = OPERATING_SYSTEM,
    ) -> Self:
        """The authority in a folder; made, with a P-256 key, where there is none.

        Args:
            folder: its folder, made for its owner only.
            now: the time, in UTC.
            name: of a new authority, for people.
            lifetime: of a new authority.
            layer: the file operations.

        Raises:
            StorageError: a file is damaged, missing beside the other, or cannot be written.
            FormatError: the name or the lifetime is none.
        """
        _check_lifetime(lifetime)
        check_text("name of the authority", name, MAX_NAME)
        certificate_name = AUTHORITY + CERTIFICATE
        with Folder.made(folder, FOLDER_MODE, layer=layer) as there:
            raw, key_there = there.read(certificate_name), there.read(AUTHORITY) is not None
            if raw is not None and not key_there:
                raise damaged(there.path / AUTHORITY, f"is missing beside {certificate_name}", _RESTORE)
            key = KeyFolder(folder, layer=layer).load_or_generate(AUTHORITY, KeyType.ECDSA)
            if raw is None:
                made = _authority_certificate(key, name, now, lifetime)
                there.create(certificate_name, made.public_bytes(serialization.Encoding.PEM), PUBLIC_MODE)
                raw = there.read(certificate_name) or b""
        path = folder / certificate_name
        return cls(_own_certificate(raw, key, path), key, path)

    @property
    def certificate(self) -> bytes:
        """The authority's own certificate, PEM."""
        return self._certificate.public_bytes(serialization.Encoding.PEM)

    def certify_vehicle(
        self, request: bytes, vehicle: VehicleIdentifier, *, now: datetime, lifetime: timedelta
    ) -> bytes:
        """A client certificate for a vehicle.

        Args:
            request: a PKCS #10 request, PEM or DER, signed with the key that the certificate is for. Nothing but its
                key is taken from it.
            vehicle: whose key it is; the caller has made sure of that.
            now: the time, in UTC.
            lifetime: how long the certificate is valid; it ends with the authority's own at the latest.

        Returns:
            The certificate, PEM.

        Raises:
            FormatError: no request, a key that is neither P-256 nor Ed25519, or a lifetime that is none.
            SpoofingError: the request is not signed with its own key.
            StorageError: the authority itself has expired.
        """
        key = requested_key(request)
        builder = self._begun(key, common_name(vehicle), now, lifetime)
        names = [x509.UniformResourceIdentifier(vehicle_uri(vehicle))]
        return self._signed(builder, names, ExtendedKeyUsageOID.CLIENT_AUTH)

    def certify_server(self, key: CertifiedKey, names: Sequence[str], *, now: datetime, lifetime: timedelta) -> bytes:
        """A certificate for a server.

        Args:
            key: its public key.
            names: host names and IP addresses under which clients reach it, at least one.
            now: the time, in UTC.
            lifetime: how long the certificate is valid; it ends with the authority's own at the latest.

        Returns:
            The certificate, PEM.

        Raises:
            FormatError: a name or the lifetime is none.
            StorageError: the authority itself has expired.
        """
        if not names:
            raise FormatError("a server's certificate needs at least one name", field="names")
        general = [_server_name(name) for name in names]
        builder = self._begun(key, common_name(names[0]), now, lifetime)
        return self._signed(builder, general, ExtendedKeyUsageOID.SERVER_AUTH)

    def server_files(
        self,
        folder: Path,
        names: Sequence[str],
        *,
        now: datetime,
        lifetime: timedelta,
        layer: FileLayer = OPERATING_SYSTEM,
    ) -> ServerFiles:
        """A server's key and a new certificate for it in a folder; a key that is there is kept.

        Raises:
            FormatError, StorageError: as `certify_server` does, or a file is damaged or cannot be written.
        """
        key = KeyFolder(folder, layer=layer).load_or_generate(SERVER, KeyType.ECDSA)
        certificate = self.certify_server(_certified(key.public_key()), names, now=now, lifetime=lifetime)
        with Folder.made(folder, FOLDER_MODE, layer=layer) as there:
            there.replace(SERVER + CERTIFICATE, certificate, PUBLIC_MODE)
        return ServerFiles(certificate=folder / (SERVER + CERTIFICATE), key=folder / SERVER)

    def _begun(self, key: CertifiedKey, name: str, now: datetime, lifetime: timedelta) -> x509.CertificateBuilder:
        _check_lifetime(lifetime)
        last = self._certificate.not_valid_after_utc
        if now >= last:
            raise StorageError(
                f"the certificate authority has expired at {last.isoformat()}",
                next_step="Make a new authority, and give all servers and vehicles certificates of it.",
            )
        issuer_key = self._certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
        return (
            _begun(key, name, self._certificate.subject)
            .not_valid_before(max(now - BACKDATED, self._certificate.not_valid_before_utc))
            .not_valid_after(min(now + lifetime, last))
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(issuer_key), critical=False)
            .add_extension(_key_usage(signs_certificates=False), critical=True)
        )

    def _signed(
        self,
        builder: x509.CertificateBuilder,
        names: Sequence[x509.GeneralName],
        usage: x509.ObjectIdentifier,
    ) -> bytes:
        return (
            builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
            .add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
            .sign(self._key, _hash_for(self._key))
            .public_bytes(serialization.Encoding.PEM)
        )


def authority_certificate(folder: Path) -> bytes:
    """The certificate of the authority in a folder, PEM; its private key need not be there.

    Raises:
        StorageError: there is none, or it is damaged.
    """
    path, raw, there = folder / (AUTHORITY + CERTIFICATE), None, Folder.existing(folder)
    if there is not None:
        with there:
            raw = there.read(path.name)
    if raw is None:
        raise damaged(path, "does not exist", "Bring it from the machine that has the authority.")
    return _loaded(raw, path).public_bytes(serialization.Encoding.PEM)


_RESTORE = "Restore it from a backup, or remove the whole folder and give all servers and vehicles new certificates."


def requested_key(request: bytes) -> CertifiedKey:
    """The key of a PKCS #10 request, once its holder has proved to have it.

    Args:
        request: PEM or DER.

    Raises:
        FormatError: no request, or a key that is neither P-256 nor Ed25519.
        SpoofingError: the request is not signed with its own key.
    """
    if len(request) > MAX_REQUEST_BYTES:
        raise FormatError(f"the certificate request has more than {MAX_REQUEST_BYTES} bytes", field="request")
    load: Callable[[bytes], x509.CertificateSigningRequest] = (
        x509.load_pem_x509_csr if request.lstrip().startswith(b"-----") else x509.load_der_x509_csr
    )
    try:
        parsed = load(request)
        key = _certified(parsed.public_key())
        proved = parsed.is_signature_valid
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise FormatError("the certificate request cannot be read", field="request") from error
    if not proved:
        raise SpoofingError(
            "the certificate request is not signed with the key that it asks a certificate for",
            next_step="Make the request with the private key of the device.",
        )
    return key


def _certified(key: object) -> CertifiedKey:
    if isinstance(key, ed25519.Ed25519PublicKey) or (
        isinstance(key, ec.EllipticCurvePublicKey) and isinstance(key.curve, ec.SECP256R1)
    ):
        return key
    raise FormatError("certificates are for keys of the kinds P-256 and Ed25519 only", field="key")


def _own_certificate(raw: bytes, key: PrivateKey, path: Path) -> x509.Certificate:
    certificate = _loaded(raw, path)
    if certificate.public_key() != key.public_key():
        raise damaged(path, f"is not the certificate of the key {AUTHORITY} beside it", _RESTORE)
    return certificate


def _loaded(raw: bytes, path: Path) -> x509.Certificate:
    try:
        certificate = x509.load_pem_x509_certificate(raw)
        certificate.public_key()
    except (ValueError, UnsupportedAlgorithm) as error:
        raise damaged(path, "holds no certificate that can be read", _RESTORE) from error
    return certificate


def _authority_certificate(key: PrivateKey, name: str, now: datetime, lifetime: timedelta) -> x509.Certificate:
    public = _certified(key.public_key())
    subject = _subject(name)
    return (
        _begun(public, name, subject)
        .not_valid_before(now - BACKDATED)
        .not_valid_after(now + lifetime)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_key_usage(signs_certificates=True), critical=True)
        .sign(key, _hash_for(key))
    )


def _begun(key: CertifiedKey, name: str, issuer: x509.Name) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(_subject(name))
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
    )


def _subject(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def _key_usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        encipher_only=False,
        decipher_only=False,
    )


def _hash_for(key: PrivateKey) -> hashes.SHA256 | None:
    return None if isinstance(key, ed25519.Ed25519PrivateKey) else hashes.SHA256()


def _check_lifetime(lifetime: timedelta) -> None:
    if lifetime <= timedelta():
        raise FormatError(f"the lifetime of a certificate must be positive, not {lifetime}", field="lifetime")


def _server_name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        pass
    if not _DNS_NAME.fullmatch(name):
        raise FormatError(
            f"{name!r} is neither a host name nor an IP address",
            next_step="Write it in lower case, without a port.",
            field="names",
        )
    return x509.DNSName(name)
