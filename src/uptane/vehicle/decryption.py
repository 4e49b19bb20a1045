"""An image in the form in which an ECU gets it, and back in plain (STD-5.4.3.4-6 to -8)."""

from collections.abc import Iterable, Iterator

from msgspec import structs

from uptane.encryption import content
from uptane.encryption.keys import DecryptionKey, EncryptionKeyType
from uptane.encryption.wrapping import unwrap_key, wrapping_context
from uptane.metadata.errors import DecryptionError
from uptane.metadata.identifiers import EcuIdentifier
from uptane.metadata.keys import PublicKey
from uptane.metadata.targets import EncryptedImage, Image
from uptane.vehicle.memory import EcuMemory
from uptane.verification.verify_image import ImageCheck


def delivered(image: Image, ecu: EcuIdentifier) -> Image:
    """The image with the name, length and hashes under which it travels to an ECU (STD-5.2.3.1.1-7).

    These are of the encrypted form where the Director's Targets metadata name one for that ECU; whatever anybody else
    says or asks for changes nothing of that. The Director's URL is that of the image in plain.
    """
    encrypted = _encrypted(image, ecu)
    return image if encrypted is None else Image(file=encrypted.file, custom=structs.replace(image.custom, url=None))


def in_plain(memory: EcuMemory, image: Image, chunks: Iterable[bytes]) -> Iterator[bytes]:
    """The bytes of a delivered image; verified and decrypted where the Director's metadata say that it is encrypted.

    What comes out is not the listed image yet: whoever takes it checks its length and hashes (STD-5.4.3.4-9, -11), and
    uses nothing before the end.

    Args:
        memory: of the ECU that reads it.
        image: what signed metadata list.
        chunks: what was delivered, in pieces of any size.

    Raises:
        DecryptionError: an unknown method, or no key for it, at once; another key, or altered bytes, in place of the
            end.
        EndlessDataError, LengthMismatchError, BadHashError: while iterating: it is not the encrypted image that the
            Director lists.
    """
    encrypted = _encrypted(image, memory.ecu)
    if encrypted is None:
        return iter(chunks)
    try:
        nonce = _nonce(image, encrypted)
        running = content.Decryption(_content_key(memory, image, encrypted), nonce)
    except DecryptionError as error:
        raise _told(memory, image, error) from error
    return _decrypted(memory, image, running, ImageCheck(encrypted.file), chunks)


def require_separate_keys(memory: EcuMemory, signing_key: PublicKey) -> None:
    """Raises SpoofingError where an ECU was made to decrypt with the key with which it signs (STD-5.4.1-8)."""
    if memory.decryption_key is not None:
        memory.decryption_key.encryption_key.require_separate(signing_key, memory.ecu)


def _encrypted(image: Image, ecu: EcuIdentifier) -> EncryptedImage | None:
    said = image.custom.ecus.get(ecu)
    return None if said is None else said.encrypted


def _decrypted(
    memory: EcuMemory, image: Image, running: content.Decryption, check: ImageCheck, chunks: Iterable[bytes]
) -> Iterator[bytes]:
    for chunk in chunks:
        check.update(chunk)
        yield running.update(chunk)
    check.finish()
    try:
        running.finish()
    except DecryptionError as error:
        raise _told(memory, image, error) from error


def _nonce(image: Image, encrypted: EncryptedImage) -> bytes:
    if encrypted.method != content.METHOD:
        raise DecryptionError(f"the method {encrypted.method!r} is unknown", offered=encrypted.method)
    if len(encrypted.nonce) != content.NONCE_BYTES:
        raise DecryptionError(f"its nonce has {len(encrypted.nonce)} bytes instead of {content.NONCE_BYTES}")
    expected = image.file.length + content.TAG_BYTES
    if encrypted.file.length != expected or image.file.length > content.MAX_PLAINTEXT:
        raise DecryptionError(
            f"its encrypted form has {encrypted.file.length} bytes, which is not the length of the image and a tag, or "
            "too long",
            expected=expected,
            offered=encrypted.file.length,
        )
    return encrypted.nonce


def _content_key(memory: EcuMemory, image: Image, encrypted: EncryptedImage) -> bytes:
    """The ECU's own symmetric key, or the one that its private key unwraps; never the private key itself."""
    key: DecryptionKey | None = memory.decryption_key
    if key is None:
        raise DecryptionError("the ECU has no key to decrypt with")
    if encrypted.wrapped_key is not None:
        return unwrap_key(encrypted.wrapped_key, key, wrapping_context(memory.vehicle, memory.ecu, image.file.path))
    if key.key_type is EncryptionKeyType.SYMMETRIC:
        return key.material
    raise DecryptionError("no wrapped key came with it, and an asymmetric key does not decrypt images itself")


def _told(memory: EcuMemory, image: Image, error: DecryptionError) -> DecryptionError:
    return DecryptionError(
        f"ECU {memory.ecu} cannot decrypt image {image.file.path}: {error.what}",
        ecu=memory.ecu,
        image=image.file.path,
        reason=error.what,
    )
