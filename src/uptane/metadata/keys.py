"""Public keys: their material, their identifiers, and the check of one signature."""

import hashlib
import json
from dataclasses import dataclass, field
from enum import StrEnum
from functools import lru_cache
from typing import cast

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa

from uptane.metadata.errors import FormatError
from uptane.metadata.identifiers import KeyId

MIN_RSA_BITS = 2048
MAX_RSA_BITS = 8192
MAX_KEY_BYTES = 4096
"""Bytes of key material: an RSA key of 8192 bits needs about 1,100."""

VerificationKey = ed25519.Ed25519PublicKey | ec.EllipticCurvePublicKey | rsa.RSAPublicKey


class KeyType(StrEnum):
    """Key types, by their TUF names (M-8)."""

    ED25519 = "ed25519"
    ECDSA = "ecdsa"
    RSA = "rsa"


class Scheme(StrEnum):
    """Signature schemes, by their TUF names (M-9). The scheme belongs to the key, never to a signature."""

    ED25519 = "ed25519"
    ECDSA_P256 = "ecdsa-sha2-nistp256"
    RSA_PSS = "rsassa-pss-sha256"


class KeyIdRule(StrEnum):
    """What a key's identifier is the SHA-256 of: canonical JSON, of other members in other profiles."""

    TUF = "keytype, keyval, scheme"
    POUF1 = "keyid_hash_algorithms, keytype, keyval"


SCHEME_OF = {KeyType.ED25519: Scheme.ED25519, KeyType.ECDSA: Scheme.ECDSA_P256, KeyType.RSA: Scheme.RSA_PSS}


@dataclass(frozen=True, slots=True, kw_only=True)
class PublicKey:
    """A public key that can verify.

    Args:
        key_type: the kind of key.
        scheme: the one signature scheme it is used with.
        material: 32 raw bytes for Ed25519, else the DER of SubjectPublicKeyInfo, as OpenSSL writes it.
        id_rule: how the profile in use identifies keys.
        key_id: SHA-256 of the canonical JSON that `id_rule` names; computed.

    Raises:
        FormatError: the material is no such key or another encoding of one, or the scheme is not of that type.
    """

    key_type: KeyType
    scheme: Scheme
    material: bytes
    id_rule: KeyIdRule = KeyIdRule.TUF
    key_id: KeyId = field(init=False)

    def __post_init__(self) -> None:
        if SCHEME_OF[self.key_type] != self.scheme:
            raise FormatError(f"scheme {self.scheme} is not for a key of type {self.key_type}", field="scheme")
        load_key(self.key_type, self.material)
        object.__setattr__(self, "key_id", _key_id(self.key_type, self.scheme, self.text, self.id_rule))

    def require_id(self, key_id: KeyId) -> None:
        """Raises FormatError unless `key_id` is this key's identifier (STD-5.2.1-2)."""
        if key_id != self.key_id:
            raise _wrong_id(key_id, self.key_id)

    @property
    def text(self) -> str:
        """The value as TUF's JSON writes it: hexadecimal for Ed25519, else PEM."""
        if self.key_type is KeyType.ED25519:
            return self.material.hex()
        return _pem(self.key_type, self.material)

    def verify(self, signature: bytes, message: bytes) -> bool:
        """Whether `signature` is one over `message` by this key, under this key's scheme."""
        key = load_key(self.key_type, self.material)
        try:
            # To ask for the class of a key takes twice as long as all else here but the verification itself.
            if self.key_type is KeyType.ED25519:
                cast(ed25519.Ed25519PublicKey, key).verify(signature, message)
            elif isinstance(key, ec.EllipticCurvePublicKey):
                key.verify(signature, message, ec.ECDSA(hashes.SHA256()))
            else:
                pss = padding.PSS(mgf=padding.MGF1(hashes.SHA256()), salt_length=padding.PSS.AUTO)
                cast(rsa.RSAPublicKey, key).verify(signature, message, pss, hashes.SHA256())
        except InvalidSignature:
            return False
        return True

    @classmethod
    def from_text(cls, key_type: str, scheme: str, text: str, key_id: KeyId | None = None) -> "PublicKey":
        """The key of TUF's JSON fields `keytype`, `scheme` and `keyval.public`.

        Raises:
            FormatError: unknown type or scheme, or a value that is no such key. A given `key_id` is compared with
                the identifier of the text as it stands, so that another spelling of the same PEM keeps its own.
        """
        try:
            kind, scheme_ = KeyType(key_type), Scheme(scheme)
        except ValueError:
            raise FormatError(f"unknown key type or scheme: {key_type!r}, {scheme!r}", field="key type") from None
        if len(text) > MAX_KEY_BYTES:
            raise FormatError(f"key value of more than {MAX_KEY_BYTES} characters", field="key value")
        material = _material(kind, text)
        if key_id is not None and key_id != (computed := _key_id(kind, scheme_, text, KeyIdRule.TUF)):
            raise _wrong_id(key_id, computed)
        return cls(key_type=kind, scheme=scheme_, material=material)

    @classmethod
    def of(cls, key: VerificationKey, id_rule: KeyIdRule = KeyIdRule.TUF) -> "PublicKey":
        """The value for a key of the `cryptography` library."""
        if isinstance(key, ed25519.Ed25519PublicKey):
            kind, material = KeyType.ED25519, key.public_bytes_raw()
        else:
            kind = KeyType.ECDSA if isinstance(key, ec.EllipticCurvePublicKey) else KeyType.RSA
            material = _encoded(key)
        return cls(key_type=kind, scheme=SCHEME_OF[kind], material=material, id_rule=id_rule)

    @classmethod
    def with_id(cls, key_type: KeyType, material: bytes, key_id: KeyId) -> "PublicKey":
        """The key, identified by whichever rule gives it this identifier.

        Raises:
            FormatError: no rule does, or the material is no such key.
        """
        for rule in KeyIdRule:
            key = cls(key_type=key_type, scheme=SCHEME_OF[key_type], material=material, id_rule=rule)
            if key.key_id == key_id:
                return key
        raise _wrong_id(key_id, cls(key_type=key_type, scheme=SCHEME_OF[key_type], material=material).key_id)


