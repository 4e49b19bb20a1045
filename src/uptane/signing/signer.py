"""Something that signs: a private key, here or in a device."""

import hashlib
from collections.abc import Callable
from typing import Protocol

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa

from uptane.metadata.keys import KeyIdRule, PublicKey

PrivateKey = ed25519.Ed25519PrivateKey | ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey


class Signer(Protocol):
    """A key that signs with its one scheme."""

    @property
    def key(self) -> PublicKey:
        """The public half."""
        ...

    def sign(self, message: bytes) -> bytes:
        """A signature over `message`, as `PublicKey.verify` accepts it."""
        ...


class KeySigner:
    """Signs with a private key in memory.

    Args:
        private_key: the key.
        id_rule: how the profile in use identifies keys.
    """

    def __init__(self, private_key: PrivateKey, id_rule: KeyIdRule = KeyIdRule.TUF) -> None:
        self._sign = _signing(private_key)
        self._key = PublicKey.of(private_key.public_key(), id_rule)

    @property
    def key(self) -> PublicKey:
        """The public half."""
        return self._key

    def sign(self, message: bytes) -> bytes:
        """Ed25519, ECDSA P-256 with SHA-256 (DER), or RSASSA-PSS with SHA-256 and a salt of 32 bytes."""
        return self._sign(message)


def _signing(key: PrivateKey) -> Callable[[bytes], bytes]:
    if isinstance(key, ed25519.Ed25519PrivateKey):
        return key.sign
    if isinstance(key, ec.EllipticCurvePrivateKey):
        return lambda message: key.sign(message, ec.ECDSA(hashes.SHA256()))
    pss = padding.PSS(mgf=padding.MGF1(hashes.SHA256()), salt_length=hashlib.sha256().digest_size)
    return lambda message: key.sign(message, pss, hashes.SHA256())
