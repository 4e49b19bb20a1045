"""Key files: made once, never overwritten, and readable by nobody else for not even a moment."""

import contextlib
import os
import threading
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa, x25519
from failing_disk import FailingLayer

from uptane.metadata.errors import FormatError, StorageError
from uptane.metadata.keys import KeyType, PublicKey
from uptane.storage.atomic_files import FileLayer
from uptane.storage.key_files import KeyFolder, PrivateKey, generate

PEM, PKCS8, PLAIN = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()


def raw(key: PrivateKey) -> bytes:
    return key.private_bytes(PEM, PKCS8, PLAIN)


@pytest.mark.parametrize("key_type", KeyType)
def test_a_key_of_each_type_is_made_once_and_loaded_again(tmp_path: Path, key_type: KeyType) -> None:
    keys = KeyFolder(tmp_path / "keys")
    assert keys.public("director") is None
    made = keys.load_or_generate("director", key_type)
    again = KeyFolder(tmp_path / "keys").load_or_generate("director", key_type)
    assert raw(again) == raw(made)
    public = keys.public("director")
    assert public == PublicKey.of(made.public_key())
    assert public is not None
    assert public.key_type is key_type
    text = (tmp_path / "keys" / "director").read_bytes()
    assert text.startswith(b"-----BEGIN PRIVATE KEY-----")
    assert (tmp_path / "keys" / "director.pub").read_bytes().startswith(b"-----BEGIN PUBLIC KEY-----")
    assert sorted(os.listdir(tmp_path / "keys")) == ["director", "director.pub"]


def test_an_existing_key_is_used_whatever_type_a_new_one_would_have(tmp_path: Path) -> None:
    keys = KeyFolder(tmp_path)
    made = keys.load_or_generate("a", KeyType.ECDSA)
    assert raw(keys.load_or_generate("a")) == raw(made)


def test_a_private_key_is_never_readable_by_others_under_an_open_umask(tmp_path: Path) -> None:
    seen: list[tuple[str, int]] = []

    class Watching(FileLayer):
        def write(self, file: int, data: memoryview) -> int:
            if b"PRIVATE" in bytes(data):
                seen.append(("before", os.fstat(file).st_mode & 0o777))
            return super().write(file, data)

        def link(self, old: str, new: str, *, folder: int) -> None:
            super().link(old, new, folder=folder)
            if not new.endswith(".pub"):
                seen.append(("named", os.stat(new, dir_fd=folder).st_mode & 0o777))

    before = os.umask(0)
    try:
        KeyFolder(tmp_path / "keys", layer=Watching()).load_or_generate("a")
    finally:
        os.umask(before)
    assert seen == [("before", 0o600), ("named", 0o600)]
    assert (tmp_path / "keys" / "a").stat().st_mode & 0o777 == 0o600
    assert (tmp_path / "keys" / "a.pub").stat().st_mode & 0o777 == 0o644
    assert (tmp_path / "keys").stat().st_mode & 0o777 == 0o700


def test_making_a_key_that_fails_at_any_operation_leaves_a_whole_key_or_none(tmp_path: Path) -> None:
    for fail_at in range(1, 100):
        root = tmp_path / str(fail_at)
        layer = FailingLayer(fail_at)
        made = None
        with contextlib.suppress(StorageError):
            made = KeyFolder(root, layer=layer).load_or_generate("a")
        found = (root / "a").read_bytes() if (root / "a").exists() else None
        key = KeyFolder(root).load_or_generate("a")
        assert found in (None, raw(key))
        assert made is None or raw(made) == raw(key)
        assert KeyFolder(root).public("a") == PublicKey.of(key.public_key())
        assert sorted(os.listdir(root)) == ["a", "a.pub"]
        if not layer.has_failed:
            return
    pytest.fail("never came to the end")


