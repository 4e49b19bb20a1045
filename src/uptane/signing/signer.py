"""Something that signs: a private key, here or in a device."""

import hashlib
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
        self._private_key = private_key
        self._key = PublicKey.of(private_key.public_key(), id_rule)

    @property
    def key(self) -> PublicKey:
        """The public half."""
        return self._key

    def sign(self, message: bytes) -> bytes:
        """Ed25519, ECDSA P-256 with SHA-256 (DER), or RSASSA-PSS with SHA-256 and a salt of 32 bytes."""
        if isinstance(self._private_key, ed25519.Ed25519PrivateKey):
            return self._private_key.sign(message)
        if isinstance(self._private_key, ec.EllipticCurvePrivateKey):
            return self._private_key.sign(message, ec.ECDSA(hashes.SHA256()))
        salt = hashlib.sha256().digest_size
        pss = padding.PSS(mgf=padding.MGF1(hashes.SHA256()), salt_length=salt)
        return self._private_key.sign(message, pss, hashes.SHA256())
