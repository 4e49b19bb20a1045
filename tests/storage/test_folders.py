"""Published folders: a publication is the old set or the new one, hashes never change, nobody gets out."""

import asyncio
import contextlib
import errno
import os
import random
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from failing_disk import FailingLayer

from uptane.metadata.digests import Digests
from uptane.metadata.errors import FormatError, StorageError
from uptane.metadata.identifiers import ImagePath
from uptane.storage.folders import JOURNAL, ImageFolder, PublishedFolder

PLAIN = ("root.json", "targets.json", "snapshot.json", "timestamp.json")


def publish(store: PublishedFolder, version: int) -> None:
    """One version: immutable files, then the plain names, each telling its version."""
    data = str(version).encode() * 2000
    asyncio.run(
        store.publish([(f"{version}.{name}", data) for name in PLAIN[1:3]], dict.fromkeys(PLAIN, data)),
    )


def published_version(root: Path) -> int:
    """The one version that a fresh process finds, complete, with nothing of a later one."""
    store = PublishedFolder(root)
    data = {asyncio.run(store.read(name)) for name in PLAIN}
    assert len(data) == 1
    [content] = data
    if content is None:
        assert not root.exists() or not list(root.glob("*.json"))
        return 0
    version = int(content[:1])
    assert content == str(version).encode() * 2000
    names = {f"{number}.{name}" for number in range(1, version + 1) for name in PLAIN[1:3]}
    assert {path.name for path in root.glob("[0-9].*")} == names
    return version


def entries(path: Path) -> list[str]:
    return sorted(str(entry.relative_to(path)) for entry in path.rglob("*") if not entry.is_dir())


@pytest.mark.standard("STD-5.3.2-4")
@pytest.mark.parametrize("number", [errno.EIO, errno.ENOSPC])
@pytest.mark.parametrize("for_ever", [False, True])
def test_a_publication_that_fails_at_any_operation_is_the_old_set_or_the_new_one(
    tmp_path: Path, number: int, for_ever: bool
) -> None:
    for fail_at in range(1, 200):
        root = tmp_path / str(fail_at) / "metadata"
        publish(PublishedFolder(root), 1)
        layer = FailingLayer(fail_at, number, for_ever=for_ever)
        with contextlib.suppress(StorageError):
            publish(PublishedFolder(root, layer=layer), 2)
        found = published_version(root)
        assert found in (1, 2)
        if "rename" not in layer.operations[: fail_at - 1]:
            assert found == 1
        publish(PublishedFolder(root), found + 1)
        assert published_version(root) == found + 1
        assert not [name for name in entries(root) if ".new-" in name]
        if not layer.has_failed:
            assert found == 2
            return
    pytest.fail("never came to the end")


def test_the_same_folder_goes_on_after_a_failure(tmp_path: Path) -> None:
    for fail_at in range(1, 200):
        root = tmp_path / str(fail_at)
        layer = FailingLayer(fail_at, errno.ENOSPC)
        store = PublishedFolder(root, layer=layer)
        with contextlib.suppress(StorageError):
            publish(store, 1)
        failed = layer.has_failed
        layer.fail_at = 10**9
        publish(store, 1)
        assert published_version(root) == 1
        if not failed:
            return
    pytest.fail("never came to the end")


KILLED_WRITER = """
import sys, pathlib
sys.path.insert(0, sys.argv[2])
from test_folders import PublishedFolder, publish, published_version
root = pathlib.Path(sys.argv[1])
version = published_version(root)
store = PublishedFolder(root)
print("open", flush=True)
while version < 9:
    version += 1
    publish(store, version)
    print(version, flush=True)
"""


@pytest.mark.standard("STD-5.3.2-4")
@pytest.mark.slow
def test_a_repository_killed_at_random_moments_always_shows_one_whole_publication(tmp_path: Path) -> None:
    chance = random.Random(7)
    here = Path(__file__).parent
    environment = {**os.environ, "PYTHONPATH": str(here.parent / "support")}
    for attempt in range(10):
        root = tmp_path / str(attempt)
        writer = subprocess.Popen(
            [sys.executable, "-c", KILLED_WRITER, str(root), str(here)],
            stdout=subprocess.PIPE,
            text=True,
            env=environment,
        )
        assert writer.stdout is not None
        with writer, writer.stdout as progress:
            assert progress.readline() == "open\n"
            acknowledged = 0
            for _ in range(chance.randrange(0, 6)):
                acknowledged = int(progress.readline())
            writer.kill()
            acknowledged = max([acknowledged, *(int(line) for line in progress if line.endswith("\n"))])
        found = published_version(root)
        assert found in (acknowledged, acknowledged + 1)
        publish(PublishedFolder(root), found + 1)
        assert not [name for name in entries(root) if ".new-" in name]


