"""Advisories on the keys that metadata lists: thresholds that nobody has to meet, and keys in other keys' names."""

from collections.abc import Callable
from typing import Any

import pytest
from der_changes import put
from stage import MAKER, PLACES, READERS, SUPPLIER, Place, Stage, every
from wire import signed_again
from world import DIRECTOR, IMAGES, new_signer

from uptane.formats.canonical_json import canonical
from uptane.formats.profile import Profile
from uptane.metadata.digests import Digests
from uptane.metadata.errors import FormatError
from uptane.metadata.root import Role

MAGIC = 0x5A5A5A
"""A threshold whose encoding is found again."""

ENCODED = b"\x02\x03\x5a\x5a\x5a"
THRESHOLDS: dict[str, tuple[object, int | bytes]] = {
    "zero": (0, 0),
    "negative": (-1, -1),
    "one and a half": (1.5, b"\x09\x03\x80\xff\x03"),
    "a text": ("1", b"\x0c\x01\x31"),
    "nothing": (None, b"\x05\x00"),
    "true": (True, b"\x01\x01\xff"),
    "more than there are keys": (4, 4),
}
"""Each in JSON and in DER; bytes are an element of another type."""


class Lister:
    """The file that lists the keys of a role: Root, or the Targets file that delegates to it."""

    def __init__(self, stage: Stage, place: Place) -> None:
        self.stage, self.repository, self.role = stage, place[0], place[1]
        self.file = {SUPPLIER: str(Role.TARGETS), MAKER: str(SUPPLIER)}.get(self.role, str(Role.ROOT))

    def entry(self, signed: dict[str, Any]) -> dict[str, Any]:
        """What the JSON file says of the role."""
        found: dict[str, Any] = (
            signed["roles"][self.role] if self.file == Role.ROOT else signed["delegations"]["roles"][0]
        )
        return found

    def keys(self, signed: dict[str, Any]) -> dict[str, Any]:
        """The keys in the JSON file."""
        found: dict[str, Any] = (signed if self.file == Role.ROOT else signed["delegations"])["keys"]
        return found

    @property
    def der_role(self) -> str:
        """Where the DER file speaks of the role."""
        return f"roles.{self.role}" if self.file == Role.ROOT else "delegations.delegations.0.roles.0.keys"

    def der_keys(self, wire: Any) -> list[Any]:
        """The keys in the DER file."""
        found: list[Any] = (wire.signed.body if self.file == Role.ROOT else wire.signed.body.delegations).keys
        return found

    def refuses(
        self,
        field: str,
        text: Callable[[dict[str, Any]], object],
        der: Callable[[Any], object],
        swapped: tuple[bytes, bytes] | None = None,
    ) -> None:
        """The file, so changed and genuinely signed, is not well formed."""
        stage, place = self.stage, (self.repository, self.file)
        with stage.refuses(FormatError, None) as errors:
            genuine = stage.signers(*place)
            raw = signed_again(stage.profile, stage.forged(*place), genuine, text=text, der=der, swapped=swapped)
            stage.show(*place, raw)
        if stage.profile.format.name == "json" or swapped is None:
            assert errors[0].facts["field"] == field


def described(public: str) -> dict[str, Any]:
    """An Ed25519 key as JSON has it."""
    return {"keytype": "ed25519", "scheme": "ed25519", "keyval": {"public": public}}


def identifier(members: dict[str, Any]) -> bytes:
    """The identifier of a key in JSON."""
    return Digests.of(canonical(members))["sha256"]


HOLDERS = [(DIRECTOR, str(Role.TARGETS)), (IMAGES, str(Role.ROOT)), (IMAGES, str(SUPPLIER)), (IMAGES, str(MAKER))]


@every(HOLDERS, READERS[:1])
@pytest.mark.parametrize("threshold", THRESHOLDS)
def test_cve_2026_23992_a_threshold_is_a_number_of_keys_from_one_on(
    profile: Profile, place: Place, reader: str, threshold: str
) -> None:
    refuse_threshold(Stage(profile, reader, keys=2), place, threshold)


@every(PLACES)
def test_cve_2026_23992_no_role_has_threshold_zero(profile: Profile, place: Place, reader: str) -> None:
    refuse_threshold(Stage(profile, reader, keys=2), place, "zero")


