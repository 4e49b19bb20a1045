"""A vehicle's TLS key and certificate on its disk, through requests, renewals and damage."""

from pathlib import Path

import pytest
from certificates import DAY, NOW, VIN, House, certificate_of
from cryptography import x509

from uptane.metadata.errors import FormatError, IdentityError, StorageError
from uptane.metadata.identifiers import VehicleIdentifier
from uptane.metadata.keys import KeyType
from uptane.storage.tls_credentials import PENDING, VehicleCredentials


@pytest.fixture
def house(tmp_path: Path) -> House:
    return House(tmp_path)


@pytest.fixture
def credentials(tmp_path: Path) -> VehicleCredentials:
    return VehicleCredentials(tmp_path / "tls", VIN)


def issued(house: House, request: bytes, vehicle: VehicleIdentifier = VIN) -> bytes:
    return house.authority.certify_vehicle(request, vehicle, now=NOW, lifetime=DAY)


def test_a_new_vehicle_has_none(credentials: VehicleCredentials) -> None:
    assert credentials.certificate() is None
    assert not credentials.file.exists()


def test_asking_twice_is_for_the_same_key(credentials: VehicleCredentials) -> None:
    """The answer to the first request may have been lost, or may still come."""
    keys = [x509.load_pem_x509_csr(credentials.request()).public_key() for _ in range(2)]
    assert keys[0] == keys[1]


def test_a_certificate_comes_into_use_with_its_key(house: House, credentials: VehicleCredentials) -> None:
    kept = credentials.keep(issued(house, credentials.request()))
    assert credentials.certificate() == kept
    assert kept.vehicle == VIN
    assert not (credentials.file.parent / PENDING).exists()


def test_a_renewal_takes_a_new_key_and_the_old_pair_works_until_then(
    house: House, credentials: VehicleCredentials
) -> None:
    credentials.keep(issued(house, credentials.request()))
    before = credentials.file.read_bytes()
    request = credentials.request(KeyType.ED25519)
    assert credentials.file.read_bytes() == before
    credentials.keep(issued(house, request))
    after = credentials.file.read_bytes()
    assert certificate_of(after).public_key() != certificate_of(before).public_key()


def test_a_certificate_of_another_vehicle_or_key_is_not_kept(house: House, credentials: VehicleCredentials) -> None:
    credentials.keep(issued(house, credentials.request()))
    before = credentials.file.read_bytes()
    request = credentials.request()
    with pytest.raises(IdentityError, match="is that of vehicle OTHER"):
        credentials.keep(issued(house, request, VehicleIdentifier("OTHER")))
    with pytest.raises(FormatError, match="another key"):
        credentials.keep(before[before.find(b"-----BEGIN CERT") :])
    with pytest.raises(IdentityError, match="not one for clients"):
        credentials.keep(house.server().certificate.read_bytes())
    for bad in (b"", b"nothing", b"-----BEGIN CERTIFICATE-----\nAA==\n-----END CERTIFICATE-----\n"):
        with pytest.raises(FormatError, match="cannot be read"):
            credentials.keep(bad)
    assert credentials.file.read_bytes() == before
    credentials.keep(issued(house, request))


def test_a_certificate_that_nobody_asked_for_is_not_kept(house: House, credentials: VehicleCredentials) -> None:
    certificate = issued(house, credentials.request())
    credentials.keep(certificate)
    with pytest.raises(StorageError, match="no certificate was requested"):
        credentials.keep(certificate)


def test_intermediate_certificates_are_kept_behind_the_vehicles_own(
    house: House, credentials: VehicleCredentials
) -> None:
    credentials.keep(issued(house, credentials.request()) + house.authority.certificate)
    assert credentials.file.read_bytes().count(b"BEGIN CERTIFICATE") == 2
    assert credentials.certificate().vehicle == VIN  # type: ignore[union-attr]


def test_a_damaged_file_is_one_clear_error_without_a_word_of_its_content(
    house: House, credentials: VehicleCredentials
) -> None:
    credentials.keep(issued(house, credentials.request()))
    whole = credentials.file.read_bytes()
    secret = whole.split(b"\n")[1]
    for bad in (b"", secret, whole[100:], whole[:-40], whole.replace(secret, secret[::-1])):
        credentials.file.write_bytes(bad)
        with pytest.raises(StorageError) as caught:
            credentials.certificate()
        assert secret.decode() not in repr((str(caught.value), caught.value.facts, caught.value.__cause__))
    (credentials.file.parent / PENDING).write_bytes(secret)
    with pytest.raises(StorageError, match="no private key"):
        credentials.request()


def test_other_keys_than_those_for_tls_are_not_made(credentials: VehicleCredentials) -> None:
    with pytest.raises(FormatError):
        credentials.request(KeyType.RSA)
    assert not credentials.file.parent.exists()
