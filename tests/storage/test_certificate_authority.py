"""The built-in authority: what it issues, to whom, and what it refuses."""

import stat
import subprocess
from datetime import timedelta
from pathlib import Path

import pytest
from certificates import DAY, NOW, VIN, House, certificate_of
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID

from uptane.metadata.errors import FormatError, SpoofingError, StorageError
from uptane.metadata.keys import KeyType
from uptane.metadata.vehicle_certificate import read_vehicle_certificate
from uptane.storage.certificate_authority import AUTHORITY, MAX_REQUEST_BYTES, CertificateAuthority, requested_key
from uptane.storage.tls_credentials import VehicleCredentials


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def request_for(key: object) -> x509.CertificateSigningRequest:
    digest = None if isinstance(key, ed25519.Ed25519PrivateKey) else hashes.SHA256()
    return x509.CertificateSigningRequestBuilder().subject_name(x509.Name([])).sign(key, digest)  # type: ignore[arg-type]


def pem(request: x509.CertificateSigningRequest) -> bytes:
    return request.public_bytes(serialization.Encoding.PEM)


@pytest.fixture
def house(tmp_path: Path) -> House:
    return House(tmp_path)


def test_the_private_keys_are_for_their_owner_only(house: House) -> None:
    house.server()
    house.credentials().request()
    private = [path for path in house.folder.rglob("*") if path.is_file() and b"PRIVATE" in path.read_bytes()]
    assert {path.name for path in private} == {"authority", "server", "vehicle.pem", "vehicle-key.pending"}
    assert {mode(path) for path in private} == {0o600}
    assert {mode(path.parent) for path in private} == {0o700}


def test_an_authority_is_made_once_and_opened_after_that(house: House) -> None:
    again = CertificateAuthority.in_folder(house.folder / "authority", now=NOW + DAY, name="Another")
    assert again.certificate == house.authority.certificate
    assert again.certificate_file.read_bytes() == again.certificate


def test_an_authority_that_lost_a_file_or_has_another_ones_is_not_made_anew(house: House, tmp_path: Path) -> None:
    folder = house.folder / "authority"
    other = House(tmp_path / "other")
    (folder / "authority.pem").write_bytes(other.authority.certificate)
    with pytest.raises(StorageError, match="is not the certificate of the key"):
        CertificateAuthority.in_folder(folder, now=NOW)
    (folder / "authority.pem").write_bytes(b"nothing")
    with pytest.raises(StorageError, match="no certificate that can be read"):
        CertificateAuthority.in_folder(folder, now=NOW)
    (folder / AUTHORITY).unlink()
    with pytest.raises(StorageError, match="missing beside"):
        CertificateAuthority.in_folder(folder, now=NOW)
    assert not (folder / AUTHORITY).exists()