def _wrong_id(offered: KeyId, expected: KeyId) -> FormatError:
    return FormatError(
        f"key identifier {offered[:8]} does not belong to its key, whose identifier is {expected[:8]}",
        field="key id",
        expected=expected,
        offered=offered,
    )


# As many as the ECUs of some thousand vehicles have; each takes 360 bytes.
@lru_cache(maxsize=32_768)
def load_key(key_type: KeyType, material: bytes) -> VerificationKey:
    """The `cryptography` object of a key.

    Raises:
        FormatError: no key of that type, or in an unusual encoding.
    """
    if len(material) > MAX_KEY_BYTES:
        raise FormatError(f"key material of more than {MAX_KEY_BYTES} bytes", field="key value")
    try:
        if key_type is KeyType.ED25519:
            return ed25519.Ed25519PublicKey.from_public_bytes(material)
        key = serialization.load_der_public_key(material)
    except (ValueError, UnsupportedAlgorithm) as error:
        raise FormatError(f"not the value of an {key_type} key: {error}", field="key value") from error
    if isinstance(key, ec.EllipticCurvePublicKey) and key_type is KeyType.ECDSA and key.curve.name == "secp256r1":
        return _usual(key, material)
    if isinstance(key, rsa.RSAPublicKey) and key_type is KeyType.RSA and MIN_RSA_BITS <= key.key_size <= MAX_RSA_BITS:
        return _usual(key, material)
    raise FormatError(
        f"not an {key_type} key of a supported kind (ECDSA: P-256; RSA: {MIN_RSA_BITS} to {MAX_RSA_BITS} bits)",
        field="key value",
    )


def _usual(
    key: ec.EllipticCurvePublicKey | rsa.RSAPublicKey, material: bytes
) -> ec.EllipticCurvePublicKey | rsa.RSAPublicKey:
    """The key, unless its material is another encoding: one key must not pass for two."""
    if _encoded(key) != material:
        raise FormatError("an unusual encoding of a key", field="key value")
    return key


def _encoded(key: ec.EllipticCurvePublicKey | rsa.RSAPublicKey) -> bytes:
    return key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)


def _material(key_type: KeyType, text: str) -> bytes:
    try:
        if key_type is KeyType.ED25519:
            return bytes.fromhex(text) if len(text) == 64 else b""
        key = serialization.load_pem_public_key(text.encode())
        return key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    except (ValueError, UnsupportedAlgorithm) as error:
        raise FormatError(f"not the value of an {key_type} key: {error}", field="key value") from error


@lru_cache(maxsize=1024)
def _pem(key_type: KeyType, material: bytes) -> str:
    key = load_key(key_type, material)
    return key.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo).decode()


@lru_cache(maxsize=1024)
def _key_id(key_type: KeyType, scheme: Scheme, text: str, rule: KeyIdRule) -> KeyId:
    # The canonical JSON of these members needs no more than sorted keys and \ and " escaped;
    # a line end stands as itself, which is what json.dumps does not do.
    value = text.replace("\\", "\\\\").replace('"', '\\"')
    described = f'"keytype":{json.dumps(key_type)},"keyval":{{"public":"{value}"}}'
    if rule is KeyIdRule.POUF1:
        described = f'{{"keyid_hash_algorithms":["sha256","sha512"],{described}}}'
    else:
        described = f'{{{described},"scheme":{json.dumps(scheme)}}}'
    return KeyId(hashlib.sha256(described.encode()).hexdigest())
