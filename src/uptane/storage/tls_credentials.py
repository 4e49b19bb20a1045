"""A vehicle's TLS key and certificate on its own disk: the key is made there and never leaves it."""

from pathlib import Path

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ed25519
from cryptography.x509.oid import NameOID

from uptane.metadata.errors import FormatError, IdentityError, StorageError
from uptane.metadata.identifiers import VehicleIdentifier
from uptane.metadata.keys import KeyType
from uptane.metadata.vehicle_certificate import (
    VehicleCertificate,
    common_name,
    read_vehicle_certificate,
    vehicle_uri,
)
from uptane.storage.atomic_files import OPERATING_SYSTEM, FileLayer, Folder
from uptane.storage.key_files import FOLDER_MODE, PRIVATE_MODE, PrivateKey, damaged, generate

CREDENTIALS = "vehicle.pem"
"""The private key and after it the certificates: one file, so that the two are exchanged together."""

PENDING = "vehicle-key.pending"
"""The key of a certificate that was requested and has not come yet."""

_RENEW = "Remove both files of the folder and ask for a new certificate."


class VehicleCredentials:
    """A folder with a vehicle's key and certificate.

    The old pair stays in use until `keep` puts the new one in its place, whatever happens in between.

    Args:
        folder: made, for its owner only, by the first request.
        vehicle: whose they are.
        layer: the file operations.
    """

    def __init__(self, folder: Path, vehicle: VehicleIdentifier, *, layer: FileLayer = OPERATING_SYSTEM) -> None:
        self._folder = folder
        self._vehicle = vehicle
        self._layer = layer

    @property
    def file(self) -> Path:
        """The file of key and certificates, as `transport.tls.client_tls` takes it; there after the first `keep`."""
        return self._folder / CREDENTIALS

    def request(self, key_type: KeyType = KeyType.ECDSA) -> bytes:
        """A request for a certificate, for a new key; again is fine and is for the same key until `keep`.

        Args:
            key_type: of a new key: ECDSA (P-256), which every authority and front takes, or Ed25519.

        Returns:
            A PKCS #10 request, PEM.

        Raises:
            FormatError: another type of key.
            StorageError: a file is damaged or cannot be written.
        """
        if key_type not in (KeyType.ECDSA, KeyType.ED25519):
            raise FormatError(f"no TLS keys of the type {key_type} are made here", field="key type")
        with Folder.made(self._folder, FOLDER_MODE, layer=self._layer) as folder:
            folder.lock()
            folder.remove_unfinished()
            raw = folder.read(PENDING)
            if raw is None:
                raw = _pem(generate(key_type))
                folder.replace(PENDING, raw, PRIVATE_MODE)
        key = _private_key(raw, self._folder / PENDING)
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name(self._vehicle))])
        names = x509.SubjectAlternativeName([x509.UniformResourceIdentifier(vehicle_uri(self._vehicle))])
        request = x509.CertificateSigningRequestBuilder().subject_name(subject).add_extension(names, critical=False)
        digest = None if isinstance(key, ed25519.Ed25519PrivateKey) else hashes.SHA256()
        return request.sign(key, digest).public_bytes(serialization.Encoding.PEM)

    def keep(self, certificates: bytes) -> VehicleCertificate:
        """Puts a certificate that was requested, and its key, in the place of what was there.

        Args:
            certificates: PEM, the vehicle's own first, then those between it and the authority, if any.

        Returns:
            What the vehicle's own says.

        Raises:
            IdentityError: it is no client certificate of this vehicle.
            FormatError: it cannot be read, or is for another key than the one that was requested last.
            StorageError: nothing was requested, or a file is damaged or cannot be written.
        """
        try:
            chain = x509.load_pem_x509_certificates(certificates)
            certified = chain[0].public_key()
        except (ValueError, UnsupportedAlgorithm) as error:
            raise FormatError("the certificates that came cannot be read", field="certificates") from error
        own = self._checked(chain[0])
        with Folder.made(self._folder, FOLDER_MODE, layer=self._layer) as folder:
            folder.lock()
            raw = folder.read(PENDING)
            if raw is None:
                raise StorageError(f"no certificate was requested in {self._folder}", next_step="Request one first.")
            if _private_key(raw, self._folder / PENDING).public_key() != certified:
                raise FormatError("the certificate that came is for another key", field="certificates")
            pems = [certificate.public_bytes(serialization.Encoding.PEM) for certificate in chain]
            folder.replace(CREDENTIALS, b"".join([raw, *pems]), PRIVATE_MODE)
            folder.remove(PENDING)
            folder.sync()
        return own

    def certificate(self) -> VehicleCertificate | None:
        """What the certificate in use says, or None when there is none yet.

        Raises:
            StorageError: the file is damaged.
        """
        folder = Folder.existing(self._folder, layer=self._layer)
        if folder is None:
            return None
        with folder:
            raw = folder.read(CREDENTIALS)
        if raw is None:
            return None
        try:
            _private_key(raw, self.file)
            return self._checked(x509.load_pem_x509_certificate(raw[raw.find(b"-----BEGIN CERTIFICATE") :]))
        except (ValueError, IdentityError) as error:
            raise damaged(self.file, "holds no certificate of this vehicle", _RENEW) from error

    def _checked(self, certificate: x509.Certificate) -> VehicleCertificate:
        read = read_vehicle_certificate(certificate.public_bytes(serialization.Encoding.DER))
        if read.vehicle != self._vehicle:
            raise IdentityError(
                f"the certificate is that of vehicle {read.vehicle}, and this is {self._vehicle}",
                vehicle=self._vehicle,
                offered=read.vehicle,
            )
        return read


def _pem(key: PrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def _private_key(raw: bytes, path: Path) -> PrivateKey:
    try:
        key = serialization.load_pem_private_key(raw, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        # The cause is left out: nothing that was read near a private key goes into a message.
        raise damaged(path, f"holds no private key that can be used ({type(error).__name__})", _RENEW) from None
    if not isinstance(key, PrivateKey):
        raise damaged(path, "holds a private key of a kind that is not supported", _RENEW)
    return key