@pytest.mark.standard("STD-5.3.1-6")
def test_an_immutable_file_with_other_bytes_refuses_the_whole_publication(tmp_path: Path) -> None:
    store = PublishedFolder(tmp_path)
    publish(store, 1)
    before = entries(tmp_path)
    with pytest.raises(StorageError, match=r"1\.targets\.json exists with other bytes") as refused:
        asyncio.run(
            store.publish([("2.snapshot.json", b"new"), ("1.targets.json", b"other")], {"timestamp.json": b"new"})
        )
    assert refused.value.facts["path"] == str(tmp_path / "1.targets.json")
    assert entries(tmp_path) == before
    assert published_version(tmp_path) == 1


def test_the_same_bytes_again_cost_nothing(tmp_path: Path) -> None:
    layer = FailingLayer(10**9)
    store = PublishedFolder(tmp_path, layer=layer)
    publish(store, 1)
    layer.operations.clear()
    publish(store, 1)
    assert {"write", "fsync", "rename"}.isdisjoint(layer.operations)


def test_a_damaged_journal_is_told_and_harms_nothing(tmp_path: Path) -> None:
    publish(PublishedFolder(tmp_path), 1)
    for journal in (b"", b"{}", b'{"files":[["x","y"]],"mutable":[]}', b'{"files":[[".new-0123456789abcdef","../y"]]}'):
        (tmp_path / JOURNAL).write_bytes(journal)
        with pytest.raises(StorageError, match=JOURNAL):
            asyncio.run(PublishedFolder(tmp_path).read("root.json"))
    (tmp_path / JOURNAL).unlink()
    assert published_version(tmp_path) == 1


