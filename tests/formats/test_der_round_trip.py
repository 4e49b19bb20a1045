"""What is written in DER comes back: every field of every kind, with the exact bytes beside it."""

from collections.abc import Mapping
from datetime import UTC, datetime

import der_samples
import pytest
from cryptography.hazmat import asn1
from der_strategies import PAYLOADS
from hypothesis import given, settings

from uptane.formats.der_format import DER
from uptane.formats.der_objects import Outline, SignedRole
from uptane.formats.profile import Payload
from uptane.metadata.errors import FormatError
from uptane.metadata.identifiers import ImagePath, RoleName
from uptane.metadata.snapshot import Snapshot
from uptane.metadata.targets import Targets
from uptane.metadata.time_attestation import TimeAttestation
from uptane.metadata.vehicle_manifest import VehicleVersionManifest

KINDS = tuple(der_samples.payloads())


@pytest.mark.parametrize("kind", KINDS)
def test_a_signed_object_comes_back_with_its_exact_bytes(kind: str) -> None:
    payload = der_samples.payloads()[kind]
    unsigned = DER.encode(payload)
    raw = DER.assemble(unsigned, der_samples.signatures(payload))
    envelope = der_samples.decode(payload, raw)
    assert envelope.payload == payload
    assert envelope.signatures == der_samples.signatures(payload)
    assert envelope.raw == raw
    assert envelope.message == unsigned.message == unsigned.wire
    assert unsigned.wire in raw


@pytest.mark.standard("STD-5.2-1", "STD-5.2.1-10")
@settings(deadline=None, max_examples=100)
@given(PAYLOADS)
def test_any_value_comes_back_and_has_one_encoding(payload: Payload) -> None:
    unsigned = DER.encode(payload)
    envelope = der_samples.decode(payload, DER.assemble(unsigned, ()))
    assert envelope.payload == payload
    assert DER.encode(envelope.payload) == unsigned


@pytest.mark.parametrize("nonces", [0, 1, 24, 25, 60, 1_000])
def test_what_is_signed_is_exactly_what_stands_in_the_file_however_its_length_is_written(nonces: int) -> None:
    payload = TimeAttestation(time=datetime(2026, 1, 1, tzinfo=UTC), nonces=tuple(range(nonces)))
    raw = DER.assemble(DER.encode(payload), ())
    assert DER.decode(TimeAttestation, raw).message == asn1.encode_der(asn1.decode_der(Outline, raw).signed)


def test_every_object_begins_with_the_version_of_the_format() -> None:
    keys = map(DER.encode_key, der_samples.all_kinds_of_keys())
    signed = map(der_samples.signed, der_samples.payloads().values())
    for raw in (*keys, *signed, DER.encode_map(der_samples.repository_map())):
        outline = asn1.decode_der(asn1.TLV, raw)
        assert bytes(outline.data[:3]) == b"\x02\x01\x01"


def test_keys_of_every_kind_come_back() -> None:
    for key in der_samples.all_kinds_of_keys():
        assert DER.decode_key(DER.encode_key(key)) == key


@pytest.mark.standard("STD-5.2.6-3")
def test_a_repository_map_comes_back() -> None:
    value = der_samples.repository_map()
    assert DER.decode_map(DER.encode_map(value)) == value


def test_a_manifest_holds_the_reports_byte_for_byte() -> None:
    manifest = der_samples.manifest()
    raw = der_samples.signed(manifest)
    decoded = DER.decode(VehicleVersionManifest, raw).payload
    assert [report.raw for report in decoded.reports] == [report.raw for report in manifest.reports]
    assert [report.message for report in decoded.reports] == [report.message for report in manifest.reports]
    assert all(report.raw in raw for report in manifest.reports)


@pytest.mark.standard("STD-5.2.7-6")
def test_files_of_a_snapshot_stand_in_the_order_of_their_file_names() -> None:
    raw = der_samples.signed(der_samples.snapshot())
    files = asn1.decode_der(SignedRole, raw).signed.body.files  # type: ignore[union-attr]
    assert [file.name for file in files] == ["acme-brakes.der", "acme.der", "targets.der"]


@pytest.mark.standard("STD-5.2.4-2")
def test_an_entry_for_root_in_a_snapshot_has_no_effect() -> None:
    plain = der_samples.snapshot()
    files = {**plain.files, RoleName("root"): plain.files[RoleName("acme")]}
    legacy = Snapshot(version=1, expires=plain.expires, files=files)
    decoded = DER.decode(Snapshot, DER.assemble(DER.encode(legacy), ()))
    assert decoded.payload.files == plain.files


def test_custom_data_becomes_a_value_only_when_it_is_looked_up() -> None:
    signed = asn1.decode_der(SignedRole, der_samples.signed(der_samples.targets()))
    signed.signed.body.images[1].custom.must_match.release_counter = -1  # type: ignore[union-attr]
    images = DER.decode(Targets, asn1.encode_der(signed)).payload.images
    good, bad = ImagePath("a.img"), ImagePath("bcu.img")
    assert list(images) == sorted(der_samples.images())
    assert bad in images
    assert images[good] == der_samples.images()[good]
    with pytest.raises(FormatError):
        images[bad]
    with pytest.raises(FormatError):
        list(images.values())


def test_lazy_images_are_an_ordinary_mapping() -> None:
    images = DER.decode(Targets, der_samples.signed(der_samples.targets())).payload.images
    assert isinstance(images, Mapping)
    assert len(images) == 3
    assert images.get(ImagePath("missing")) is None
    assert images == der_samples.images()
    assert der_samples.images() == images
    assert repr(images) == "LazyImages(3 images)"


def test_targets_without_images_delegations_and_extensions_come_back() -> None:
    bare = Targets(version=1, expires=der_samples.EXPIRES)
    unsigned = DER.encode(bare)
    assert unsigned.wire.endswith(b"\xa4\x02\x30\x00")
    assert DER.decode(Targets, DER.assemble(unsigned, ())).payload == bare