def test_a_vehicles_certificate_says_what_it_is_for_and_nothing_of_the_request(house: House) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    evil = x509.SubjectAlternativeName([x509.UniformResourceIdentifier("urn:uptane:vehicle:OTHER")])
    request = (
        x509.CertificateSigningRequestBuilder()
        .subject_name(x509.Name.from_rfc4514_string("CN=OTHER"))
        .add_extension(evil, critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    issued = house.authority.certify_vehicle(pem(request), VIN, now=NOW, lifetime=DAY)
    certificate = certificate_of(issued)
    assert read_vehicle_certificate(certificate.public_bytes(serialization.Encoding.DER)).vehicle == VIN
    assert certificate.subject.rfc4514_string() == f"CN={VIN}"
    assert not certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    usage = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert list(usage) == [ExtendedKeyUsageOID.CLIENT_AUTH]
    assert certificate.not_valid_before_utc == NOW - timedelta(hours=1)
    assert certificate.not_valid_after_utc == NOW + DAY
    certificate.verify_directly_issued_by(certificate_of(house.authority.certificate))


def test_serial_numbers_are_random(house: House) -> None:
    request = pem(request_for(ec.generate_private_key(ec.SECP256R1())))
    issued = [house.authority.certify_vehicle(request, VIN, now=NOW, lifetime=DAY) for _ in range(2)]
    serials = {certificate_of(one).serial_number for one in issued}
    assert len(serials) == 2
    assert min(serials).bit_length() > 100


def test_no_certificate_outlives_its_authority(tmp_path: Path) -> None:
    authority = CertificateAuthority.in_folder(tmp_path, now=NOW, lifetime=DAY)
    request = pem(request_for(ec.generate_private_key(ec.SECP256R1())))
    issued = certificate_of(authority.certify_vehicle(request, VIN, now=NOW, lifetime=30 * DAY))
    assert issued.not_valid_after_utc == NOW + DAY
    with pytest.raises(StorageError, match="has expired"):
        authority.certify_vehicle(request, VIN, now=NOW + DAY, lifetime=DAY)


@pytest.mark.parametrize("lifetime", [timedelta(), -DAY])
def test_a_lifetime_is_positive(house: House, tmp_path: Path, lifetime: timedelta) -> None:
    request = pem(request_for(ec.generate_private_key(ec.SECP256R1())))
    with pytest.raises(FormatError, match="lifetime"):
        house.authority.certify_vehicle(request, VIN, now=NOW, lifetime=lifetime)
    with pytest.raises(FormatError, match="lifetime"):
        CertificateAuthority.in_folder(tmp_path / "new", now=NOW, lifetime=lifetime)
    assert not (tmp_path / "new").exists()


def test_who_does_not_hold_the_key_gets_no_certificate_for_it(house: House) -> None:
    """The request of an honest device, with one bit of its signature changed."""
    der = request_for(ec.generate_private_key(ec.SECP256R1())).public_bytes(serialization.Encoding.DER)
    forged = der[:-1] + bytes([der[-1] ^ 1])
    with pytest.raises(SpoofingError, match="not signed with the key"):
        house.authority.certify_vehicle(forged, VIN, now=NOW, lifetime=DAY)


@pytest.mark.parametrize("key_type", [KeyType.ECDSA, KeyType.ED25519])
def test_requests_come_as_pem_or_der(tmp_path: Path, key_type: KeyType) -> None:
    request = VehicleCredentials(tmp_path, VIN).request(key_type)
    der = x509.load_pem_x509_csr(request).public_bytes(serialization.Encoding.DER)
    assert requested_key(request) == requested_key(der)


def test_other_kinds_of_keys_and_other_bytes_are_refused() -> None:
    for key in (rsa.generate_private_key(65537, 2048), ec.generate_private_key(ec.SECP384R1())):
        with pytest.raises(FormatError, match="P-256 and Ed25519"):
            requested_key(pem(request_for(key)))
    for bad in (b"", b"x", b"-----BEGIN CERTIFICATE REQUEST-----\nAA==\n-----END CERTIFICATE REQUEST-----\n"):
        with pytest.raises(FormatError, match="cannot be read"):
            requested_key(bad)
    with pytest.raises(FormatError, match="more than"):
        requested_key(b"x" * (MAX_REQUEST_BYTES + 1))


def test_a_servers_certificate_names_hosts_and_addresses(house: House) -> None:
    files = house.server("uptane.example.org", "*.oem.example", "192.0.2.1", "2001:db8::1")
    names = certificate_of(files.certificate.read_bytes()).extensions.get_extension_for_class(
        x509.SubjectAlternativeName
    )
    assert names.value.get_values_for_type(x509.DNSName) == ["uptane.example.org", "*.oem.example"]
    assert list(map(str, names.value.get_values_for_type(x509.IPAddress))) == ["192.0.2.1", "2001:db8::1"]
    before = files.key.read_bytes()
    assert house.server("other.example").key.read_bytes() == before


@pytest.mark.parametrize(
    "names", [(), ("",), ("Uptane.example",), ("a:443",), ("a b",), ("-a",), ("https://a",), ("*",)]
)
def test_what_is_no_name_of_a_server_is_refused(house: House, names: tuple[str, ...]) -> None:
    key = ec.generate_private_key(ec.SECP256R1()).public_key()
    with pytest.raises(FormatError):
        house.authority.certify_server(key, names, now=NOW, lifetime=DAY)


def test_openssl_finds_nothing_to_blame_in_strict_mode(house: House) -> None:
    vehicle, server = house.credentials().file, house.server().certificate
    for file, purpose in ((vehicle, "sslclient"), (server, "sslserver")):
        command = ["openssl", "verify", "-x509_strict", "-purpose", purpose, "-CAfile", house.trusts, file]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.stdout.endswith(": OK\n"), done.stderr
