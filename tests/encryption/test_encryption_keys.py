"""Keys for encryption are a kind of their own, and no text holds one."""

import copy
import hashlib
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from world import TCU

from uptane.encryption.keys import DecryptionKey, EncryptionKey, EncryptionKeyType
from uptane.metadata.errors import FormatError, SpoofingError
from uptane.metadata.keys import PublicKey

SECRET = bytes(range(100, 132))
PRIVATE = X25519PrivateKey.from_private_bytes(SECRET)
LOW_ORDER = [
    bytes(32),
    b"\x01" + bytes(31),
    bytes.fromhex("e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800"),
    bytes.fromhex("5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157"),
    (2**255 - 20).to_bytes(32, "little"),
]
"""Points with which every private key agrees on the same secret (RFC 7748, section 7)."""


@pytest.mark.standard("STD-5.4.1-8")
def test_a_signing_key_is_no_key_for_encryption() -> None:
    signing: Any = Ed25519PrivateKey.generate()
    with pytest.raises(FormatError):
        EncryptionKey.of(signing.public_key())
    with pytest.raises(FormatError):
        DecryptionKey.of(signing)


@pytest.mark.standard("STD-5.4.1-8")
def test_the_signing_key_is_known_again_as_it_is_and_on_the_other_curve() -> None:
    # The secret scalar of an Ed25519 key is the first half of the SHA-512 of its seed.
    signing = Ed25519PrivateKey.from_private_bytes(SECRET)
    public = PublicKey.of(signing.public_key())
    carried_over = X25519PrivateKey.from_private_bytes(hashlib.sha512(SECRET).digest()[:32])
    for key in (EncryptionKey.symmetric(public.material), EncryptionKey.of(carried_over.public_key())):
        with pytest.raises(SpoofingError):
            key.require_separate(public, TCU)
    EncryptionKey.of(X25519PrivateKey.generate().public_key()).require_separate(public, TCU)


def test_a_private_key_gives_the_public_one_and_a_symmetric_key_itself() -> None:
    assert DecryptionKey.of(PRIVATE).encryption_key == EncryptionKey.of(PRIVATE.public_key())
    assert DecryptionKey.symmetric(SECRET).encryption_key == EncryptionKey.symmetric(SECRET)


@pytest.mark.parametrize("kind", EncryptionKeyType)
def test_a_new_key_takes_its_bytes_from_the_given_source(kind: EncryptionKeyType) -> None:
    assert DecryptionKey.generate(kind, lambda size: SECRET[:size]) == DecryptionKey(key_type=kind, material=SECRET)


@pytest.mark.parametrize("material", LOW_ORDER)
def test_public_keys_that_protect_nothing_are_refused(material: bytes) -> None:
    with pytest.raises(FormatError):
        EncryptionKey(key_type=EncryptionKeyType.X25519, material=material)


def test_another_encoding_of_a_public_key_is_refused() -> None:
    for number in (2**255 - 19 + 9, 2**255 + 9):
        with pytest.raises(FormatError):
            EncryptionKey(key_type=EncryptionKeyType.X25519, material=number.to_bytes(32, "little"))


@pytest.mark.parametrize("material", [b"", bytes(31), bytes(33), "x" * 32])
def test_keys_of_other_lengths_are_refused(material: Any) -> None:
    for kind in EncryptionKeyType:
        with pytest.raises(FormatError):
            DecryptionKey(key_type=kind, material=material)


@pytest.mark.parametrize("key", [DecryptionKey.of(PRIVATE), DecryptionKey.symmetric(SECRET)])
def test_a_key_comes_back_from_its_file_and_from_a_copy(key: DecryptionKey) -> None:
    assert DecryptionKey.decode(key.encode()) == key
    assert EncryptionKey.decode(key.encryption_key.encode()) == key.encryption_key
    assert copy.deepcopy(key) == key


@pytest.mark.parametrize(
    "damage",
    [
        lambda raw: raw.replace(b"x25519", b"ed25519"),
        lambda raw: raw[:-3] + b'"}',
        lambda raw: raw[:-4] + b'zz"}',
        lambda raw: raw[:-1],
        lambda raw: raw[:-1] + b',"new":1}',
        lambda raw: b"[]",
    ],
)
def test_a_damaged_key_is_refused_without_telling_it(damage: Any) -> None:
    with pytest.raises(FormatError) as refusal:
        DecryptionKey.decode(damage(DecryptionKey.of(PRIVATE).encode()))
    told = f"{refusal.value!r} {refusal.value} {refusal.value.facts} {refusal.value.__cause__!r}"
    assert SECRET[8:24].hex() not in told


@pytest.mark.parametrize("key", [DecryptionKey.of(PRIVATE), DecryptionKey.symmetric(SECRET)])
def test_no_text_of_a_key_holds_it(key: DecryptionKey) -> None:
    for text in (repr(key), str(key), f"{key}", repr(key.encryption_key)):
        assert SECRET.hex() not in text and repr(SECRET) not in text and "material" not in text
