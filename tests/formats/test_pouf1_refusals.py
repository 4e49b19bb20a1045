"""What the archived wire cannot carry is refused when it is written, with an error that says so."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import der_samples
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from msgspec import structs
from pouf1_samples import (
    FORMATS,
    attestation,
    image,
    image_file,
    listed,
    manifest,
    public_key,
    report,
    root,
    root_of_several_keys,
    sample_name,
    sign,
    snapshot,
    targets,
    timestamp,
)

from uptane.formats.der_format import DER
from uptane.formats.json_format import JSON
from uptane.formats.pouf1.der import POUF1
from uptane.formats.pouf1.json import POUF1_JSON
from uptane.formats.profile import Format, Payload
from uptane.metadata.delegations import Delegations
from uptane.metadata.digests import Digests
from uptane.metadata.envelope import Signature
from uptane.metadata.errors import FormatError
from uptane.metadata.extensions import Extensions
from uptane.metadata.identifiers import EcuIdentifier, HardwareIdentifier, ImagePath, RoleName, VehicleIdentifier
from uptane.metadata.keys import KeyIdRule, PublicKey
from uptane.metadata.root import Role, RoleKeys
from uptane.metadata.snapshot import MetadataFile
from uptane.metadata.targets import Custom, EcuAssignment, EncryptedImage, Image, MustMatch

ANY = Extensions((("note", b'"kept"'),))
VIN = VehicleIdentifier("democar")
ECU = EcuIdentifier("TCU")
FILE = image_file("a.img")
TARGETS = RoleName("targets")


def with_custom(**members: Any) -> Payload:
    return targets(Image(file=FILE, custom=Custom(**members)))


def with_files(**files: MetadataFile) -> Payload:
    listing = {TARGETS: MetadataFile(version=1)} | {RoleName(name): file for name, file in files.items()}
    return structs.replace(snapshot(), files=listing)


def with_ecu(**members: Any) -> Payload:
    return with_custom(ecus={ECU: EcuAssignment(**members)})


NEITHER: dict[str, tuple[Payload, str]] = {
    "the vehicle of Root": (structs.replace(root(), vehicle=VIN), "the vehicle"),
    "the vehicle of Timestamp": (structs.replace(timestamp(), vehicle=VIN), "the vehicle"),
    "the vehicle of Targets": (structs.replace(targets(), vehicle=VIN), "the vehicle"),
    "extensions of a role": (structs.replace(snapshot(), extensions=ANY), "extension 'note'"),
    "extensions of a report": (report(extensions=ANY), "extension 'note'"),
    "extensions of an attestation": (structs.replace(attestation(1), extensions=ANY), "extension 'note'"),
    "consistent snapshots": (structs.replace(root(), consistent_snapshot=True), "consistent snapshots"),
    "delegations": (structs.replace(targets(), delegations=der_samples.delegations()), "delegations"),
    "extensions of no delegations": (
        structs.replace(targets(), delegations=Delegations(extensions=ANY)),
        "delegations",
    ),
    "a counter in a report": (report(counter=1), "a counter"),
    "a nonce in a report": (report(nonce=1), "a counter or a nonce"),
    "a release counter": (with_custom(must_match=MustMatch(release_counter=1)), "a release counter"),
    "hardware identifiers": (
        with_custom(must_match=MustMatch(hardware_ids=(HardwareIdentifier("h"),))),
        "hardware identifiers",
    ),
    "what else must match": (with_custom(must_match=MustMatch(extensions=ANY)), "must match"),
    "a download URL": (with_custom(url="http://a"), "a download URL"),
    "extensions of custom data": (with_custom(extensions=ANY), "extensions of custom data"),
    "several ECUs for one image": (targets(image("a.img", "TCU", "BCU")), "several ECUs"),
    "the hardware of an ECU": (with_ecu(hardware_id=HardwareIdentifier("h")), "hardware identifier of an ECU"),
    "an encrypted image": (with_ecu(encrypted=EncryptedImage(file=FILE, method="aes")), "an encrypted image"),
    "extensions of an ECU": (with_ecu(extensions=ANY), "extensions of an ECU"),
    "a hash of another function": (
        targets(Image(file=structs.replace(FILE, digests=Digests.of(b"a", ("sha256", "sha384"))))),
        "a hash of sha384",
    ),
    "another hash in a report": (
        report(installed=structs.replace(FILE, digests=Digests.of(b"a", ("sha384",)))),
        "a hash of sha384",
    ),
    "an image under another name": (
        structs.replace(targets(), images={ImagePath("b.img"): Image(file=FILE)}),
        "listed under another name",
    ),
    "a Snapshot without Root": (structs.replace(snapshot(), root=None), "without its Root entry"),
    "the length of a Targets file": (with_files(targets=MetadataFile(version=1, length=1)), "length or hashes"),
    "the hash of a Targets file": (with_files(role1=structs.replace(listed(b"r"), length=None)), "length or hashes"),
    "a Targets role by the name of root": (with_files(root=MetadataFile(version=1)), "by the name of root"),
    "a Root entry without length": (
        structs.replace(snapshot(), root=structs.replace(listed(b"r"), length=None)),
        "SHA-256",
    ),
    "a Timestamp without length": (
        structs.replace(timestamp(), snapshot=structs.replace(listed(b"s"), length=None)),
        "SHA-256",
    ),
    "a Timestamp without hash": (structs.replace(timestamp(), snapshot=MetadataFile(version=1, length=1)), "SHA-256"),
    "a Timestamp with two hashes": (
        structs.replace(
            timestamp(), snapshot=structs.replace(listed(b"s"), digests=Digests.of(b"s", ("sha256", "sha512")))
        ),
        "SHA-256",
    ),
}
IN_DER: dict[str, tuple[Payload, str]] = {
    "several keys of a role": (root_of_several_keys(), "2 keys of the role root"),
    "a key of two roles": (
        structs.replace(root(), roles=dict.fromkeys(Role, RoleKeys(key_ids=(public_key(1).key_id,), threshold=1))),
        "a key that two roles share",
    ),
    "a key of no role": (
        structs.replace(root(), keys={**root().keys, public_key(9).key_id: public_key(9)}),
        "a key of no role",
    ),
    "an image name of 33 characters": (targets(image("a" * 32)), "more than 32"),
    "an ECU of 33 characters": (targets(image("a", "e" * 33)), "more than 32"),
    "a file name of 33 characters": (with_files(**{"r" * 29: MetadataFile(version=1)}), "more than 32"),
    "129 images": (targets(*(image(f"{number}.img") for number in range(129))), "129 images"),
    "129 Targets files": (
        with_files(**{f"r{number}": MetadataFile(version=1) for number in range(128)}),
        "129 Targets",
    ),
    "a length beyond 32 bits": (targets(Image(file=structs.replace(FILE, length=2**32))), "more than 4294967295"),
    "a listed length beyond 32 bits": (
        structs.replace(timestamp(), snapshot=structs.replace(listed(b"s"), length=2**32)),
        "more than 4294967295",
    ),
    "an image name beyond ASCII": (targets(image("ä.img")), "not printable ASCII"),
    "an ECU beyond ASCII": (report("Ä"), "not printable ASCII"),
    "an attack beyond ASCII": (report(attacks="漢"), "not printable ASCII"),
    "the first second of 1970": (report(previous_time=datetime(1970, 1, 1, tzinfo=UTC)), "within 1970 to 2106"),
    "a time before 1970": (report(time=datetime(1969, 12, 31, tzinfo=UTC)), "within 1970 to 2106"),
    "a time after 2106": (structs.replace(targets(), expires=datetime(2106, 2, 8, tzinfo=UTC)), "within 1970 to 2106"),
}


@pytest.mark.parametrize("wire", FORMATS, ids=sample_name)
@pytest.mark.parametrize("what", NEITHER)
def test_neither_format_carries(what: str, wire: Format) -> None:
    payload, said = NEITHER[what]
    with pytest.raises(FormatError, match=said):
        wire.encode(payload)


@pytest.mark.parametrize("what", IN_DER)
def test_der_alone_does_not_carry(what: str) -> None:
    payload, said = IN_DER[what]
    with pytest.raises(FormatError, match=said) as refused:
        POUF1.encode(payload)
    assert "cannot carry" in refused.value.what
    POUF1_JSON.encode(payload)


def test_names_lists_and_times_at_the_limits_are_carried() -> None:
    limits: tuple[Payload, ...] = (
        targets(image("a" * 31, "e" * 32)),
        with_files(**{"r" * 28: MetadataFile(version=1)}),
        targets(*(image(f"{number}.img") for number in range(128))),
        with_files(**{f"r{number}": MetadataFile(version=1) for number in range(127)}),
        targets(Image(file=structs.replace(FILE, length=2**32 - 1))),
        report(
            time=datetime(2106, 2, 7, 6, 28, 15, tzinfo=UTC), previous_time=datetime(1970, 1, 1, 0, 0, 1, tzinfo=UTC)
        ),
        report("e" * 128, "~" * 1024),
    )
    for payload in limits:
        assert POUF1.decode(type(payload), sign(POUF1, payload)).payload == payload


def other_rule(key: PublicKey) -> PublicKey:
    return replace(key, id_rule=KeyIdRule.TUF)


def ecdsa() -> PublicKey:
    return PublicKey.of(ec.derive_private_key(7, ec.SECP256R1()).public_key(), KeyIdRule.POUF1)


@pytest.mark.parametrize("wire", FORMATS, ids=sample_name)
@pytest.mark.parametrize(
    ("key", "said"),
    [(other_rule(public_key(1)), "identifiers of another format"), (ecdsa(), "only Ed25519")],
    ids=["identifier", "type"],
)
def test_a_root_with_a_key_of_another_sort_is_not_written(wire: Format, key: PublicKey, said: str) -> None:
    keys = [key, *(public_key(number) for number in range(2, 5))]
    roles = {role: RoleKeys(key_ids=(each.key_id,), threshold=1) for role, each in zip(Role, keys, strict=True)}
    value = structs.replace(root(), keys={each.key_id: each for each in keys}, roles=roles)
    with pytest.raises(FormatError, match=said):
        wire.encode(value)
    with pytest.raises(FormatError, match=said):
        wire.encode_key(key)


@pytest.mark.parametrize("wire", FORMATS, ids=sample_name)
def test_a_key_under_an_identifier_that_is_not_its_own_is_not_written(wire: Format) -> None:
    first, second = public_key(1).key_id, public_key(2).key_id
    keys = dict(root().keys)
    keys[first], keys[second] = keys[second], keys[first]
    with pytest.raises(FormatError, match="does not belong to its key"):
        wire.encode(structs.replace(root(), keys=keys))


@pytest.mark.parametrize("wire", FORMATS, ids=sample_name)
def test_a_manifest_with_a_counter_or_extensions_is_not_written(wire: Format) -> None:
    value = manifest(wire, report())
    with pytest.raises(FormatError, match="a counter"):
        wire.encode(structs.replace(value, counter=1))
    with pytest.raises(FormatError, match="extension 'note'"):
        wire.encode(structs.replace(value, extensions=ANY))


@pytest.mark.parametrize("wire", FORMATS, ids=sample_name)
def test_a_manifest_with_a_report_of_another_format_is_not_written(wire: Format) -> None:
    for other in (*FORMATS, DER, JSON):
        if other is wire:
            continue
        foreign = report() if other in FORMATS else structs.replace(report(), counter=1, nonce=1)
        raw = other.assemble(other.encode(foreign), ())
        envelopes = (other.decode(type(foreign), raw),)
        with pytest.raises(FormatError):
            wire.encode(structs.replace(manifest(wire), reports=envelopes))


def test_more_reports_than_the_archived_encoder_writes_are_refused_in_der() -> None:
    (one,) = manifest(POUF1, report()).reports
    with pytest.raises(FormatError, match="257 reports"):
        POUF1.encode(structs.replace(manifest(POUF1), reports=(one,) * 257))
    POUF1.encode(structs.replace(manifest(POUF1), reports=(one,) * 256))


def test_more_signatures_than_the_archived_encoder_writes_are_refused_for_roles_in_der() -> None:
    assert sign(POUF1, timestamp(), *range(1, 9))
    with pytest.raises(FormatError, match="9 signatures"):
        sign(POUF1, timestamp(), *range(1, 10))
    assert sign(POUF1, report(), *range(1, 10))


@pytest.mark.parametrize("wire", FORMATS, ids=sample_name)
def test_a_signature_that_names_its_hash_or_stands_twice_is_not_written(wire: Format) -> None:
    plain = Signature(key_id=public_key(1).key_id, value=bytes(64))
    hashed = structs.replace(plain, method="ed25519", hash_function="sha256", digest=bytes(32))
    for payload in (timestamp(), report()):
        with pytest.raises(FormatError, match="names its hash"):
            wire.assemble(wire.encode(payload), (hashed,))
        with pytest.raises(FormatError, match="two signatures"):
            wire.assemble(wire.encode(payload), (plain, plain))
