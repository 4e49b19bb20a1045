"""The folders of a plain TUF client: names that are no paths, and files that are whole whatever the disk does."""

import contextlib
import errno
from pathlib import Path

import pytest
from failing_disk import FailingLayer

from uptane.formats.plain_tuf_values import UnsafePath
from uptane.metadata.digests import Digests
from uptane.metadata.errors import BadHashError, EndlessDataError, FormatError, ProvisioningError, StorageError
from uptane.metadata.identifiers import RepositoryName
from uptane.metadata.targets import ImageFile
from uptane.storage.tuf_folders import DownloadedTargets, TrustedMetadata
from uptane.verification.steps import Commit, Keep

NAME = RepositoryName("tuf")
OLD, NEW = b"old" * 1000, b"new" * 1000


def target(path: str, content: bytes) -> ImageFile:
    return ImageFile(path=UnsafePath(path), length=len(content), digests=Digests.of(content))


def test_roles_are_kept_by_name_and_read_by_the_next_process(tmp_path: Path) -> None:
    trusted = TrustedMetadata(tmp_path / "new" / "folder")
    with pytest.raises(ProvisioningError):
        trusted.root()
    trusted.begin_with(OLD)
    trusted.keep(Keep(NAME, 2, NEW, ()))
    trusted.commit(Commit({NAME: {"timestamp": OLD, "../a b": NEW}}))
    trusted.__exit__(None, None, None)
    trusted = TrustedMetadata(tmp_path / "new" / "folder")
    assert trusted.root() == NEW
    assert dict(trusted) == {"root": NEW, "timestamp": OLD, "../a b": NEW}
    assert len(trusted) == 3
    assert trusted.get("snapshot") is None
    names = {path.name for path in (tmp_path / "new" / "folder").iterdir()}
    assert names == {"root.json", "timestamp.json", "..%2Fa%20b.json"}


def test_a_symbolic_link_in_the_place_of_a_role_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "outside").write_bytes(OLD)
    folder = tmp_path / "metadata"
    folder.mkdir()
    (folder / "timestamp.json").symlink_to(tmp_path / "outside")
    trusted = TrustedMetadata(folder)
    with pytest.raises(StorageError):
        trusted.get("timestamp")
    trusted.commit(Commit({NAME: {"timestamp": NEW}}))
    assert (tmp_path / "outside").read_bytes() == OLD
    assert trusted["timestamp"] == NEW


@pytest.mark.parametrize("name", ["a", ".new-0123456789abcdef"])
def test_a_role_that_fails_at_any_operation_is_the_old_or_the_new_one(tmp_path: Path, name: str) -> None:
    for fail_at in range(1, 100):
        folder = tmp_path / str(fail_at)
        with TrustedMetadata(folder) as trusted:
            trusted.commit(Commit({NAME: {name: OLD}}))
        layer = FailingLayer(fail_at, errno.ENOSPC)
        with contextlib.suppress(StorageError), TrustedMetadata(folder, layer=layer) as trusted:
            trusted.commit(Commit({NAME: {name: NEW}}))
        with TrustedMetadata(folder) as trusted:
            assert trusted[name] in (OLD, NEW)
        assert len(list(folder.iterdir())) == 1
        if not layer.has_failed:
            return
    pytest.fail("never came to the end")


def test_a_target_that_fails_at_any_operation_is_the_old_or_the_new_one(tmp_path: Path) -> None:
    for fail_at in range(1, 100):
        folder = tmp_path / str(fail_at)
        with DownloadedTargets(folder) as targets:
            targets.receive(target("x", OLD), [OLD])
        layer = FailingLayer(fail_at, errno.ENOSPC)
        with contextlib.suppress(StorageError), DownloadedTargets(folder, layer=layer) as targets:
            targets.receive(target("x", NEW), [NEW[:5], NEW[5:]])
        with DownloadedTargets(folder) as targets:
            assert targets.holds(target("x", OLD)) != targets.holds(target("x", NEW))
        assert len(list(folder.iterdir())) == 1
        if not layer.has_failed:
            return
    pytest.fail("never came to the end")


def test_another_content_leaves_what_was_there(tmp_path: Path) -> None:
    targets = DownloadedTargets(tmp_path)
    targets.receive(target("x", OLD), [OLD])
    with pytest.raises(BadHashError):
        targets.receive(target("x", NEW), [OLD])
    with pytest.raises(EndlessDataError):
        targets.receive(target("x", NEW), [NEW, b"more"])
    assert targets.holds(target("x", OLD))
    assert not targets.holds(target("x", NEW))
    assert not targets.holds(target("y", NEW))
    assert [path.name for path in tmp_path.iterdir()] == ["x"]


def test_a_disk_that_fails_while_a_target_is_read_says_so(tmp_path: Path) -> None:
    with DownloadedTargets(tmp_path) as targets:
        targets.receive(target("x", OLD), [OLD])
    layer = FailingLayer(10**9)
    targets = DownloadedTargets(tmp_path, layer=layer)
    layer.fail_at = len(layer.operations) + 2
    with pytest.raises(StorageError, match="cannot read"):
        targets.holds(target("x", OLD))


@pytest.mark.parametrize("path", ["", ".", "..", ".new-0123456789abcdef", ".new-x"])
def test_a_target_without_a_name_for_a_file_is_refused(tmp_path: Path, path: str) -> None:
    with pytest.raises(FormatError):
        DownloadedTargets(tmp_path).holds(target(path, OLD))


def test_a_folder_is_for_one_process_at_a_time(tmp_path: Path) -> None:
    with TrustedMetadata(tmp_path), pytest.raises(StorageError, match="in use"):
        DownloadedTargets(tmp_path)
    with DownloadedTargets(tmp_path):
        pass
