"""Key files of the archived implementation: used as they are, made where there are none, never overwritten."""

import hashlib
import hmac
import json
import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ed25519
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from uptane.metadata.errors import FormatError, StorageError
from uptane.metadata.keys import KeyIdRule, KeyType, PublicKey
from uptane.storage.archived_key_files import ArchivedKeyFolder
from uptane.storage.key_files import KeyFolder

SEED = bytes(range(32))
KEY = ed25519.Ed25519PrivateKey.from_private_bytes(SEED)
PUBLIC = KEY.public_key().public_bytes_raw().hex()
KEY_ID = hashlib.sha256(
    b'{"keyid_hash_algorithms":["sha256","sha512"],"keytype":"ed25519","keyval":{"public":"%b"}}' % PUBLIC.encode()
).hexdigest()
SALT, IV = bytes(range(16)), bytes(range(240, 256))
DESCRIBED = {"keytype": "ed25519", "keyid": KEY_ID, "keyval": {"public": PUBLIC, "private": SEED.hex()}}


def file_of(text: bytes, *, password: bytes = b"pw", iterations: int = 1000) -> bytes:
    """A private key's file, made from its description and not with the code under test."""
    key = hashlib.pbkdf2_hmac("sha256", password, SALT, iterations, 32)
    ciphertext = Cipher(algorithms.AES(key), modes.CTR(IV)).encryptor().update(text)
    tag = hmac.new(key, ciphertext, hashlib.sha256).hexdigest()
    return "@@@@".join((SALT.hex(), str(iterations), tag, IV.hex(), ciphertext.hex())).encode()


def text_of(**changes: object) -> bytes:
    return json.dumps(DESCRIBED | changes).encode()


def public_text(public: str = PUBLIC) -> bytes:
    keyval = {"public": public}
    return json.dumps({"keyval": keyval, "keytype": "ed25519", "keyid_hash_algorithms": ["sha256", "sha512"]}).encode()


@pytest.fixture
def keys(tmp_path: Path) -> Path:
    """A folder with one key as the archived implementation wrote it."""
    (tmp_path / "primary").write_bytes(file_of(text_of(), iterations=100_000))
    (tmp_path / "primary.pub").write_bytes(public_text())
    return tmp_path


def test_a_key_of_the_archived_implementation_is_used_and_left_as_it_is(keys: Path) -> None:
    before = {path.name: path.read_bytes() for path in keys.iterdir()}
    assert len(before["primary"]) == 686
    folder = ArchivedKeyFolder(keys)
    loaded = folder.load_or_generate("primary")
    assert isinstance(loaded, ed25519.Ed25519PrivateKey)
    assert loaded.private_bytes_raw() == SEED
    public = folder.public("primary")
    assert public == PublicKey.of(KEY.public_key(), KeyIdRule.POUF1)
    assert public is not None
    assert public.key_id == KEY_ID
    assert {path.name: path.read_bytes() for path in keys.iterdir()} == before


def test_a_private_key_alone_tells_its_public_key(keys: Path) -> None:
    (keys / "primary.pub").unlink()
    folder = ArchivedKeyFolder(keys)
    public = folder.public("primary")
    assert public is not None
    assert public.key_id == KEY_ID
    assert not (keys / "primary.pub").exists()
    folder.load_or_generate("primary")
    assert json.loads((keys / "primary.pub").read_bytes()) == json.loads(public_text())


def test_a_new_key_is_written_as_the_archived_implementation_writes_it(tmp_path: Path) -> None:
    folder = ArchivedKeyFolder(tmp_path / "keys")
    assert folder.public("director") is None
    made = folder.load_or_generate("director")
    assert isinstance(made, ed25519.Ed25519PrivateKey)
    raw = (tmp_path / "keys" / "director").read_bytes()
    assert len(raw) == 686
    salt, iterations, tag, iv, ciphertext = raw.decode().split("@@@@")
    assert iterations == "100000"
    key = hashlib.pbkdf2_hmac("sha256", b"pw", bytes.fromhex(salt), 100_000, 32)
    assert hmac.new(key, bytes.fromhex(ciphertext), hashlib.sha256).hexdigest() == tag
    decryptor = Cipher(algorithms.AES(key), modes.CTR(bytes.fromhex(iv))).decryptor()
    described = json.loads(decryptor.update(bytes.fromhex(ciphertext)))
    public = folder.public("director")
    assert public is not None
    assert described == {
        "keytype": "ed25519",
        "keyid": public.key_id,
        "keyval": {"public": public.text, "private": made.private_bytes_raw().hex()},
    }
    again = ArchivedKeyFolder(tmp_path / "keys").load_or_generate("director")
    assert isinstance(again, ed25519.Ed25519PrivateKey)
    assert again.private_bytes_raw() == made.private_bytes_raw()
    assert (tmp_path / "keys" / "director").read_bytes() == raw


def test_nobody_but_its_owner_can_read_a_private_key(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        ArchivedKeyFolder(tmp_path / "keys").load_or_generate("director")
    finally:
        os.umask(before)
    modes_ = {path.name: stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "keys").iterdir()}
    assert modes_ == {"director": 0o600, "director.pub": 0o644}


