"""Public keys of the archived formats: Ed25519 only, always as the same JSON text."""

from collections.abc import Mapping

from uptane.formats.canonical_json import Json, compact, decode_strict
from uptane.formats.json_fields import Fields
from uptane.formats.pouf1.rules import cannot_carry
from uptane.metadata.errors import FormatError
from uptane.metadata.identifiers import KeyId
from uptane.metadata.keys import KeyIdRule, KeyType, PublicKey, Scheme
from uptane.metadata.root import MAX_KEYS

KEYID_HASH_ALGORITHMS = ["sha256", "sha512"]
"""A member of every key, and part of what a key identifier is the hash of; only the first is ever used."""


def ed25519_key(material: bytes) -> PublicKey:
    """The key of these 32 bytes under its archived identifier; FormatError for any other number of bytes."""
    return PublicKey(key_type=KeyType.ED25519, scheme=Scheme.ED25519, material=material, id_rule=KeyIdRule.POUF1)


def check_key(key: PublicKey) -> PublicKey:
    """Returns an Ed25519 key under its archived identifier; FormatError for any other."""
    if key.key_type is not KeyType.ED25519:
        raise cannot_carry(f"a key of type {key.key_type}, only Ed25519", "key type")
    if key.id_rule is not KeyIdRule.POUF1:
        raise cannot_carry("keys under identifiers of another format", "key id")
    return key


def write_listed_key(key: PublicKey) -> dict[str, Json]:
    """A key as it stands under its identifier in Root, and alone in a `.pub` file."""
    check_key(key)
    return {
        "keytype": str(key.key_type),
        "keyid_hash_algorithms": KEYID_HASH_ALGORITHMS,
        "keyval": {"public": key.text},
    }


def write_keys(keys: Mapping[KeyId, PublicKey]) -> dict[str, Json]:
    """Keys by their identifiers."""
    for key_id, key in keys.items():
        key.require_id(key_id)
    return {str(key_id): write_listed_key(key) for key_id, key in keys.items()}


def read_keys(value: Mapping[str, Json]) -> dict[KeyId, PublicKey]:
    """The inverse of `write_keys`; each identifier must be that of its key."""
    if len(value) > MAX_KEYS:
        raise FormatError(f"more than {MAX_KEYS} keys", field="keys")
    keys = {KeyId(name): _read_key(entry) for name, entry in value.items()}
    for key_id, key in keys.items():
        key.require_id(key_id)
        if value[key_id] != write_listed_key(key):
            raise FormatError(f"key {key_id[:8]} of Root has more members than its own", field="keys")
    return keys


def encode_key(key: PublicKey) -> bytes:
    """A key with its identifier, as ECUs register it; over XML-RPC it travels as a struct."""
    return compact(write_listed_key(key) | {"keyid": str(key.key_id)})


def decode_key(raw: bytes) -> PublicKey:
    """The inverse of `encode_key`; the text of a `.pub` file, which has no `keyid`, is read as well.

    Raises:
        FormatError: no such key, an identifier that is not its own, or a private key.
    """
    return _read_key(decode_strict(raw))


def _read_key(value: Json) -> PublicKey:
    fields = Fields(value, "key")
    fields.literal("keytype", KeyType.ED25519)
    if fields.take("keyid_hash_algorithms", list) != KEYID_HASH_ALGORITHMS:
        raise FormatError(f"keyid_hash_algorithms must be {KEYID_HASH_ALGORITHMS}", field="keyid_hash_algorithms")
    values = Fields(fields.take("keyval", dict), "keyval")
    key = ed25519_key(values.data("public"))
    if values.optional("private", str):
        raise FormatError(
            "a private key where a public one was expected",
            next_step="It is no longer secret: replace it.",
            field="private",
        )
    values.nothing_else()
    key_id = fields.optional("keyid", str)
    fields.nothing_else()
    if key_id is not None:
        key.require_id(KeyId(key_id))
    return key
