"""The cipher of images: published vectors, pieces of every size, and whatever is altered."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from uptane.encryption.content import MAX_PLAINTEXT, NONCE_BYTES, TAG_BYTES, Decryption, Encryption
from uptane.encryption.keys import KEY_BYTES
from uptane.metadata.attacks import Attack
from uptane.metadata.errors import DecryptionError, FormatError

KEY, NONCE = bytes(range(32)), bytes(range(12))

VECTORS = [
    ("00" * 32, "00" * 12, "", "530f8afbc74536b9a963b4f1c4cb738b"),
    ("00" * 32, "00" * 12, "00" * 16, "cea7403d4d606b6e074ec5d3baf39d18" + "d0d1c8a799996bf0265b98b5d48ab919"),
    (
        "feffe9928665731c6d6a8f9467308308" * 2,
        "cafebabefacedbaddecaf888",
        "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a72"
        "1c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b391aafd255",
        "522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa"
        "8cb08e48590dbb3da7b08b1056828838c5f61e6393ba7a0abcc9f662898015ad"
        "b094dac5d93471bdec1a502270e3cc6c",
    ),
]
"""Test cases 13 to 15 of the specification of GCM by McGrew and Viega: key, nonce, plaintext, ciphertext with tag."""


def encrypted(plaintext: bytes, key: bytes = KEY, nonce: bytes = NONCE, piece: int = 7) -> bytes:
    running = Encryption(key, nonce)
    pieces = [running.update(plaintext[start : start + piece]) for start in range(0, len(plaintext), piece)]
    return b"".join(pieces) + running.finish()


def decrypted(ciphertext: bytes, key: bytes = KEY, nonce: bytes = NONCE, piece: int = 7) -> bytes:
    running = Decryption(key, nonce)
    plain = b"".join(running.update(ciphertext[at : at + piece]) for at in range(0, len(ciphertext), piece))
    running.finish()
    return plain


@pytest.mark.parametrize(("key", "nonce", "plaintext", "ciphertext"), VECTORS)
def test_the_published_vectors_come_out_in_both_directions(
    key: str, nonce: str, plaintext: str, ciphertext: str
) -> None:
    secret = bytes.fromhex(key), bytes.fromhex(nonce)
    assert encrypted(bytes.fromhex(plaintext), *secret).hex() == ciphertext
    assert decrypted(bytes.fromhex(ciphertext), *secret).hex() == plaintext


@given(plaintext=st.binary(max_size=200), one=st.integers(1, 64), other=st.integers(1, 64))
def test_the_size_of_the_pieces_changes_nothing(plaintext: bytes, one: int, other: int) -> None:
    ciphertext = encrypted(plaintext, piece=one)
    assert len(ciphertext) == len(plaintext) + TAG_BYTES
    assert decrypted(ciphertext, piece=other) == plaintext


@given(plaintext=st.binary(max_size=60), at=st.integers(0, 75), bit=st.integers(0, 7))
def test_any_bit_that_is_altered_is_noticed(plaintext: bytes, at: int, bit: int) -> None:
    ciphertext = bytearray(encrypted(plaintext))
    ciphertext[at % len(ciphertext)] ^= 1 << bit
    with pytest.raises(DecryptionError) as refusal:
        decrypted(bytes(ciphertext))
    assert (refusal.value.code, refusal.value.attack) == ("E-DECRYPT", Attack.ARBITRARY_SOFTWARE)


@pytest.mark.parametrize("kept", [0, 5, 15, 16, 20])
def test_an_image_that_was_cut_is_refused(kept: int) -> None:
    with pytest.raises(DecryptionError):
        decrypted(encrypted(b"an image of some length")[:kept])


def test_another_key_or_nonce_decrypts_nothing() -> None:
    ciphertext = encrypted(b"an image")
    for key, nonce in ((bytes(32), NONCE), (KEY, bytes(12))):
        with pytest.raises(DecryptionError):
            decrypted(ciphertext, key, nonce)


@pytest.mark.parametrize(("key", "nonce"), [(16, NONCE_BYTES), (KEY_BYTES, 16), (KEY_BYTES, 0)])
def test_keys_and_nonces_of_other_lengths_are_refused(key: int, nonce: int) -> None:
    for direction in (Encryption, Decryption):
        with pytest.raises(FormatError):
            direction(bytes(key), bytes(nonce))


def test_no_more_is_encrypted_under_one_nonce_than_gcm_protects() -> None:
    class Long(bytes):
        def __len__(self) -> int:
            return MAX_PLAINTEXT + 1

    with pytest.raises(FormatError):
        Encryption(KEY, NONCE).update(Long())
