"""Decryption keys in files: for their owner only, never replaced, and never mistaken for keys that sign."""

import stat
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization

from uptane.encryption.keys import EncryptionKey, EncryptionKeyType
from uptane.metadata.errors import FormatError, StorageError
from uptane.storage.decryption_key_files import DecryptionKeyFolder
from uptane.storage.key_files import KeyFolder


@pytest.fixture(params=EncryptionKeyType)
def kind(request: pytest.FixtureRequest) -> EncryptionKeyType:
    """Each kind of key in turn."""
    return EncryptionKeyType(request.param)


def test_a_key_is_made_once_and_found_again(tmp_path: Path, kind: EncryptionKeyType) -> None:
    keys = DecryptionKeyFolder(tmp_path / "keys")
    key = keys.load_or_generate("TCU", kind)
    assert key.key_type is kind
    assert DecryptionKeyFolder(tmp_path / "keys").load_or_generate("TCU", EncryptionKeyType.X25519) == key
    assert keys.load_or_generate("BCU", kind) != key


def test_only_the_owner_can_read_it(tmp_path: Path, kind: EncryptionKeyType) -> None:
    DecryptionKeyFolder(tmp_path / "keys").load_or_generate("TCU", kind)
    assert stat.S_IMODE((tmp_path / "keys").stat().st_mode) == 0o700
    assert stat.S_IMODE((tmp_path / "keys" / "TCU").stat().st_mode) == 0o600


def test_the_public_key_lies_beside_it_and_there_is_none_of_a_symmetric_key(tmp_path: Path) -> None:
    keys = DecryptionKeyFolder(tmp_path)
    pair = keys.load_or_generate("TCU")
    keys.load_or_generate("BCU", EncryptionKeyType.SYMMETRIC)
    public = serialization.load_pem_public_key((tmp_path / "TCU.pub").read_bytes())
    assert EncryptionKey.of(public) == pair.encryption_key  # type: ignore[arg-type]
    assert not (tmp_path / "BCU.pub").exists()


@pytest.mark.standard("STD-5.4.1-8")
def test_a_signing_key_is_not_taken_for_a_decryption_key_nor_the_other_way_round(tmp_path: Path) -> None:
    KeyFolder(tmp_path).load_or_generate("signs")
    with pytest.raises(StorageError, match="another use"):
        DecryptionKeyFolder(tmp_path).load_or_generate("signs")
    DecryptionKeyFolder(tmp_path).load_or_generate("decrypts")
    with pytest.raises(StorageError):
        KeyFolder(tmp_path).load_or_generate("decrypts")


@pytest.mark.parametrize("text", [b"", b"zz" * 32 + b"\n", b"00" * 31 + b"\n", b"-----BEGIN PRIVATE KEY-----\n"])
def test_a_damaged_file_is_refused_and_kept(tmp_path: Path, text: bytes) -> None:
    (tmp_path / "TCU").write_bytes(text)
    with pytest.raises(StorageError) as refusal:
        DecryptionKeyFolder(tmp_path).load_or_generate("TCU")
    assert (tmp_path / "TCU").read_bytes() == text
    assert "zzzz" not in f"{refusal.value} {refusal.value.__cause__!r}"


def test_a_pair_that_does_not_belong_together_is_refused(tmp_path: Path) -> None:
    keys = DecryptionKeyFolder(tmp_path)
    keys.load_or_generate("TCU")
    keys.load_or_generate("BCU")
    (tmp_path / "TCU.pub").write_bytes((tmp_path / "BCU.pub").read_bytes())
    with pytest.raises(StorageError, match="not the public key"):
        keys.load_or_generate("TCU")
    (tmp_path / "BCU").unlink()
    with pytest.raises(StorageError, match="missing beside"):
        keys.load_or_generate("BCU")


def test_a_public_keys_name_is_no_name(tmp_path: Path) -> None:
    for name in ("TCU.pub", "../TCU"):
        with pytest.raises(FormatError):
            DecryptionKeyFolder(tmp_path).load_or_generate(name)