@pytest.mark.parametrize("key_type", [KeyType.ECDSA, KeyType.RSA])
def test_a_key_of_another_type_is_refused(key_type: KeyType, tmp_path: Path) -> None:
    with pytest.raises(FormatError, match=key_type.value):
        ArchivedKeyFolder(tmp_path).load_or_generate("director", key_type)
    assert not list(tmp_path.iterdir())


def flipped(raw: bytes, part: int) -> bytes:
    """The file with another first digit in one of its five parts."""
    parts = raw.split(b"@@@@")
    parts[part] = (b"1" if parts[part][:1] != b"1" else b"2") + parts[part][1:]
    return b"@@@@".join(parts)


DAMAGE: dict[str, Callable[[], bytes]] = {
    "another salt": lambda: flipped(file_of(text_of()), 0),
    "other rounds": lambda: flipped(file_of(text_of()), 1),
    "another HMAC": lambda: flipped(file_of(text_of()), 2),
    "another ciphertext": lambda: flipped(file_of(text_of()), 4),
    # The archived HMAC does not cover the initial counter: the text in it comes out wrong.
    "another initial counter": lambda: flipped(file_of(text_of()), 3),
    "another password": lambda: file_of(text_of(), password=b"pW"),
    "a million rounds and one": lambda: b"@@@@".join((b"00" * 16, b"1000001", b"00" * 32, b"00" * 16, b"00")),
    "rounds without end": lambda: b"@@@@".join((b"00" * 16, b"9" * 100, b"00" * 32, b"00" * 16, b"00")),
    "no rounds": lambda: b"@@@@".join((b"00" * 16, b"0", b"00" * 32, b"00" * 16, b"00")),
    "a part too few": lambda: file_of(text_of()).rpartition(b"@@@@")[0],
    "a line end": lambda: file_of(text_of()) + b"\n",
    "capitals": lambda: file_of(text_of()).upper(),
    "nothing": lambda: b"",
    "bytes": lambda: bytes(range(256)),
    "too many bytes": lambda: b"0" * 5000,
    "no JSON": lambda: file_of(b"seed"),
    "no object": lambda: file_of(b"[]"),
    "a key of RSA": lambda: file_of(text_of(keytype="rsa")),
    "another identifier": lambda: file_of(text_of(keyid="0" * 64)),
    "no private key": lambda: file_of(text_of(keyval={"public": PUBLIC})),
    "a short seed": lambda: file_of(text_of(keyval={"public": PUBLIC, "private": "00"})),
    "another public key": lambda: file_of(text_of(keyval={"public": "00" * 32, "private": SEED.hex()})),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_private_key_is_refused_with_what_to_do_and_left_as_it_is(damage: str, keys: Path) -> None:
    raw = DAMAGE[damage]()
    (keys / "primary").write_bytes(raw)
    with pytest.raises(StorageError) as refused:
        ArchivedKeyFolder(keys).load_or_generate("primary")
    assert refused.value.facts["path"] == str(keys / "primary")
    assert "backup" in refused.value.next_step
    assert SEED.hex() not in str(refused.value)
    assert (keys / "primary").read_bytes() == raw


@pytest.mark.parametrize(
    "raw", [b"", b"{}", public_text("00" * 31), public_text().replace(b"ed25519", b"rsa"), b"x" * 5000]
)
def test_a_damaged_public_key_is_refused_with_what_to_do(raw: bytes, keys: Path) -> None:
    (keys / "primary.pub").write_bytes(raw)
    folder = ArchivedKeyFolder(keys)
    for use in (folder.public, folder.load_or_generate):
        with pytest.raises(StorageError, match="backup"):
            use("primary")


def test_a_public_key_of_another_private_one_is_refused(keys: Path) -> None:
    other = ed25519.Ed25519PrivateKey.from_private_bytes(bytes(32)).public_key().public_bytes_raw().hex()
    (keys / "primary.pub").write_bytes(public_text(other))
    with pytest.raises(StorageError, match="is not the public key of primary"):
        ArchivedKeyFolder(keys).load_or_generate("primary")


def test_a_public_key_without_its_private_one_is_not_given_another(keys: Path) -> None:
    (keys / "primary").unlink()
    with pytest.raises(StorageError, match="missing beside its public key"):
        ArchivedKeyFolder(keys).load_or_generate("primary")


def test_keys_of_one_format_are_refused_by_the_other_with_the_format_that_made_them(tmp_path: Path) -> None:
    KeyFolder(tmp_path / "ours").load_or_generate("a")
    ArchivedKeyFolder(tmp_path / "theirs").load_or_generate("a")
    for folder, said in (
        (ArchivedKeyFolder(tmp_path / "ours"), "the format der or json"),
        (KeyFolder(tmp_path / "theirs"), "the format pouf1 or pouf1-json"),
    ):
        for use in (folder.public, folder.load_or_generate):
            with pytest.raises(StorageError) as refused:
                use("a")
            assert said in refused.value.next_step
            assert "another folder" in refused.value.next_step


def test_golden_public_keys_are_read(shared: Path) -> None:
    folder = ArchivedKeyFolder(shared / "interop" / "pouf1" / "keys")
    names = [path.stem for path in (shared / "interop" / "pouf1" / "keys").glob("*.pub")]
    assert names
    for name in names:
        public = folder.public(name)
        assert public is not None
        assert public.id_rule is KeyIdRule.POUF1