def test_of_many_who_make_the_same_key_at_once_all_get_the_same_one(tmp_path: Path) -> None:
    start, made = threading.Barrier(6), set[bytes]()

    def work() -> None:
        start.wait()
        made.add(raw(KeyFolder(tmp_path / "keys").load_or_generate("a")))

    threads = [threading.Thread(target=work) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(made) == 1


def test_a_lost_public_key_is_made_again_from_its_private_key(tmp_path: Path) -> None:
    keys = KeyFolder(tmp_path)
    key = keys.load_or_generate("a")
    (tmp_path / "a.pub").unlink()
    assert keys.public("a") == PublicKey.of(key.public_key())
    keys.load_or_generate("a")
    assert (tmp_path / "a.pub").exists()


def test_a_lost_private_key_is_not_replaced_in_silence(tmp_path: Path) -> None:
    keys = KeyFolder(tmp_path)
    keys.load_or_generate("a")
    (tmp_path / "a").unlink()
    with pytest.raises(StorageError, match="missing beside its public key"):
        keys.load_or_generate("a")


def damaged_private_keys() -> dict[str, bytes]:
    good = raw(ed25519.Ed25519PrivateKey.generate())
    return {
        "empty": b"",
        "garbage": b"\0" * 100,
        "cut": good[:-40],
        "encrypted": ed25519.Ed25519PrivateKey.generate().private_bytes(
            PEM, PKCS8, serialization.BestAvailableEncryption(b"pw")
        ),
        "another curve": raw(ec.generate_private_key(ec.SECP384R1())),
        "too short": raw(rsa.generate_private_key(public_exponent=65537, key_size=1024)),  # noqa: S505 - short on purpose
        "not for signing": x25519.X25519PrivateKey.generate().private_bytes(PEM, PKCS8, PLAIN),
    }


def test_a_damaged_or_unsuitable_private_key_is_told_and_left_as_it_is(tmp_path: Path) -> None:
    for name, pem in damaged_private_keys().items():
        path = tmp_path / name
        path.write_bytes(pem)
        for work in (KeyFolder(tmp_path).load_or_generate, KeyFolder(tmp_path).public):
            with pytest.raises(StorageError, match=name) as refused:
                work(name)
            assert refused.value.next_step
        assert path.read_bytes() == pem


def test_a_damaged_or_foreign_public_key_is_told(tmp_path: Path) -> None:
    keys = KeyFolder(tmp_path)
    keys.load_or_generate("a")
    keys.load_or_generate("b")
    (tmp_path / "a.pub").write_bytes((tmp_path / "b.pub").read_bytes())
    with pytest.raises(StorageError, match="not the public key of a"):
        keys.load_or_generate("a")
    unsuitable = x25519.X25519PrivateKey.generate().public_key()
    spki = unsuitable.public_bytes(PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    for pem in (b"", b"garbage", (tmp_path / "a").read_bytes(), spki):
        (tmp_path / "a.pub").write_bytes(pem)
        with pytest.raises(StorageError, match=r"a\.pub"):
            keys.public("a")
        with pytest.raises(StorageError, match=r"a\.pub"):
            keys.load_or_generate("a")


@pytest.mark.parametrize("name", ["", "..", "../a", "/a", "a/b", "a\\b", "a\0", "a.pub", ".new-a"])
def test_a_key_by_a_bad_name_is_refused(tmp_path: Path, name: str) -> None:
    keys = KeyFolder(tmp_path / "keys")
    with pytest.raises(FormatError):
        keys.load_or_generate(name)
    with pytest.raises(FormatError):
        keys.public(name)
    assert not (tmp_path / "keys").exists()


def test_a_planted_symbolic_link_is_not_taken_for_a_key(tmp_path: Path) -> None:
    (tmp_path / "keys").mkdir()
    (tmp_path / "keys" / "a").symlink_to(tmp_path / "outside")
    with pytest.raises(StorageError, match="symbolic link"):
        KeyFolder(tmp_path / "keys").load_or_generate("a")
    assert not (tmp_path / "outside").exists()


def test_making_keys_of_each_type_needs_no_folder() -> None:
    assert {PublicKey.of(generate(kind).public_key()).key_type for kind in KeyType} == set(KeyType)


def test_a_private_key_that_a_crash_left_unfinished_is_removed_by_the_next_use(tmp_path: Path) -> None:
    (tmp_path / ".new-0123456789abcdef").write_bytes(b"a private key")
    KeyFolder(tmp_path).load_or_generate("a")
    assert sorted(os.listdir(tmp_path)) == ["a", "a.pub"]
