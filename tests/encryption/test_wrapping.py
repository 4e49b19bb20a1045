"""The wrapping of content keys is HPKE as RFC 9180 has it, and bound to one ECU, vehicle and image."""

import hpke
import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from uptane.encryption.keys import DecryptionKey, EncryptionKey
from uptane.encryption.wrapping import METHOD, unwrap_key, wrap_key, wrapping_context
from uptane.metadata.errors import DecryptionError, FormatError
from uptane.metadata.identifiers import EcuIdentifier, ImagePath, VehicleIdentifier
from uptane.metadata.targets import WrappedKey

SECRET = bytes(range(32))
CONTEXT = wrapping_context(VehicleIdentifier("democar"), EcuIdentifier("TCU"), ImagePath("tcu/firmware.img"))


def private_key(name: str) -> X25519PrivateKey:
    return X25519PrivateKey.from_private_bytes(name.encode().ljust(32, b"."))


TCU, OTHER = private_key("tcu"), private_key("other")


def wrapped(secret: bytes = SECRET, key: X25519PrivateKey = TCU, context: bytes = CONTEXT) -> WrappedKey:
    return WrappedKey(method=METHOD, value=hpke.seal_base(secret, key.public_key(), context, ephemeral=OTHER))


def test_the_oracle_gives_the_vectors_of_rfc_9180_a_1_1() -> None:
    ephemeral = bytes.fromhex("52c4a758a802cd8b936eceea314432798d5baf2d7e9235dc084ab1b9cfa2f736")
    recipient = bytes.fromhex("4612c550263fc8ad58375df3f557aac531d26850903e55a9f23f21d8534e8ac8")
    key = X25519PrivateKey.from_private_bytes(recipient)
    info, aad = bytes.fromhex("4f6465206f6e2061204772656369616e2055726e"), b"Count-0"
    sealed = bytes.fromhex(
        "37fda3567bdbd628e88668c3c8d7e97d1d1253b6d4ea6d44c150f741f1bf4431"
        "f938558b5d72f1a23810b4be2ab4f84331acc02fc97babc53a52ae8218a355a96d8770ac83d07bea87e13c512a"
    )
    plaintext = b"Beauty is truth, truth beauty"
    assert hpke.open_base(sealed, key, info, aad=aad, key_bytes=16) == plaintext
    again = hpke.seal_base(
        plaintext,
        key.public_key(),
        info,
        ephemeral=X25519PrivateKey.from_private_bytes(ephemeral),
        aad=aad,
        key_bytes=16,
    )
    assert again == sealed
    shared = bytes.fromhex("fe0e18c9f024ce43799ae393c7e8fe8fce9d218875e8227b0187c04e7d2ea1fc")
    assert [part.hex() for part in hpke.schedule(shared, info, 16)] == [
        "4531685d41d65f03dc48f6b8302c05b0",
        "56d890e5accaaf011cff4b7d",
    ]


def test_the_oracle_unwraps_what_we_wrap_and_we_what_it_wraps() -> None:
    ours = wrap_key(SECRET, EncryptionKey.of(TCU.public_key()), CONTEXT)
    assert ours.method == METHOD and len(ours.value) == 80
    assert hpke.open_base(ours.value, TCU, CONTEXT) == SECRET
    assert unwrap_key(wrapped(), DecryptionKey.of(TCU), CONTEXT) == SECRET


def test_the_context_is_the_canonical_json_that_the_pages_show() -> None:
    assert CONTEXT == (b'{"ecu":"TCU","image":"tcu/firmware.img","purpose":"uptane image key","vehicle":"democar"}')


def test_a_key_is_wrapped_in_another_way_every_time() -> None:
    key = EncryptionKey.of(TCU.public_key())
    assert wrap_key(SECRET, key, CONTEXT) != wrap_key(SECRET, key, CONTEXT)


@pytest.mark.standard("STD-5.4.3.4-7")
def test_another_ecus_key_does_not_unwrap() -> None:
    with pytest.raises(DecryptionError):
        unwrap_key(wrapped(), DecryptionKey.of(OTHER), CONTEXT)


@pytest.mark.parametrize(
    "names",
    [("other", "TCU", "tcu/firmware.img"), ("democar", "BCU", "tcu/firmware.img"), ("democar", "TCU", "other.img")],
)
def test_a_key_that_was_wrapped_for_another_vehicle_ecu_or_image_does_not_unwrap(names: tuple[str, str, str]) -> None:
    vehicle, ecu, image = names
    context = wrapping_context(VehicleIdentifier(vehicle), EcuIdentifier(ecu), ImagePath(image))
    with pytest.raises(DecryptionError):
        unwrap_key(wrapped(), DecryptionKey.of(TCU), context)


@pytest.mark.parametrize("at", range(0, 80, 9))
def test_a_wrapped_key_that_was_altered_or_cut_does_not_unwrap(at: int) -> None:
    value = bytearray(wrapped().value)
    value[at] ^= 4
    for damaged in (bytes(value), wrapped().value[:at], wrapped().value + b"\x00"):
        with pytest.raises(DecryptionError):
            unwrap_key(WrappedKey(method=METHOD, value=damaged), DecryptionKey.of(TCU), CONTEXT)


@pytest.mark.standard("STD-5.2.3.1.1-8")
def test_an_unknown_way_of_wrapping_is_refused() -> None:
    with pytest.raises(DecryptionError) as refusal:
        unwrap_key(WrappedKey(method="rsa-oaep", value=wrapped().value), DecryptionKey.of(TCU), CONTEXT)
    assert refusal.value.facts["offered"] == "rsa-oaep"


def test_a_symmetric_key_unwraps_nothing_and_nothing_is_wrapped_for_it() -> None:
    with pytest.raises(DecryptionError):
        unwrap_key(wrapped(), DecryptionKey.symmetric(TCU.private_bytes_raw()), CONTEXT)
    with pytest.raises(FormatError):
        wrap_key(SECRET, EncryptionKey.symmetric(SECRET), CONTEXT)


def test_what_is_wrapped_must_be_a_content_key() -> None:
    with pytest.raises(DecryptionError):
        unwrap_key(wrapped(b"short"), DecryptionKey.of(TCU), CONTEXT)
    with pytest.raises(FormatError):
        wrap_key(b"short", EncryptionKey.of(TCU.public_key()), CONTEXT)
