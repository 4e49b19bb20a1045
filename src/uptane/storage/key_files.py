"""Keys in PEM files: a private key that only its owner can ever read, and its public key beside it."""

from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from uptane.metadata.errors import FormatError, StorageError
from uptane.metadata.keys import KeyType, PublicKey, load_key
from uptane.storage.atomic_files import OPERATING_SYSTEM, FileLayer, Folder
from uptane.storage.names import single

RSA_BITS = 3072
"""The size of new RSA keys: 128 bits of strength, as Ed25519 and P-256 have."""

PUBLIC = ".pub"
"""What the name of a public key's file adds to that of its private key."""

FOLDER_MODE = 0o700
PRIVATE_MODE = 0o600
PUBLIC_MODE = 0o644

PrivateKey = ed25519.Ed25519PrivateKey | ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey


def generate(key_type: KeyType) -> PrivateKey:
    """A new private key: Ed25519, ECDSA over P-256, or RSA of RSA_BITS bits."""
    match key_type:
        case KeyType.ED25519:
            return ed25519.Ed25519PrivateKey.generate()
        case KeyType.ECDSA:
            return ec.generate_private_key(ec.SECP256R1())
        case KeyType.RSA:
            return rsa.generate_private_key(public_exponent=65537, key_size=RSA_BITS)


class KeyFolder:
    """Keys by name in a folder: NAME holds the private key (PKCS #8), NAME.pub the public one.

    Args:
        root: the folder; made, for its owner only, by the first new key.
        layer: the file operations.
    """

    def __init__(self, root: Path, *, layer: FileLayer = OPERATING_SYSTEM) -> None:
        self._root = root
        self._layer = layer

    def load_or_generate(self, name: str, key_type: KeyType = KeyType.ED25519) -> PrivateKey:
        """The private key of that name, which is never overwritten; a new one where there is none.

        Args:
            name: one component of a path.
            key_type: the type of a new key; one that exists is returned as it is.

        Raises:
            StorageError: the file is damaged, is no key of a supported kind, does not belong to its public key, or
                cannot be written.
            FormatError: the name is none.
        """
        _check(name)
        with Folder.made(self._root, FOLDER_MODE, layer=self._layer) as folder:
            folder.lock()
            folder.remove_unfinished()
            pem = folder.read(name)
            if pem is None:
                if folder.read(name + PUBLIC) is not None:
                    raise _damaged(folder.path / name, "is missing beside its public key")
                pem = _private_pem(generate(key_type))
                if not folder.create(name, pem, PRIVATE_MODE):
                    raise _damaged(folder.path / name, "was made by somebody else at the same time")
            key = _private_key(pem, folder.path / name)
            self._keep_public(folder, name, PublicKey.of(key.public_key()))
        return key

    def public(self, name: str) -> PublicKey | None:
        """The public key of that name, or None when there is none.

        Raises:
            StorageError: the file is damaged, or is no key of a supported kind.
            FormatError: the name is none.
        """
        _check(name)
        folder = Folder.existing(self._root, layer=self._layer)
        if folder is None:
            return None
        with folder:
            pem = folder.read(name + PUBLIC)
            if pem is not None:
                return _public_key(pem, folder.path / (name + PUBLIC))
            pem = folder.read(name)
            return None if pem is None else PublicKey.of(_private_key(pem, folder.path / name).public_key())

    def _keep_public(self, folder: Folder, name: str, key: PublicKey) -> None:
        file = name + PUBLIC
        pem = folder.read(file)
        if pem is None:
            folder.create(file, _public_pem(key), PUBLIC_MODE)
        elif _public_key(pem, folder.path / file) != key:
            raise _damaged(folder.path / file, f"is not the public key of {name}")


def _check(name: str) -> None:
    if single(name).endswith(PUBLIC):
        raise FormatError(f"the name of a key must not end in {PUBLIC}: {name!r}", field="key name")


def _private_pem(key: PrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def _public_pem(key: PublicKey) -> bytes:
    public = load_key(key.key_type, key.material)
    return public.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)


def _private_key(pem: bytes, path: Path) -> PrivateKey:
    try:
        key = serialization.load_pem_private_key(pem, password=None)
        if isinstance(key, PrivateKey):
            PublicKey.of(key.public_key())
            return key
    except (ValueError, TypeError, UnsupportedAlgorithm, FormatError) as error:
        raise _damaged(path, f"holds no private key that can be used ({error})") from error
    raise _damaged(path, "holds a private key of a kind that is not supported")


def _public_key(pem: bytes, path: Path) -> PublicKey:
    try:
        key = serialization.load_pem_public_key(pem)
        if isinstance(key, ed25519.Ed25519PublicKey | ec.EllipticCurvePublicKey | rsa.RSAPublicKey):
            return PublicKey.of(key)
    except (ValueError, UnsupportedAlgorithm, FormatError) as error:
        raise _damaged(path, f"holds no public key that can be used ({error})") from error
    raise _damaged(path, "holds a public key of a kind that is not supported")


def _damaged(path: Path, how: str) -> StorageError:
    return StorageError(
        f"{path} {how}",
        next_step="Restore the key from a backup, or remove both files of it to have a new key made.",
        path=str(path),
    )
