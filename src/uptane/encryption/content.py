"""The cipher of an image: AES-256-GCM in pieces, the tag at the end of the encrypted image."""

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES256
from cryptography.hazmat.primitives.ciphers.modes import GCM

from uptane.encryption.keys import KEY_BYTES
from uptane.metadata.errors import DecryptionError, FormatError

METHOD = "aes-256-gcm"
"""The name in metadata: NIST SP 800-38D with a key of 32 bytes, a nonce of 12 and a tag of 16; nothing added to it."""

NONCE_BYTES = 12
TAG_BYTES = 16

MAX_PLAINTEXT = 2**36 - 32
"""Bytes of an image under one nonce, which is all that GCM protects: 64 GiB."""


class Encryption:
    """One image on its way to its encrypted form.

    Args:
        key: 32 bytes.
        nonce: 12 bytes that this key has never been used with.

    Raises:
        FormatError: a key or a nonce of another length.
    """

    def __init__(self, key: bytes, nonce: bytes) -> None:
        _check(key, nonce)
        self._running = Cipher(AES256(key), GCM(nonce)).encryptor()
        self._left = MAX_PLAINTEXT

    def update(self, chunk: bytes) -> bytes:
        """The next bytes, encrypted; FormatError for an image that is too long."""
        self._left -= len(chunk)
        if self._left < 0:
            raise FormatError(f"an image of more than {MAX_PLAINTEXT} bytes cannot be encrypted", field="length")
        return self._running.update(chunk)

    def finish(self) -> bytes:
        """What comes last: the tag."""
        return self._running.finalize() + self._running.tag


class Decryption:
    """One encrypted image on its way back, in constant memory.

    What `update` gives must not be used for anything before `finish` has checked it.

    Args:
        key, nonce: as for `Encryption`.

    Raises:
        FormatError: a key or a nonce of another length.
    """

    def __init__(self, key: bytes, nonce: bytes) -> None:
        _check(key, nonce)
        self._running = Cipher(AES256(key), GCM(nonce)).decryptor()
        self._held = b""

    def update(self, chunk: bytes) -> bytes:
        """The next bytes in plain, as far as it is known that they are not the tag."""
        both = self._held + chunk
        self._held = both[-TAG_BYTES:]
        return self._running.update(both[:-TAG_BYTES])

    def finish(self) -> None:
        """Raises DecryptionError unless the key and nonce are those of the encrypted image, and nothing was altered."""
        try:
            self._running.finalize_with_tag(self._held)
        except (InvalidTag, ValueError) as error:
            raise DecryptionError("the encrypted image is not of this key and nonce, or was altered") from error


def _check(key: bytes, nonce: bytes) -> None:
    if len(key) != KEY_BYTES or len(nonce) != NONCE_BYTES:
        raise FormatError(f"{METHOD} takes a key of {KEY_BYTES} bytes and a nonce of {NONCE_BYTES}", field="nonce")
