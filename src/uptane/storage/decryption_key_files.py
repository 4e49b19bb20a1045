"""Decryption keys of ECUs in files that only their owner can ever read, apart from keys that sign (STD-5.4.1-8)."""

import secrets
from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization

from uptane.encryption.keys import KEY_BYTES, DecryptionKey, EncryptionKeyType
from uptane.metadata.errors import FormatError
from uptane.storage.atomic_files import OPERATING_SYSTEM, FileLayer, Folder
from uptane.storage.key_files import FOLDER_MODE, PRIVATE_MODE, PUBLIC, PUBLIC_MODE, damaged
from uptane.storage.names import single


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
