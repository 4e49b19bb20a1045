"""Keys in the files of the archived implementation: the private one encrypted, the public one as JSON."""

import hashlib
import hmac
import json
import re
import secrets
from pathlib import Path
from typing import NamedTuple

from cryptography.hazmat.primitives.asymmetric import ed25519
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from uptane.formats.canonical_json import decode_strict
from uptane.formats.json_fields import Fields
from uptane.formats.pouf1.keys import decode_key, write_listed_key
from uptane.metadata.errors import FormatError, StorageError
from uptane.metadata.identifiers import KeyId
from uptane.metadata.keys import KeyIdRule, KeyType, PublicKey
from uptane.storage.key_files import ARCHIVED_SEPARATOR, KeyFolder, PrivateKey, damaged

PASSWORD = b"pw"
"""What every private key of the archived demonstration is encrypted with: it is public, and protects nothing."""

ITERATIONS = 100_000
"""Rounds of PBKDF2 in a new file."""

MAX_ITERATIONS = 1_000_000
"""Rounds of PBKDF2 that a file may ask for: about half a second."""

MAX_FILE_BYTES = 4096
"""Bytes in a key file; the archived implementation writes 686."""

SALT_BYTES, IV_BYTES, AES_KEY_BYTES = 16, 16, 32

_FILE = re.compile(
    r"(?P<salt>[0-9a-f]{32})@@@@(?P<iterations>[1-9][0-9]{0,6})@@@@(?P<hmac>[0-9a-f]{64})@@@@"
    r"(?P<iv>[0-9a-f]{32})@@@@(?P<ciphertext>(?:[0-9a-f]{2})+)",
    re.ASCII,
)


class ArchivedKeyFolder(KeyFolder):
    """Keys by name in a folder, as `demo/keys` of the archived implementation holds them; Ed25519 only.

    NAME holds salt, iterations, HMAC, initial counter and ciphertext in hexadecimal, with `@@@@` between them. The
    encryption key is PBKDF2-HMAC-SHA256 of the password, the cipher AES-256-CTR, and the HMAC-SHA256 is over the
    ciphertext under the same key. NAME.pub is the public key as JSON.
    """

    _id_rule = KeyIdRule.POUF1

    def load_or_generate(self, name: str, key_type: KeyType = KeyType.ED25519) -> PrivateKey:
        """The private key of that name; see `KeyFolder.load_or_generate`.

        Raises:
            FormatError: also for a type other than Ed25519.
        """
        if key_type is not KeyType.ED25519:
            raise FormatError(
                f"the archived implementation has no keys of type {key_type}",
                next_step="Use Ed25519.",
                field="key type",
            )
        return super().load_or_generate(name)

    def _write_private(self, key: PrivateKey) -> bytes:
        if not isinstance(key, ed25519.Ed25519PrivateKey):
            raise FormatError("only Ed25519 keys are kept in this format", field="key type")
        public = PublicKey.of(key.public_key(), KeyIdRule.POUF1)
        described = {
            "keytype": str(KeyType.ED25519),
            "keyid": str(public.key_id),
            "keyval": {"public": public.text, "private": key.private_bytes_raw().hex()},
        }
        salt, iv = secrets.token_bytes(SALT_BYTES), secrets.token_bytes(IV_BYTES)
        secret = _encryption_key(salt, ITERATIONS)
        ciphertext = _encrypted(secret, iv, json.dumps(described).encode())
        parts = (salt.hex(), str(ITERATIONS), _hmac(secret, ciphertext).hex(), iv.hex(), ciphertext.hex())
        return ARCHIVED_SEPARATOR.join(part.encode() for part in parts)

    def _read_private(self, raw: bytes, path: Path) -> PrivateKey:
        parts = _parts(raw, path)
        secret = _encryption_key(parts.salt, parts.iterations)
        if not hmac.compare_digest(_hmac(secret, parts.ciphertext), parts.hmac):
            raise damaged(path, "was changed, or is encrypted with another password than the demonstration's")
        try:
            return _private_key(_encrypted(secret, parts.iv, parts.ciphertext))
        except FormatError as error:
            raise damaged(path, f"holds no private key that can be used ({error})") from error

    def _write_public(self, key: PublicKey) -> bytes:
        return json.dumps(write_listed_key(key)).encode()

    def _read_public(self, raw: bytes, path: Path) -> PublicKey:
        _check_origin(raw, path)
        try:
            return decode_key(raw)
        except FormatError as error:
            raise damaged(path, f"holds no public key that can be used ({error})") from error


class _Parts(NamedTuple):
    salt: bytes
    iterations: int
    hmac: bytes
    iv: bytes
    ciphertext: bytes


def _parts(raw: bytes, path: Path) -> _Parts:
    _check_origin(raw, path)
    found = _FILE.fullmatch(raw.decode("latin-1"))
    if found is None:
        raise damaged(path, "is not a private key's file of the archived implementation")
    iterations = int(found["iterations"])
    if iterations > MAX_ITERATIONS:
        raise damaged(path, f"asks for {iterations} rounds of PBKDF2, more than {MAX_ITERATIONS}")
    salt, tag, iv, ciphertext = (bytes.fromhex(found[name]) for name in ("salt", "hmac", "iv", "ciphertext"))
    return _Parts(salt=salt, iterations=iterations, hmac=tag, iv=iv, ciphertext=ciphertext)


def _check_origin(raw: bytes, path: Path) -> None:
    if raw.startswith(b"-----BEGIN "):
        raise _of_another_format(path)
    if len(raw) > MAX_FILE_BYTES:
        raise damaged(path, f"has more than {MAX_FILE_BYTES} bytes, so it is no key")


def _of_another_format(path: Path) -> StorageError:
    return damaged(
        path,
        "holds a key in PEM, not in the format of the archived implementation",
        "Use another folder, or the format der or json, whose keys these are.",
    )


def _encryption_key(salt: bytes, iterations: int) -> bytes:
    return hashlib.pbkdf2_hmac("sha256", PASSWORD, salt, iterations, AES_KEY_BYTES)


def _hmac(secret: bytes, ciphertext: bytes) -> bytes:
    return hmac.digest(secret, ciphertext, "sha256")


def _encrypted(secret: bytes, iv: bytes, text: bytes) -> bytes:
    """AES-256-CTR, which is its own inverse."""
    encryptor = Cipher(algorithms.AES(secret), modes.CTR(iv)).encryptor()
    return encryptor.update(text) + encryptor.finalize()


def _private_key(text: bytes) -> PrivateKey:
    fields = Fields(decode_strict(text), "private key")
    fields.literal("keytype", KeyType.ED25519)
    values = Fields(fields.take("keyval", dict), "keyval")
    seed = values.data("private")
    if len(seed) != 32:
        raise FormatError("an Ed25519 key has 32 bytes", field="private")
    key = ed25519.Ed25519PrivateKey.from_private_bytes(seed)
    public = PublicKey.of(key.public_key(), KeyIdRule.POUF1)
    public.require_id(KeyId(fields.take("keyid", str)))
    if values.data("public") != public.material:
        raise FormatError("the public key is not that of the private one", field="public")
    return key
