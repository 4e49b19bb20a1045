"""Which vehicle a certificate names: one spot, exactly one name, and nothing guessed."""

from pathlib import Path

import pytest
from certificates import DAY, NOW, URI, VIN, House, certificate_of, der_of
from cryptography.x509.oid import ExtendedKeyUsageOID
from hypothesis import given, settings
from hypothesis import strategies as st

from uptane.metadata.errors import FormatError, IdentityError
from uptane.metadata.identifiers import VehicleIdentifier
from uptane.metadata.vehicle_certificate import (
    MAX_CERTIFICATE_BYTES,
    VEHICLE_URI,
    common_name,
    read_vehicle_certificate,
    vehicle_uri,
)


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> House:
    return House(tmp_path_factory.mktemp("house"))


@pytest.mark.standard("STD-5.3.2.1-1")
def test_the_vehicle_stands_in_one_uri(house: House) -> None:
    pem = house.forged([URI], common_name="another")
    read = read_vehicle_certificate(der_of(pem))
    assert read.vehicle == VIN
    assert read.serial == certificate_of(pem).serial_number
    assert (read.not_before, read.not_after) == (NOW - DAY, NOW + DAY)


def test_other_names_beside_it_do_not_matter(house: House) -> None:
    read = read_vehicle_certificate(der_of(house.forged(["spiffe://oem/tcu", URI, "urn:uptane:ecu:1"])))
    assert read.vehicle == VIN


@pytest.mark.parametrize(
    ("uris", "why"),
    [
        ([], "names 0 vehicles"),
        (["urn:uuid:f81d4fae-7dec-11d0-a765-00a0c91e6bf6"], "names 0 vehicles"),
        ([URI.upper()], "names 0 vehicles"),
        ([URI, URI.replace("186", "187")], "names 2 vehicles"),
        ([URI, URI], "names 2 vehicles"),
        ([VEHICLE_URI], "no identifier"),
        ([VEHICLE_URI + "."], "no identifier"),
        ([VEHICLE_URI + "a%2Fb"], "no identifier"),
        ([VEHICLE_URI + "a%00"], "no identifier"),
        ([VEHICLE_URI + "%FF"], "no identifier"),
        ([VEHICLE_URI + "e%CC%81"], "no identifier"),
        ([VEHICLE_URI + "x" * 129], "no identifier"),
        ([VEHICLE_URI + "%41"], "does not write"),
        ([VEHICLE_URI + "%c3%a9"], "does not write"),
        ([VEHICLE_URI + "a b"], "does not write"),
        ([VEHICLE_URI + "a?b"], "does not write"),
    ],
)
def test_a_certificate_that_names_no_vehicle_or_two_is_refused(house: House, uris: list[str], why: str) -> None:
    """The common name, where other systems look, does not help."""
    with pytest.raises(IdentityError, match=why) as caught:
        read_vehicle_certificate(der_of(house.forged(uris, common_name=VIN)))
    assert caught.value.code == "E-IDENTITY"
    assert "certificates.md" in caught.value.next_step


@pytest.mark.parametrize("usages", [(), (ExtendedKeyUsageOID.SERVER_AUTH,), (ExtendedKeyUsageOID.CODE_SIGNING,)])
def test_a_certificate_that_is_not_for_clients_is_refused(house: House, usages: tuple[object, ...]) -> None:
    with pytest.raises(IdentityError, match="not one for clients"):
        read_vehicle_certificate(der_of(house.forged(usages=usages)))  # type: ignore[arg-type]


def test_bytes_that_are_no_certificate_are_refused(house: House) -> None:
    whole = der_of(house.forged())
    for bad in (b"", b"\x30", whole[:-1], whole + b"\0", b"\x30\x80" + whole[4:], b"x" * (MAX_CERTIFICATE_BYTES + 1)):
        with pytest.raises(IdentityError):
            read_vehicle_certificate(bad)


def test_a_certificate_counts_from_its_first_second_to_its_last(house: House) -> None:
    read = read_vehicle_certificate(der_of(house.forged()))
    read.check_valid_at(read.not_before)
    read.check_valid_at(read.not_after)
    with pytest.raises(IdentityError, match="not valid before"):
        read.check_valid_at(read.not_before - DAY / 86400)
    with pytest.raises(IdentityError, match="has expired"):
        read.check_valid_at(read.not_after + DAY / 86400)


def identifiers() -> st.SearchStrategy[VehicleIdentifier]:
    def made(text: str) -> VehicleIdentifier | None:
        try:
            return VehicleIdentifier(text)
        except FormatError:
            return None

    return st.text(min_size=1, max_size=40).map(made).filter(lambda vehicle: vehicle is not None)  # type: ignore[return-value]


@settings(max_examples=50)
@given(vehicle=identifiers())
def test_every_identifier_has_one_uri_and_comes_back_from_it(house: House, vehicle: VehicleIdentifier) -> None:
    assert read_vehicle_certificate(der_of(house.forged([vehicle_uri(vehicle)]))).vehicle == vehicle
    assert len(common_name(vehicle).encode()) <= 64


def test_names_beyond_ascii_and_long_ones_come_back(tmp_path: Path) -> None:
    house = House(tmp_path)
    for name in ("Škoda 7", "車-1", "x" * 128, "ä" * 64, "a+b&c=d"):
        vehicle = VehicleIdentifier(name)
        assert house.credentials(vehicle).certificate().vehicle == vehicle  # type: ignore[union-attr]
