"""Decryption keys of ECUs in files that only their owner can ever read, apart from keys that sign (STD-5.4.1-8)."""

import secrets
from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization

from uptane.encryption.keys import KEY_BYTES, DecryptionKey, EncryptionKey, EncryptionKeyType
from uptane.metadata.errors import FormatError
from uptane.storage.atomic_files import OPERATING_SYSTEM, FileLayer, Folder
from uptane.storage.key_files import FOLDER_MODE, PRIVATE_MODE, PUBLIC, PUBLIC_MODE, damaged
from uptane.storage.names import single
from uptane.storage.one_file import read_file


class DecryptionKeyFolder:
    """Decryption keys by name in a folder.

    NAME holds an X25519 private key (PKCS #8 in PEM), and NAME.pub the public one for the Director; or NAME holds a
    symmetric key, 64 hexadecimal digits and a line feed, and there is no other file.

    Args:
        root: the folder; made, for its owner only, by the first new key.
        layer: the file operations.
    """

    def __init__(self, root: Path, *, layer: FileLayer = OPERATING_SYSTEM) -> None:
        self._root = root
        self._layer = layer

    def load_or_generate(self, name: str, key_type: EncryptionKeyType = EncryptionKeyType.X25519) -> DecryptionKey:
        """The key of that name, which is never overwritten; a new one where there is none.

        Args:
            name: one component of a path.
            key_type: the type of a new key; one that exists is returned as it is.

        Raises:
            StorageError: the file is damaged, is a key that signs, does not belong to its public key, or cannot be
                written.
            FormatError: the name is none.
        """
        if single(name).endswith(PUBLIC):
            raise FormatError(f"the name of a key must not end in {PUBLIC}: {name!r}", field="key name")
        with Folder.made(self._root, FOLDER_MODE, layer=self._layer) as folder:
            folder.lock()
            folder.remove_unfinished()
            raw = folder.read(name)
            if raw is None:
                if folder.read(name + PUBLIC) is not None:
                    raise damaged(folder.path / name, "is missing beside its public key")
                raw = _written(DecryptionKey.generate(key_type, secrets.token_bytes))
                if not folder.create(name, raw, PRIVATE_MODE):
                    raise damaged(folder.path / name, "was made by somebody else at the same time")
            key = _read(raw, folder.path / name)
            if key.key_type is EncryptionKeyType.X25519:
                _keep_public(folder, name, key)
        return key

    def public(self, name: str) -> EncryptionKey | None:
        """What images are encrypted for so that this key reads them; None where no key pair has that name.

        Raises:
            StorageError: the file is damaged, or is no such key.
            FormatError: the name is none.
        """
        folder = Folder.existing(self._root, layer=self._layer)
        if folder is None:
            return None
        with folder:
            raw, path = folder.read(single(name) + PUBLIC), folder.path / (name + PUBLIC)
        return None if raw is None else _public(raw, path)


def load_encryption_key(path: Path) -> EncryptionKey:
    """The public key in a PEM file, such as `decryption.pub`, that images are encrypted for.

    Raises:
        StorageError: there is none, it cannot be read, it is a key of another use, or a private one, which its ECU
            keeps to itself.
    """
    raw = read_file(path)
    if raw is None:
        raise damaged(path, "does not exist", "Name the file of a public key, in PEM.")
    if b"PRIVATE KEY" in raw:
        raise damaged(
            path, "holds a private key, which its ECU alone shall have", f"Name its public key, {path}{PUBLIC}."
        )
    return _public(raw, path, "Name the public key that the ECU decrypts with, in PEM: X25519.")


def _public(
    raw: bytes, path: Path, next_step: str = "Remove the file to have it made from the private key again."
) -> EncryptionKey:
    try:
        return EncryptionKey.of(serialization.load_pem_public_key(raw))  # type: ignore[arg-type]
    except (ValueError, UnsupportedAlgorithm, FormatError) as error:
        raise damaged(path, "holds no key that images can be encrypted for", next_step) from error


def _keep_public(folder: Folder, name: str, key: DecryptionKey) -> None:
    raw = folder.read(name + PUBLIC)
    public = key.encryption_key.x25519()
    encoded = public.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    if raw is None:
        folder.create(name + PUBLIC, encoded, PUBLIC_MODE)
    elif raw != encoded:
        raise damaged(folder.path / (name + PUBLIC), f"is not the public key of {name}")


def _written(key: DecryptionKey) -> bytes:
    if key.key_type is EncryptionKeyType.SYMMETRIC:
        return key.material.hex().encode() + b"\n"
    return key.x25519().private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def _read(raw: bytes, path: Path) -> DecryptionKey:
    """The inverse of `_written`; the errors tell nothing of the key."""
    if raw.endswith(b"\n") and len(raw) == 2 * KEY_BYTES + 1:
        try:
            return DecryptionKey.symmetric(bytes.fromhex(raw[:-1].decode("ascii")))
        except (ValueError, FormatError):
            raise damaged(path, "holds no symmetric key") from None
    try:
        return DecryptionKey.of(serialization.load_pem_private_key(raw, password=None))  # type: ignore[arg-type]
    except FormatError as error:
        raise damaged(path, f"holds a key of another use: {error.what}") from error
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise damaged(path, "holds no decryption key that can be used") from error
