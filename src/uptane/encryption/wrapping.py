"""The content key of an image, wrapped for one ECU: HPKE (RFC 9180), bound to vehicle, ECU and image."""

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.hpke import AEAD, KDF, KEM, Suite

from uptane.encryption.keys import KEY_BYTES, DecryptionKey, EncryptionKey, EncryptionKeyType
from uptane.formats.canonical_json import canonical
from uptane.metadata.errors import DecryptionError, FormatError
from uptane.metadata.identifiers import EcuIdentifier, ImagePath, VehicleIdentifier
from uptane.metadata.targets import WrappedKey

METHOD = "hpke-x25519-hkdf-sha256-aes-256-gcm"
"""The name in metadata: mode base, DHKEM(X25519, HKDF-SHA256), HKDF-SHA256, AES-256-GCM, without additional data. The
value is the encapsulated key (32 bytes) and the encrypted content key with its tag (48 bytes)."""

_SUITE = Suite(KEM.X25519, KDF.HKDF_SHA256, AEAD.AES_256_GCM)


def wrapping_context(vehicle: VehicleIdentifier, ecu: EcuIdentifier, image: ImagePath) -> bytes:
    """What the wrapped key is for, as HPKE's `info`: a key for another ECU, vehicle or image does not unwrap."""
    described = {"ecu": str(ecu), "image": str(image), "purpose": "uptane image key", "vehicle": str(vehicle)}
    return canonical(described)


def wrap_key(content_key: bytes, key: EncryptionKey, context: bytes) -> WrappedKey:
    """Wraps a content key of 32 bytes for whoever holds the private key.

    Raises:
        FormatError: the ECU's key is symmetric, or the content key is none.
    """
    if key.key_type is not EncryptionKeyType.X25519 or len(content_key) != KEY_BYTES:
        raise FormatError("keys of 32 bytes are wrapped, for public keys", field="wrapped key")
    return WrappedKey(method=METHOD, value=_SUITE.encrypt(content_key, key.x25519(), info=context))


def unwrap_key(wrapped: WrappedKey, key: DecryptionKey, context: bytes) -> bytes:
    """The content key (STD-5.4.3.4-7).

    Raises:
        DecryptionError: another method, another ECU's key or context, or something else than a content key.
    """
    if wrapped.method != METHOD:
        raise DecryptionError(
            f"keys that are wrapped as {wrapped.method!r} cannot be unwrapped", offered=wrapped.method
        )
    if key.key_type is not EncryptionKeyType.X25519:
        raise DecryptionError("a wrapped key came, and this ECU has a symmetric key, which unwraps nothing")
    try:
        content_key = _SUITE.decrypt(wrapped.value, key.x25519(), info=context)
    except (InvalidTag, ValueError) as error:
        raise DecryptionError("the wrapped key is not for this ECU and image, or was altered") from error
    if len(content_key) != KEY_BYTES:
        raise DecryptionError(f"the wrapped key has {len(content_key)} bytes instead of {KEY_BYTES}")
    return content_key
