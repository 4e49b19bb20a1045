"""Key files `NAME` and `NAME.pub` in the archived format, under the passphrase that everybody knows."""

import hashlib
import hmac
import json
import os
from pathlib import Path

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from archived.signatures import METHOD, Key

PASSPHRASE = b"pw"
ITERATIONS = 100_000
SEPARATOR = "@@@@"


def _key_of_passphrase(salt: bytes, iterations: int) -> bytes:
    return hashlib.pbkdf2_hmac("sha256", PASSPHRASE, salt, iterations, 32)


def _aes_ctr(key: bytes, start: bytes, data: bytes) -> bytes:
    cipher = Cipher(algorithms.AES256(key), modes.CTR(start)).encryptor()
    return cipher.update(data) + cipher.finalize()


def encrypt(key: Key) -> str:
    """The text of a private key file."""
    pair = {
        "keytype": METHOD,
        "keyid": key.keyid,
        "keyval": {"public": key.public, "private": key.private},
    }
    salt, start = os.urandom(16), os.urandom(16)
    symmetric = _key_of_passphrase(salt, ITERATIONS)
    ciphertext = _aes_ctr(symmetric, start, json.dumps(pair).encode())
    tag = hmac.new(symmetric, ciphertext, "sha256").hexdigest()
    return SEPARATOR.join((salt.hex(), str(ITERATIONS), tag, start.hex(), ciphertext.hex()))


def decrypt(text: str) -> Key:
    """The key of a private key file.

    Raises:
        ValueError: the file was altered, or has another passphrase.
    """
    salt, iterations, tag, start, ciphertext = text.strip().split(SEPARATOR)
    symmetric = _key_of_passphrase(bytes.fromhex(salt), int(iterations))
    if not hmac.compare_digest(hmac.new(symmetric, bytes.fromhex(ciphertext), "sha256").hexdigest(), tag):
        raise ValueError("the private key file does not open with the passphrase")
    keyval = json.loads(_aes_ctr(symmetric, bytes.fromhex(start), bytes.fromhex(ciphertext)))["keyval"]
    return Key(keyval["public"], keyval["private"])


def load_public_key(folder: Path, name: str) -> Key:
    """The key in `NAME.pub`."""
    return Key.from_struct(json.loads((folder / f"{name}.pub").read_text(encoding="utf-8")))


def load_or_generate_key(folder: Path, name: str) -> Key:
    """The pair in `NAME`; a new one is made when there is none, and an existing file is never written to."""
    path = folder / name
    if path.exists():
        return decrypt(path.read_text(encoding="utf-8"))
    key = Key.generate()
    folder.mkdir(parents=True, exist_ok=True)
    path.write_text(encrypt(key), encoding="utf-8")
    (folder / f"{name}.pub").write_text(json.dumps(key.in_metadata()), encoding="utf-8")
    return key