def refuse_threshold(stage: Stage, place: Place, threshold: str) -> None:
    lister = Lister(stage, place)
    value, encoded = THRESHOLDS[threshold]
    number, swapped = (encoded, None) if isinstance(encoded, int) else (MAGIC, (ENCODED, encoded))
    lister.refuses(
        "json" if isinstance(value, float) else "threshold",
        lambda signed: lister.entry(signed).update(threshold=value),
        put(f"signed.body.{lister.der_role}.threshold", number),
        swapped,
    )


@every(HOLDERS)
def test_ghsa_3633_5h82_39pq_no_key_stands_under_the_identifier_of_another(
    profile: Profile, place: Place, reader: str
) -> None:
    """The thief's key under the name that the role trusts, in the file that lists it."""
    stage = Stage(profile, reader, keys=2)
    lister, thief = Lister(stage, place), new_signer()
    trusted = stage.signers(*place)[0].key.key_id

    def change(wire: Any) -> None:
        next(key for key in lister.der_keys(wire) if key.keyid.hex() == trusted).value = thief.key.material

    lister.refuses(
        "key id",
        lambda signed: lister.keys(signed)[trusted]["keyval"].update(public=thief.key.material.hex()),
        change,
    )


@every(HOLDERS)
def test_ghsa_3633_5h82_39pq_an_identifier_that_another_role_uses_is_not_given_to_a_second_key(
    profile: Profile, place: Place, reader: str
) -> None:
    """The role names the identifier of another role's key, under which its file lists a key of the thief's."""
    stage = Stage(profile, reader, keys=2)
    lister, thief = Lister(stage, place), new_signer()
    other = stage.signers(place[0], Role.TIMESTAMP)[0].key.key_id

    def text(signed: dict[str, Any]) -> None:
        lister.keys(signed)[other] = described(thief.key.material.hex())
        lister.entry(signed).update(keyids=[other], threshold=1)

    def der(wire: Any) -> None:
        keys = lister.der_keys(wire)
        entry = next((key for key in keys if key.keyid.hex() == other), keys[0])
        entry.keyid, entry.value = bytes.fromhex(other), thief.key.material
        keys.sort(key=lambda entry: entry.keyid)
        put(f"signed.body.{lister.der_role}.keyids", [entry.keyid])(wire)
        put(f"signed.body.{lister.der_role}.threshold", 1)(wire)

    lister.refuses("key id", text, der)


@every(HOLDERS)
@pytest.mark.parametrize("spelling", ["another identifier", "another spelling"])
def test_cve_2020_15093_one_key_is_not_listed_under_two_identifiers(
    profile: Profile, place: Place, reader: str, spelling: str
) -> None:
    """In JSON the identifier is computed over the text of the key, and hexadecimal has two spellings."""
    stage = Stage(profile, reader, keys=2)
    lister = Lister(stage, place)
    key = stage.signers(*place)[0].key
    public = key.material.hex() if spelling == "another identifier" else key.material.hex().upper()
    members = described(public)
    second = identifier(members) if spelling == "another spelling" else bytes(32)

    def text(signed: dict[str, Any]) -> None:
        lister.keys(signed)[second.hex()] = members
        lister.entry(signed).update(keyids=[str(key.key_id), second.hex()], threshold=2)

    def der(wire: Any) -> None:
        keys = lister.der_keys(wire)
        mine = next(entry for entry in keys if entry.keyid.hex() == key.key_id)
        keys.append(type(mine)(keyid=second, key_type=mine.key_type, scheme=mine.scheme, value=mine.value))
        keys.sort(key=lambda entry: entry.keyid)

    in_text = profile.format.name == "json" and spelling == "another spelling"
    lister.refuses("keys" if in_text else "key id", text, der)


@every(HOLDERS)
def test_cve_2015_9258_a_key_is_listed_with_the_scheme_of_its_own_type(
    profile: Profile, place: Place, reader: str
) -> None:
    stage = Stage(profile, reader, keys=2)
    lister = Lister(stage, place)
    trusted = stage.signers(*place)[0].key.key_id

    def change(wire: Any) -> None:
        key = next(key for key in lister.der_keys(wire) if key.keyid.hex() == trusted)
        key.scheme = type(key.scheme).RSA_PSS

    def text(signed: dict[str, Any]) -> None:
        members = lister.keys(signed).pop(trusted) | {"scheme": "rsassa-pss-sha256"}
        lister.keys(signed)[identifier(members).hex()] = members
        lister.entry(signed).update(keyids=[identifier(members).hex()], threshold=1)

    lister.refuses("scheme", text, change)
