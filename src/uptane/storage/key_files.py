"""Keys in PEM files: a private key that only its owner can ever read, and its public key beside it."""

from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from uptane.metadata.errors import FormatError, StorageError
from uptane.metadata.keys import KeyIdRule, KeyType, PublicKey, load_key
from uptane.storage.atomic_files import OPERATING_SYSTEM, FileLayer, Folder
from uptane.storage.names import single
from uptane.storage.one_file import read_file

RSA_BITS = 3072
"""The size of new RSA keys: 128 bits of strength, as Ed25519 and P-256 have."""

PUBLIC = ".pub"
"""What the name of a public key's file adds to that of its private key."""

ARCHIVED_SEPARATOR = b"@@@@"
"""What stands between the parts of a private key's file of the archived implementation."""

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


def load_private_key(path: Path) -> PrivateKey:
    """The private key in a PEM file.

    Raises:
        StorageError: there is none, it cannot be read, or it holds no key of a supported kind.
    """
    raw = read_file(path)
    if raw is None:
        raise damaged(path, "does not exist", "Name the file of a private key, in PEM.")
    _refuse_archived(raw, path)
    return _private_key(raw, path)


def load_public_key(path: Path) -> PublicKey:
    """The public key in a PEM file, such as `supplier.pem.pub`.

    Raises:
        StorageError: there is none, it cannot be read, it holds no key of a supported kind, or a private one, which
            its owner keeps to himself.
    """
    raw = read_file(path)
    if raw is None:
        raise damaged(path, "does not exist", "Name the file of a public key, in PEM.")
    if b"PRIVATE KEY" in raw:
        raise damaged(path, "holds a private key, which nobody else shall see", f"Name its public key, {path}{PUBLIC}.")
    _refuse_archived(raw, path)
    return _public_key(raw, path)


class KeyFolder:
    """Keys by name in a folder: NAME holds the private key (PKCS #8), NAME.pub the public one.

    What the files hold is in four methods, which a folder of another format replaces.

    Args:
        root: the folder; made, for its owner only, by the first new key.
        layer: the file operations.
    """

    _id_rule = KeyIdRule.TUF

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
            raw = folder.read(name)
            if raw is None:
                if folder.read(name + PUBLIC) is not None:
                    raise damaged(folder.path / name, "is missing beside its public key")
                raw = self._write_private(generate(key_type))
                if not folder.create(name, raw, PRIVATE_MODE):
                    raise damaged(folder.path / name, "was made by somebody else at the same time")
            key = self._read_private(raw, folder.path / name)
            self._keep_public(folder, name, PublicKey.of(key.public_key(), self._id_rule))
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
            raw = folder.read(name + PUBLIC)
            if raw is not None:
                return self._read_public(raw, folder.path / (name + PUBLIC))
            raw = folder.read(name)
            if raw is None:
                return None
            return PublicKey.of(self._read_private(raw, folder.path / name).public_key(), self._id_rule)

    def _keep_public(self, folder: Folder, name: str, key: PublicKey) -> None:
        file = name + PUBLIC
        raw = folder.read(file)
        if raw is None:
            folder.create(file, self._write_public(key), PUBLIC_MODE)
        elif self._read_public(raw, folder.path / file) != key:
            raise damaged(folder.path / file, f"is not the public key of {name}")

    def _write_private(self, key: PrivateKey) -> bytes:
        """The content of a new private key's file."""
        return key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )

    def _read_private(self, raw: bytes, path: Path) -> PrivateKey:
        """The inverse of `_write_private`; raises StorageError."""
        _refuse_archived(raw, path)
        return _private_key(raw, path)

    def _write_public(self, key: PublicKey) -> bytes:
        """The content of a new public key's file."""
        public = load_key(key.key_type, key.material)
        return public.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)

    def _read_public(self, raw: bytes, path: Path) -> PublicKey:
        """The inverse of `_write_public`; raises StorageError."""
        _refuse_archived(raw, path)
        return _public_key(raw, path)


def _check(name: str) -> None:
    if single(name).endswith(PUBLIC):
        raise FormatError(f"the name of a key must not end in {PUBLIC}: {name!r}", field="key name")


def _refuse_archived(raw: bytes, path: Path) -> None:
    if ARCHIVED_SEPARATOR in raw or raw.lstrip()[:1] == b"{":
        raise damaged(
            path,
            "holds a key in the format of the archived implementation",
            "Use another folder, or the format pouf1 or pouf1-json, whose keys these are.",
        )


def _private_key(pem: bytes, path: Path) -> PrivateKey:
    try:
        key = serialization.load_pem_private_key(pem, password=None)
        if isinstance(key, PrivateKey):
            PublicKey.of(key.public_key())
            return key
    except (ValueError, TypeError, UnsupportedAlgorithm, FormatError) as error:
        raise damaged(path, f"holds no private key that can be used ({error})") from error
    raise damaged(path, "holds a private key of a kind that is not supported")


def _public_key(pem: bytes, path: Path) -> PublicKey:
    try:
        key = serialization.load_pem_public_key(pem)
        if isinstance(key, ed25519.Ed25519PublicKey | ec.EllipticCurvePublicKey | rsa.RSAPublicKey):
            return PublicKey.of(key)
    except (ValueError, UnsupportedAlgorithm, FormatError) as error:
        raise damaged(path, f"holds no public key that can be used ({error})") from error
    raise damaged(path, "holds a public key of a kind that is not supported")


def damaged(
    path: Path,
    how: str,
    next_step: str = "Restore the key from a backup, or remove both files of it to have a new key made.",
) -> StorageError:
    """The error for a key file that cannot be used."""
    return StorageError(f"{path} {how}", next_step=next_step, path=str(path))
