"""Where an X.509 certificate names the vehicle that it belongs to, and how it is read from there.

The one spot is a URI in the Subject Alternative Name: `urn:uptane:vehicle:` and the vehicle's identifier, with
everything percent-encoded but letters, digits and `_.-~`. A certificate holds exactly one such URI. Whatever else it
holds, its subject's common name above all, is for people and is not read.
"""

import hashlib
from datetime import datetime
from functools import lru_cache
from typing import TypeVar
from urllib.parse import quote, unquote_to_bytes

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.x509.oid import ExtendedKeyUsageOID
from msgspec import Struct

from uptane.metadata.errors import FormatError, IdentityError
from uptane.metadata.identifiers import VehicleIdentifier

ExtensionT = TypeVar("ExtensionT", bound=x509.ExtensionType)

VEHICLE_URI = "urn:uptane:vehicle:"
"""What the URI that names the vehicle begins with, in these letters exactly."""

MAX_CERTIFICATE_BYTES = 16_384
"""Bytes of a client certificate in DER; one of ours has about 500, one with an RSA key and long names 2,000."""

REMEMBERED = 4_096
"""Certificates of which the reading is remembered: vehicles that have connections open at once to one process."""

_FROM_WHOM = "Ask whoever issues the vehicles' certificates for one as docs/operations/certificates.md describes it."


class VehicleCertificate(Struct, frozen=True, kw_only=True, gc=False):
    """What a vehicle's certificate says.

    Args:
        vehicle: whose it is.
        serial: the serial number that its issuer gave it.
        fingerprint: SHA-256 of the signed part (`tbsCertificate`) in lower-case hexadecimal. The signature is left
            out: anybody can turn an ECDSA signature into another valid one, and so escape a list of revoked
            certificates that counts it in.
        not_before: the first second in which it is valid, in UTC.
        not_after: the last one.
    """

    vehicle: VehicleIdentifier
    serial: int
    fingerprint: str
    not_before: datetime
    not_after: datetime

    def check_valid_at(self, now: datetime) -> None:
        """Raises IdentityError when the certificate is not valid yet, or has expired."""
        if now < self.not_before:
            raise self._refused(f"is not valid before {self.not_before.isoformat()}", "Are the clocks right?")
        if now > self.not_after:
            raise self._refused(f"has expired at {self.not_after.isoformat()}", "Give the vehicle a new certificate.")

    def _refused(self, why: str, next_step: str) -> IdentityError:
        return IdentityError(
            f"the client certificate of vehicle {self.vehicle} {why}",
            next_step=next_step,
            vehicle=self.vehicle,
            fingerprint=self.fingerprint,
        )


def vehicle_uri(vehicle: VehicleIdentifier) -> str:
    """The URI that names a vehicle in its certificate."""
    return VEHICLE_URI + quote(vehicle, safe="")


def common_name(text: str) -> str:
    """As much of a name as fits the subject of a certificate, for the people who look at it (64 bytes, X.520)."""
    return text.encode()[:64].decode(errors="ignore")


@lru_cache(maxsize=REMEMBERED)
def read_vehicle_certificate(der: bytes) -> VehicleCertificate:
    """Reads a certificate that somebody else has verified up to an authority for vehicles.

    Args:
        der: the certificate.

    Raises:
        IdentityError: it is no certificate, is not for clients, or does not name exactly one vehicle by a valid
            identifier.
    """
    if len(der) > MAX_CERTIFICATE_BYTES:
        raise _refused(f"has more than {MAX_CERTIFICATE_BYTES} bytes")
    try:
        certificate = x509.load_der_x509_certificate(der)
        names = _extension(certificate, x509.SubjectAlternativeName)
        usage = _extension(certificate, x509.ExtendedKeyUsage)
        uris = names.get_values_for_type(x509.UniformResourceIdentifier) if names is not None else []
        signed = certificate.tbs_certificate_bytes
    except (ValueError, TypeError, UnsupportedAlgorithm, x509.DuplicateExtension) as error:
        raise _refused("is no certificate that can be read") from error
    if usage is None or ExtendedKeyUsageOID.CLIENT_AUTH not in usage:
        raise _refused("is not one for clients (no extended key usage clientAuth)")
    return VehicleCertificate(
        vehicle=_one_vehicle([uri for uri in uris if uri.startswith(VEHICLE_URI)]),
        serial=certificate.serial_number,
        fingerprint=hashlib.sha256(signed).hexdigest(),
        not_before=certificate.not_valid_before_utc,
        not_after=certificate.not_valid_after_utc,
    )


def _extension(certificate: x509.Certificate, kind: type[ExtensionT]) -> ExtensionT | None:
    try:
        return certificate.extensions.get_extension_for_class(kind).value
    except x509.ExtensionNotFound:
        return None


def _one_vehicle(uris: list[str]) -> VehicleIdentifier:
    if len(uris) != 1:
        raise _refused(f"names {len(uris)} vehicles, and must name exactly one", named=tuple(uris))
    try:
        vehicle = VehicleIdentifier(unquote_to_bytes(uris[0].removeprefix(VEHICLE_URI)).decode("utf-8"))
    except (FormatError, UnicodeDecodeError) as error:
        raise _refused("names a vehicle by what is no identifier", named=tuple(uris)) from error
    if vehicle_uri(vehicle) != uris[0]:
        raise _refused(f"does not write the vehicle's name as {vehicle_uri(vehicle)}", named=tuple(uris))
    return vehicle


def _refused(why: str, **facts: object) -> IdentityError:
    return IdentityError(f"the client certificate {why}", next_step=_FROM_WHOM, **facts)
