"""A key has one identifier, one scheme and one encoding; a signature says nothing about them."""

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa
from world import new_signer

from uptane.metadata.errors import FormatError
from uptane.metadata.identifiers import KeyId
from uptane.metadata.keys import MAX_KEY_BYTES, KeyType, PublicKey, Scheme

KINDS = list(KeyType)


def pem(key: object) -> str:
    spki = serialization.PublicFormat.SubjectPublicKeyInfo
    return key.public_bytes(serialization.Encoding.PEM, spki).decode()


@pytest.mark.standard("STD-3.2.1-1")
@pytest.mark.parametrize("kind", KINDS)
def test_a_key_verifies_its_own_signature_and_no_other(kind: KeyType) -> None:
    signer, other = new_signer(kind), new_signer(kind)
    signature = signer.sign(b"message")
    assert signer.key.verify(signature, b"message")
    assert not signer.key.verify(signature, b"another message")
    assert not signer.key.verify(other.sign(b"message"), b"message")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "signature", [b"", b"\0", b"\0" * 64, b"\xff" * 256, b"0" * 5000, b"\x30\x06\x02\x01\0\x02\x01\0"]
)
def test_bytes_that_are_no_signature_do_not_verify_and_do_not_raise(kind: KeyType, signature: bytes) -> None:
    assert not new_signer(kind).key.verify(signature, b"message")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("other", KINDS)
def test_a_signature_of_another_scheme_never_counts(kind: KeyType, other: KeyType) -> None:
    if kind is not other:
        assert not new_signer(kind).key.verify(new_signer(other).sign(b"message"), b"message")


@pytest.mark.parametrize("kind", KINDS)
def test_a_key_survives_its_text(kind: KeyType) -> None:
    key = new_signer(kind).key
    assert PublicKey.from_text(key.key_type, key.scheme, key.text, key.key_id) == key
    key.require_id(key.key_id)


@pytest.mark.standard("STD-5.2.1-2")
def test_an_identifier_that_is_not_that_of_its_key_is_refused() -> None:
    key, other = new_signer().key, new_signer().key
    with pytest.raises(FormatError) as refusal:
        PublicKey.from_text(key.key_type, key.scheme, key.text, other.key_id)
    assert refusal.value.facts == {"field": "key id", "expected": key.key_id, "offered": other.key_id}
    with pytest.raises(FormatError):
        key.require_id(KeyId("0" * 64))


@pytest.mark.standard("STD-5.2.1-2")
def test_the_scheme_is_part_of_the_key() -> None:
    key = new_signer(KeyType.RSA).key
    with pytest.raises(FormatError):
        PublicKey.from_text("rsa", Scheme.ED25519, key.text)
    with pytest.raises(FormatError):
        PublicKey(key_type=KeyType.RSA, scheme=Scheme.ECDSA_P256, material=key.material)


P256 = ec.generate_private_key(ec.SECP256R1()).public_key()


@pytest.mark.standard("STD-5.2.3.2-5")
@pytest.mark.parametrize(
    ("key_type", "scheme", "text"),
    [
        ("ed25519", "ed25519", ""),
        ("ed25519", "ed25519", "00" * 31),
        ("ed25519", "ed25519", "zz" * 32),
        ("ed25519", "ed25519", "00 " * 21 + "0"),
        ("ed25519", "ed25519", pem(ed25519.Ed25519PrivateKey.generate().public_key())),
        ("ecdsa", "ecdsa-sha2-nistp256", ""),
        ("ecdsa", "ecdsa-sha2-nistp256", "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n"),
        ("ecdsa", "ecdsa-sha2-nistp256", pem(ec.generate_private_key(ec.SECP384R1()).public_key())),
        ("ecdsa", "ecdsa-sha2-nistp256", pem(ed25519.Ed25519PrivateKey.generate().public_key())),
        ("ecdsa", "ecdsa-sha2-nistp256", pem(ed448.Ed448PrivateKey.generate().public_key())),
        ("rsa", "rsassa-pss-sha256", pem(P256)),
        ("rsa", "rsassa-pss-sha256", pem(rsa.generate_private_key(65537, 1024).public_key())),  # noqa: S505
        ("rsa", "rsassa-pkcs1v15-sha256", new_signer(KeyType.RSA).key.text),
        ("dsa", "dsa", ""),
        ("rsa", "rsassa-pss-sha256", "x" * (MAX_KEY_BYTES + 1)),
        ("rsa", "rsassa-pss-sha256", "\u00e9"),
    ],
)
def test_what_is_no_key_of_its_type_is_refused(key_type: str, scheme: str, text: str) -> None:
    with pytest.raises(FormatError):
        PublicKey.from_text(key_type, scheme, text)


@pytest.mark.parametrize("key_type", KINDS)
def test_material_that_is_no_key_is_refused(key_type: KeyType) -> None:
    scheme = new_signer(key_type).key.scheme
    for material in (b"", b"\0" * 31, b"\x30\0", b"\0" * (MAX_KEY_BYTES + 1)):
        with pytest.raises(FormatError):
            PublicKey(key_type=key_type, scheme=scheme, material=material)


@pytest.mark.standard("STD-5.2.2-2")
def test_one_key_in_another_encoding_cannot_pass_for_a_second_key() -> None:
    """A compressed point is the same key as the uncompressed one; counted twice it would meet a threshold of two."""
    compressed = P256.public_bytes(serialization.Encoding.X962, serialization.PublicFormat.CompressedPoint)
    algorithm = bytes.fromhex("301306072a8648ce3d020106082a8648ce3d030107")
    material = b"\x30\x39" + algorithm + b"\x03\x22\0" + compressed
    assert serialization.load_der_public_key(material) == P256
    with pytest.raises(FormatError):
        PublicKey(key_type=KeyType.ECDSA, scheme=Scheme.ECDSA_P256, material=material)
    usual = PublicKey.of(P256)
    assert PublicKey.from_text("ecdsa", "ecdsa-sha2-nistp256", pem(P256)) == usual


@pytest.mark.standard("STD-5.3.2.2-7")
@pytest.mark.parametrize("kind", [KeyType.ECDSA, KeyType.RSA])
def test_a_private_key_is_not_taken_for_a_public_one(kind: KeyType) -> None:
    """An inventory holds `PublicKey` only; whoever hands in the private half by mistake is told so."""
    private = {
        KeyType.ECDSA: lambda: ec.generate_private_key(ec.SECP256R1()),
        KeyType.RSA: lambda: rsa.generate_private_key(65537, 2048),
    }[kind]()
    for encoding, form in (
        (serialization.Encoding.DER, serialization.PrivateFormat.PKCS8),
        (serialization.Encoding.DER, serialization.PrivateFormat.TraditionalOpenSSL),
        (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8),
    ):
        data = private.private_bytes(encoding, form, serialization.NoEncryption())
        with pytest.raises(FormatError):
            PublicKey(key_type=kind, scheme=new_signer(kind).key.scheme, material=data)