def test_several_writers_take_turns(tmp_path: Path) -> None:
    errors: list[StorageError] = []

    def write(number: int) -> None:
        try:
            store = PublishedFolder(tmp_path)
            for count in range(5):
                data = f"{number}.{count}".encode()
                asyncio.run(store.publish([(f"{number}-{count}.json", data)], dict.fromkeys(PLAIN, data)))
        except StorageError as error:
            errors.append(error)

    threads = [threading.Thread(target=write, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors
    assert len({(tmp_path / name).read_bytes() for name in PLAIN}) == 1
    assert len(entries(tmp_path)) == 4 + 20


def test_a_reader_never_sees_a_part_of_a_file_that_is_being_replaced(tmp_path: Path) -> None:
    store, done, wrong = PublishedFolder(tmp_path), threading.Event(), set[bytes]()
    publish(store, 1)

    def watch() -> None:
        while not done.is_set():
            path = store.open_for_reading("timestamp.json")
            assert path is not None
            content = path.read_bytes()
            if content != content[:1] * 2000:
                wrong.add(content)

    watcher = threading.Thread(target=watch)
    watcher.start()
    for number in range(1, 60):
        publish(PublishedFolder(tmp_path), 1 + number % 9)
    done.set()
    watcher.join()
    assert not wrong


BAD = ["../secret", "/etc/passwd", "a/../../secret", "..", "", "a\0b", "a\\b", "a//b", "x" * 300, ".new-publication"]


@pytest.mark.standard("STD-5.2.7-5")
@pytest.mark.parametrize("name", BAD)
def test_a_name_that_leaves_the_folder_is_refused_everywhere(tmp_path: Path, name: str) -> None:
    (tmp_path / "secret").write_bytes(b"secret")
    root = tmp_path / "root"
    store, images = PublishedFolder(root), ImageFolder(root)
    publish(store, 1)
    before = entries(tmp_path)
    for work in (
        store.read(name),
        store.publish([(name, b"evil")], {}),
        store.publish([], {name: b"evil"}),
        images.read(name),
        images.add(str.__new__(ImagePath, name), b"evil"),
    ):
        with pytest.raises(FormatError):
            asyncio.run(work)
    assert store.open_for_reading(name) is None
    assert images.open_for_reading(name) is None
    assert entries(tmp_path) == before


def test_an_encoded_name_is_only_ever_a_name(tmp_path: Path) -> None:
    (tmp_path / "secret").write_bytes(b"secret")
    images = ImageFolder(tmp_path / "root")
    asyncio.run(images.add(ImagePath("a"), b"data"))
    assert images.open_for_reading("%2e%2e/secret") is None
    assert images.open_for_reading("..%2fsecret") is None


def test_symbolic_links_planted_in_the_folder_lead_nowhere(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "secret").write_bytes(b"secret")
    root = tmp_path / "root"
    images, store = ImageFolder(root), PublishedFolder(root)
    asyncio.run(images.add(ImagePath("folder/image"), b"data"))
    (root / "link").symlink_to(outside)
    (root / "folder" / "link").symlink_to(outside)
    (root / "file").symlink_to(outside / "secret")
    os.mkfifo(root / "pipe")
    for name in ("link/secret", "folder/link/secret", "file", "pipe"):
        with pytest.raises(StorageError):
            asyncio.run(images.read(name))
        assert images.open_for_reading(name) is None
    for path in ("link/new", "folder/link/new"):
        with pytest.raises(StorageError, match="symbolic link"):
            asyncio.run(images.add(ImagePath(path), b"evil"))
    with pytest.raises(StorageError, match="symbolic link"):
        asyncio.run(store.publish([], {"file": b"evil"}))
    asyncio.run(images.add(ImagePath("file"), b"mine"))
    assert entries(outside) == ["secret"]
    assert (outside / "secret").read_bytes() == b"secret"
    assert (root / "file").read_bytes() == b"mine"


def test_the_door_is_shown_regular_files_only(tmp_path: Path) -> None:
    images = ImageFolder(tmp_path / "targets")
    assert images.open_for_reading("a/b") is None
    asyncio.run(images.add(ImagePath("a/b"), b"data"))
    path = images.open_for_reading("a/b")
    assert path == tmp_path / "targets" / "a" / "b"
    assert images.open_for_reading("a") is None
    assert images.open_for_reading("a/c") is None
    assert images.open_for_reading("a/b/c") is None


@pytest.mark.standard("STD-5.3.1-6")
def test_an_image_that_fails_at_any_operation_is_stored_whole_or_not_at_all(tmp_path: Path) -> None:
    old, new = b"old" * 1000, b"new" * 1000
    path = ImagePath("folder/firmware.img")
    for fail_at in range(1, 100):
        root = tmp_path / str(fail_at)
        asyncio.run(ImageFolder(root).add(path, old))
        layer = FailingLayer(fail_at, errno.ENOSPC)
        with contextlib.suppress(StorageError):
            asyncio.run(ImageFolder(root, layer=layer).add(path, new))
        images = ImageFolder(root)
        assert asyncio.run(images.read(path)) in (old, new)
        for name in entries(root):
            if "img" in name:
                assert (root / name).read_bytes() in (old, new)
        asyncio.run(images.add(path, new))
        assert asyncio.run(images.read(path)) == new
        assert len(entries(root)) == 5
        if not layer.has_failed:
            return
    pytest.fail("never came to the end")


def test_an_intruders_bytes_under_a_hash_are_not_taken_for_the_image(tmp_path: Path) -> None:
    images = ImageFolder(tmp_path)
    file = asyncio.run(images.add(ImagePath("firmware.img"), b"good"))
    hashed = f"{file.digests['sha256'].hex()}.firmware.img"
    (tmp_path / hashed).write_bytes(b"evil")
    with pytest.raises(StorageError, match="exists with other bytes"):
        asyncio.run(images.add(ImagePath("firmware.img"), b"good"))
    assert asyncio.run(images.read("firmware.img")) == b"good"


def test_a_plain_name_cannot_replace_the_hash_qualified_file_of_another_image(tmp_path: Path) -> None:
    images = ImageFolder(tmp_path)
    file = asyncio.run(images.add(ImagePath("firmware.img"), b"good"))
    hashed = ImagePath(f"{file.digests['sha256'].hex()}.firmware.img")
    with pytest.raises(FormatError, match="must not begin with a hash"):
        asyncio.run(images.add(hashed, b"evil"))
    assert asyncio.run(images.read(hashed)) == b"good"
    assert file.digests == Digests.of(b"good", ("sha256", "sha512"))
