"""Keys that images are encrypted for: types of their own, so that no signing key can stand in for one (STD-5.4.1-8)."""

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Self

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey

from uptane.formats.canonical_json import compact, decode_strict
from uptane.formats.json_fields import Fields
from uptane.metadata.errors import FormatError, SpoofingError
from uptane.metadata.identifiers import EcuIdentifier
from uptane.metadata.keys import KeyType, PublicKey

KEY_BYTES = 32
"""Bytes of every key here: X25519, public or private, and AES-256."""

_P = 2**255 - 19
"""The prime of Curve25519, on which the keys of Ed25519 and of X25519 lie."""


class EncryptionKeyType(StrEnum):
    """Kinds of ECU keys that images are encrypted for."""

    X25519 = "x25519"
    """A key pair: the content key of an image is wrapped for it."""
    SYMMETRIC = "aes-256"
    """A key that ECU and Director share: images are encrypted with it (STD-5.4.3.4-6)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Key:
    """A kind, and 32 bytes that appear in no text."""

    key_type: EncryptionKeyType
    material: bytes = field(repr=False)

    def __post_init__(self) -> None:
        if not isinstance(self.material, bytes) or len(self.material) != KEY_BYTES:
            raise FormatError(f"a key for encryption has {KEY_BYTES} bytes", field="encryption key")

    def encode(self) -> bytes:
        """The key as JSON, for stores that only their owner can read."""
        return compact({"type": self.key_type.value, "value": self.material.hex()})

    @classmethod
    def decode(cls, raw: bytes) -> Self:
        """The inverse of `encode`; raises FormatError, which tells nothing of the key."""
        fields = Fields(decode_strict(raw), "encryption key")
        kind, material = fields.take("type", str), fields.data("value")
        fields.nothing_else()
        if kind not in set(EncryptionKeyType):
            raise FormatError(f"unknown type of a key for encryption: {kind!r}", field="encryption key")
        return cls(key_type=EncryptionKeyType(kind), material=material)


@dataclass(frozen=True, slots=True, kw_only=True)
class EncryptionKey(_Key):
    """What a Director encrypts with for an ECU: its public key, or the symmetric key that both hold.

    Args:
        key_type: the kind.
        material: 32 bytes: the public key as RFC 7748 writes it, or the symmetric key, which is a secret.

    Raises:
        FormatError: no such key, or a public key with which everybody knows what is agreed on.
    """

    def __post_init__(self) -> None:
        super(EncryptionKey, self).__post_init__()
        if self.key_type is EncryptionKeyType.X25519:
            if int.from_bytes(self.material, "little") >= _P:
                raise FormatError("an unusual encoding of an X25519 key", field="encryption key")
            try:
                X25519PrivateKey.from_private_bytes(b"\x01" * KEY_BYTES).exchange(self.x25519())
            except ValueError as error:
                raise FormatError("an X25519 key of low order protects nothing", field="encryption key") from error

    @classmethod
    def of(cls, key: X25519PublicKey) -> "EncryptionKey":
        """The value for a key of the `cryptography` library; FormatError for a key of another use."""
        if not isinstance(key, X25519PublicKey):
            raise FormatError("images are encrypted for X25519 keys, not for keys that sign", field="encryption key")
        return cls(key_type=EncryptionKeyType.X25519, material=key.public_bytes_raw())

    @classmethod
    def symmetric(cls, secret: bytes) -> "EncryptionKey":
        """A symmetric key of 32 bytes."""
        return cls(key_type=EncryptionKeyType.SYMMETRIC, material=secret)

    def x25519(self) -> X25519PublicKey:
        """The `cryptography` object of a public key."""
        return X25519PublicKey.from_public_bytes(self.material)

    def require_separate(self, signing_key: PublicKey, ecu: EcuIdentifier) -> None:
        """Raises SpoofingError where it is the ECU's signing key, as it is or carried over to the other curve.

        Two keys that come from one secret are told apart only where that shows in their public parts.
        """
        same = {signing_key.material}
        if signing_key.key_type is KeyType.ED25519:
            same.add(_on_the_other_curve(signing_key.material))
        if self.material in same:
            raise SpoofingError(
                f"the encryption key of ECU {ecu} is its signing key",
                next_step="Make a key that does nothing but decrypt.",
                ecu=ecu,
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class DecryptionKey(_Key):
    """The secret with which an ECU reads its images; what it can do with it is in `wrapping` and `content`.

    Args:
        key_type: the kind.
        material: 32 bytes: the private key as RFC 7748 writes it, or the symmetric key.
    """

    @classmethod
    def generate(cls, key_type: EncryptionKeyType, random_bytes: Callable[[int], bytes]) -> "DecryptionKey":
        """A new key, from a source of random bytes for cryptography."""
        return cls(key_type=key_type, material=random_bytes(KEY_BYTES))

    @classmethod
    def of(cls, key: X25519PrivateKey) -> "DecryptionKey":
        """The value for a key of the `cryptography` library; FormatError for a key of another use."""
        if not isinstance(key, X25519PrivateKey):
            raise FormatError("images are decrypted with X25519 keys, not with keys that sign", field="decryption key")
        return cls(key_type=EncryptionKeyType.X25519, material=key.private_bytes_raw())

    @classmethod
    def symmetric(cls, secret: bytes) -> "DecryptionKey":
        """A symmetric key of 32 bytes."""
        return cls(key_type=EncryptionKeyType.SYMMETRIC, material=secret)

    def x25519(self) -> X25519PrivateKey:
        """The `cryptography` object of a private key."""
        return X25519PrivateKey.from_private_bytes(self.material)

    @property
    def encryption_key(self) -> EncryptionKey:
        """What the Director needs to encrypt for it: public, unless the key is symmetric."""
        if self.key_type is EncryptionKeyType.X25519:
            return EncryptionKey.of(self.x25519().public_key())
        return EncryptionKey.symmetric(self.material)


def _on_the_other_curve(ed25519: bytes) -> bytes:
    """The X25519 public key that an Ed25519 key becomes where both are made of one secret (RFC 7748, 4.1)."""
    y = int.from_bytes(ed25519, "little") & (2**255 - 1)
    return ((1 + y) * pow(1 - y, -1, _P) % _P).to_bytes(KEY_BYTES, "little") if (1 - y) % _P else b""
