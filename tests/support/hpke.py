"""HPKE in mode base with X25519 and HKDF-SHA256, as a stranger writes it after RFC 9180: the oracle of our wrapping."""

import hashlib
import hmac

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

KEM = b"KEM" + bytes.fromhex("0020")
AEADS = {16: bytes.fromhex("0001"), 32: bytes.fromhex("0002")}
"""AES-GCM, by the bytes of its key."""


def _extract(suite: bytes, salt: bytes, label: bytes, ikm: bytes) -> bytes:
    return hmac.digest(salt or bytes(32), b"HPKE-v1" + suite + label + ikm, hashlib.sha256)


def _expand(suite: bytes, prk: bytes, label: bytes, info: bytes, length: int) -> bytes:
    labelled = length.to_bytes(2, "big") + b"HPKE-v1" + suite + label + info
    return hmac.digest(prk, labelled + b"\x01", hashlib.sha256)[:length]


def _shared(agreed: bytes, enc: bytes, recipient: bytes) -> bytes:
    return _expand(KEM, _extract(KEM, b"", b"eae_prk", agreed), b"shared_secret", enc + recipient, 32)


def schedule(shared: bytes, info: bytes, key_bytes: int = 32) -> tuple[bytes, bytes]:
    """Key and base nonce."""
    suite = b"HPKE" + bytes.fromhex("00200001") + AEADS[key_bytes]
    context = b"\x00" + _extract(suite, b"", b"psk_id_hash", b"") + _extract(suite, b"", b"info_hash", info)
    secret = _extract(suite, shared, b"secret", b"")
    return _expand(suite, secret, b"key", context, key_bytes), _expand(suite, secret, b"base_nonce", context, 12)


def open_base(value: bytes, key: X25519PrivateKey, info: bytes, *, aad: bytes = b"", key_bytes: int = 32) -> bytes:
    """What was sealed as `enc` and ciphertext."""
    enc, ciphertext = value[:32], value[32:]
    agreed = key.exchange(X25519PublicKey.from_public_bytes(enc))
    secret, nonce = schedule(_shared(agreed, enc, key.public_key().public_bytes_raw()), info, key_bytes)
    return AESGCM(secret).decrypt(nonce, ciphertext, aad)


def seal_base(
    plaintext: bytes,
    recipient: X25519PublicKey,
    info: bytes,
    *,
    ephemeral: X25519PrivateKey,
    aad: bytes = b"",
    key_bytes: int = 32,
) -> bytes:
    """`enc` and ciphertext, with an ephemeral key that the caller chooses."""
    enc = ephemeral.public_key().public_bytes_raw()
    shared = _shared(ephemeral.exchange(recipient), enc, recipient.public_bytes_raw())
    secret, nonce = schedule(shared, info, key_bytes)
    return enc + AESGCM(secret).encrypt(nonce, plaintext, aad)
