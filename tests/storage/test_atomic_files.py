"""Durable writing: whole files or none, errors that say what to do, and no way out of the folder."""

import errno
import os
import threading
from pathlib import Path

import pytest
from failing_disk import FailingLayer

from uptane.metadata.errors import FormatError, StorageError
from uptane.storage.atomic_files import FileLayer, Folder
from uptane.storage.names import components, is_hashed, single, word


def entries(path: Path) -> list[str]:
    return sorted(entry.name for entry in path.iterdir())


def test_a_file_is_replaced_with_the_bits_it_was_given_even_under_an_open_umask(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        with Folder.made(tmp_path / "a" / "b", 0o700) as folder:
            folder.replace("secret", b"1", 0o600)
            folder.replace("secret", b"2", 0o600)
    finally:
        os.umask(before)
    assert (tmp_path / "a" / "b" / "secret").read_bytes() == b"2"
    assert (tmp_path / "a" / "b" / "secret").stat().st_mode & 0o777 == 0o600
    assert (tmp_path / "a" / "b").stat().st_mode & 0o777 == 0o700
    assert entries(tmp_path / "a" / "b") == ["secret"]


def test_the_bytes_are_synced_before_the_name_and_the_folder_after_it(tmp_path: Path) -> None:
    layer = FailingLayer(fail_at=10**9)
    with Folder.made(tmp_path, 0o700, layer=layer) as folder:
        layer.operations.clear()
        folder.replace("name", b"data", 0o600)
        assert layer.operations == ["open", "write", "fsync", "close", "rename", "fsync"]


@pytest.mark.parametrize("number", [errno.EIO, errno.ENOSPC])
def test_a_replacement_that_fails_at_any_operation_leaves_the_old_file_or_the_new_one(
    tmp_path: Path, number: int
) -> None:
    failures = 0
    for fail_at in range(1, 20):
        root = tmp_path / f"{number}-{fail_at}"
        with Folder.made(root, 0o700) as folder:
            folder.replace("name", b"old", 0o600)
        layer = FailingLayer(fail_at, number)
        try:
            with Folder.made(root, 0o700, layer=layer) as folder:
                folder.replace("name", b"new", 0o600)
        except StorageError as error:
            failures += 1
            assert error.facts["errno"] == number
            assert error.next_step
            assert str(root) in str(error)
        assert (root / "name").read_bytes() in (b"old", b"new")
        assert entries(root) == ["name"]
        if "rename" not in layer.operations[: fail_at - 1]:
            assert (root / "name").read_bytes() == b"old"
        if not layer.has_failed:
            break
    assert failures == 7


def test_a_full_disk_is_told_as_such(tmp_path: Path) -> None:
    full = pytest.raises(StorageError, match=r"No space left on device.*free some space")
    with Folder.made(tmp_path, 0o700, layer=FailingLayer(3, errno.ENOSPC)) as folder, full:
        folder.replace("name", b"data", 0o600)
    assert entries(tmp_path) == []


def test_a_disk_that_dies_for_good_leaves_no_file_under_the_name(tmp_path: Path) -> None:
    with Folder.made(tmp_path, 0o700, layer=FailingLayer(3, for_ever=True)) as folder, pytest.raises(StorageError):
        folder.replace("name", b"data", 0o600)
    [left] = entries(tmp_path)
    with Folder.made(tmp_path, 0o700) as folder:
        assert folder.names() == []
        assert folder.unfinished() == [left]
        folder.remove_unfinished()
    assert entries(tmp_path) == []


def test_a_disk_that_writes_a_byte_at_a_time_gets_every_byte(tmp_path: Path) -> None:
    class Slow(FileLayer):
        def write(self, file: int, data: memoryview) -> int:
            return super().write(file, data[:1])

    with Folder.made(tmp_path, 0o700, layer=Slow()) as folder:
        folder.replace("name", b"every byte", 0o600)
        assert folder.read("name") == b"every byte"


def test_creating_never_replaces(tmp_path: Path) -> None:
    with Folder.made(tmp_path, 0o700) as folder:
        assert folder.create("name", b"first", 0o600)
        assert not folder.create("name", b"second", 0o600)
        assert folder.read("name") == b"first"
    assert entries(tmp_path) == ["name"]


def test_of_many_who_create_the_same_file_at_once_exactly_one_does(tmp_path: Path) -> None:
    made: list[bool] = []
    start = threading.Barrier(8)

    def create(number: int) -> None:
        with Folder.made(tmp_path, 0o700) as folder:
            start.wait()
            made.append(folder.create("name", str(number).encode() * 1000, 0o600))

    threads = [threading.Thread(target=create, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert made.count(True) == 1
    assert len((tmp_path / "name").read_bytes()) == 1000


def test_creating_that_fails_at_any_operation_leaves_no_part_of_a_file(tmp_path: Path) -> None:
    for fail_at in range(1, 20):
        root = tmp_path / str(fail_at)
        root.mkdir()
        layer = FailingLayer(fail_at)
        try:
            with Folder.made(root, 0o700, layer=layer) as folder:
                folder.create("name", b"data", 0o600)
        except StorageError:
            pass
        assert not (root / "name").exists() or (root / "name").read_bytes() == b"data"
        if not layer.has_failed:
            return
    pytest.fail("never came to the end")


def test_a_planted_symbolic_link_is_neither_read_nor_entered(tmp_path: Path) -> None:
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "secret").write_bytes(b"secret")
    root = tmp_path / "root"
    root.mkdir()
    (root / "file").symlink_to("../outside/secret")
    (root / "folder").symlink_to("../outside")
    with Folder.made(root, 0o700) as folder:
        with pytest.raises(StorageError, match="symbolic link"):
            folder.read("file")
        for create in (None, 0o700):
            with pytest.raises(StorageError, match="symbolic link"):
                folder.inside("folder", create=create)
        folder.replace("file", b"mine", 0o600)
    assert (tmp_path / "outside" / "secret").read_bytes() == b"secret"
    assert (root / "file").read_bytes() == b"mine"
    assert not (root / "file").is_symlink()


def test_a_planted_pipe_does_not_hang_the_reader(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with Folder.made(tmp_path, 0o700) as folder, pytest.raises(StorageError, match="neither a file nor a folder"):
        folder.read("pipe")


def test_what_is_not_there_is_none_and_a_file_is_no_folder(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    (tmp_path / "folder").mkdir()
    assert Folder.existing(tmp_path / "missing") is None
    with Folder.made(tmp_path, 0o700) as folder:
        assert folder.read("missing") is None
        assert folder.read("folder") is None
        assert folder.inside("missing") is None
        assert folder.inside("file") is None
        with pytest.raises(StorageError, match="Not a directory"):
            folder.inside("file", create=0o700)
        folder.remove("missing")
    with pytest.raises(StorageError, match="Not a directory"):
        Folder.made(tmp_path / "file", 0o700)


def test_a_closed_folder_says_so(tmp_path: Path) -> None:
    folder = Folder.made(tmp_path, 0o700)
    folder.close()
    folder.close()
    with pytest.raises(StorageError, match="was closed"):
        folder.read("name")


def test_a_file_that_was_finished_takes_no_more_bytes(tmp_path: Path) -> None:
    with Folder.made(tmp_path, 0o700) as folder, folder.new_file(0o600) as new:
        new.write(b"1")
        new.finish()
        with pytest.raises(StorageError, match="finished"):
            new.write(b"2")


@pytest.mark.standard("STD-5.2.7-5")
@pytest.mark.parametrize(
    "name",
    [
        *("", "/etc/passwd", "..", "../x", "a/../../x", "a//b", "a/", ".", "./a", "a\\b", "a\0b", "a\nb"),
        *("e\u0301", "\ud800", "x" * 256, "a/" * 300 + "a", ".new-1", "a/.new-0011223344556677"),
    ],
)
def test_a_name_that_could_leave_its_folder_or_confuse_it_is_refused(name: str) -> None:
    with pytest.raises(FormatError):
        components(name)


def test_names_are_taken_apart_and_may_hold_anything_harmless() -> None:
    assert components("a/b c/ü.%2e%2e") == ("a", "b c", "ü.%2e%2e")
    assert single("3.root.json") == "3.root.json"
    with pytest.raises(FormatError, match="one component"):
        single("a/b")


@pytest.mark.parametrize("name", ["", "A", "a/b", "..", "a.b", "a" * 129, "ü", "a\n"])
def test_a_slot_is_a_plain_word(name: str) -> None:
    assert word("installed") == "installed"
    with pytest.raises(FormatError):
        word(name)


def test_hash_qualified_names_are_recognised() -> None:
    assert is_hashed("0" * 64 + ".img")
    assert is_hashed("a" * 128 + ".")
    assert not is_hashed("0" * 64)
    assert not is_hashed("0" * 63 + ".img")
    assert not is_hashed("A" * 64 + ".img")
