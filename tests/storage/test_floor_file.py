"""The newest published set, kept in a file: it is whole at every moment, and never falls."""

import asyncio
import errno
import itertools
import json
import logging
import os
import random
from pathlib import Path

import pytest
from failing_disk import FailingLayer

from uptane.image_repository.seen import Seen
from uptane.metadata.errors import FormatError, StorageError
from uptane.storage import one_file
from uptane.storage.floor_file import FloorFile

NAME = "image-repository-newest.json"


def seen(version: int) -> Seen:
    return Seen(versions={"root": 1, "timestamp": version}, timestamp=bytes([version]) * 32)


def test_what_one_process_has_written_another_one_reads(tmp_path: Path) -> None:
    file = tmp_path / "keys" / NAME
    assert asyncio.run(FloorFile(file).read()) is None
    asyncio.run(FloorFile(file).raise_to(seen(3)))
    assert asyncio.run(FloorFile(file).read()) == seen(3)
    assert json.loads(file.read_bytes()) == {"versions": {"root": 1, "timestamp": 3}, "timestamp_sha256": "03" * 32}
    assert (file.parent.stat().st_mode & 0o777, file.stat().st_mode & 0o777) == (0o700, 0o644)


def test_whatever_an_umask_says_the_servers_can_read_what_a_command_of_another_user_has_written(tmp_path: Path) -> None:
    before = os.umask(0o077)
    try:
        asyncio.run(FloorFile(tmp_path / NAME).raise_to(seen(3)))
    finally:
        os.umask(before)
    assert (tmp_path / NAME).stat().st_mode & 0o777 == 0o644


def test_whoever_comes_late_does_not_lower_it(tmp_path: Path) -> None:
    file = tmp_path / NAME
    for version in (5, 4, 5):
        asyncio.run(FloorFile(file).raise_to(seen(version)))
        assert asyncio.run(FloorFile(file).read()) == seen(5)


def test_whoever_reads_while_the_first_publication_is_written_down_does_not_take_it_for_damaged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file, read_file = tmp_path / NAME, one_file.read_file

    def just_before(path: Path) -> bytes | None:
        found = read_file(path)
        asyncio.run(FloorFile(file).raise_to(seen(1)))
        return found

    monkeypatch.setattr(one_file, "read_file", just_before)
    assert asyncio.run(FloorFile(file).read()) is None
    assert asyncio.run(FloorFile(file).read()) == seen(1)


def test_of_many_who_write_at_the_same_time_the_newest_stays_and_readers_see_it_rise(tmp_path: Path) -> None:
    file, versions, found = tmp_path / NAME, list(range(1, 41)), list[int]()
    random.Random(7).shuffle(versions)

    async def story() -> None:
        writers = asyncio.gather(*(FloorFile(file).raise_to(seen(version)) for version in versions))
        while not writers.done():
            kept = await FloorFile(file).read()
            found.append(0 if kept is None else kept.newest)
        await writers
        assert await FloorFile(file).read() == seen(40)

    asyncio.run(story())
    assert found == sorted(found)
    assert [each.name for each in tmp_path.iterdir()] == [NAME]


def test_wherever_the_disk_fails_the_old_or_the_new_one_is_there_and_the_failure_is_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for fail_at in itertools.count(1):
        file, layer = tmp_path / str(fail_at) / NAME, FailingLayer(fail_at, errno.ENOSPC, for_ever=True)
        asyncio.run(FloorFile(file).raise_to(seen(1)))
        caplog.clear()
        with caplog.at_level(logging.WARNING):
            asyncio.run(FloorFile(file, layer=layer).raise_to(seen(2)))
        kept = asyncio.run(FloorFile(file).read())
        assert kept in (seen(1), seen(2))
        assert kept == seen(2) or "Timestamp 2 is published could not be written down" in caplog.text
        if not layer.has_failed:
            break
    assert kept == seen(2) and fail_at > 6


@pytest.mark.parametrize(
    "harm",
    [
        b"",
        b'{"versions": {"timestamp": 3}',
        b'{"versions": {"root": 1}, "timestamp_sha256": ""}',
        b'{"versions": {"timestamp": -1}, "timestamp_sha256": ""}',
        b'{"versions": {"timestamp": 3}, "timestamp_sha256": "x"}',
        b'{"versions": {"timestamp": 3}, "timestamp_sha256": "", "more": 1}',
        None,
    ],
)
def test_a_damaged_file_is_an_error_and_not_taken_for_none_nor_written_over(
    tmp_path: Path, harm: bytes | None, caplog: pytest.LogCaptureFixture
) -> None:
    file = tmp_path / NAME
    file.mkdir() if harm is None else file.write_bytes(harm)
    with pytest.raises(StorageError, match="does not say which versions were published last"):
        asyncio.run(FloorFile(file).read())
    with caplog.at_level(logging.WARNING):
        asyncio.run(FloorFile(file).raise_to(seen(9)))
    assert "could not be written down" in caplog.text
    assert harm is None or file.read_bytes() == harm


def test_a_set_without_the_version_of_its_timestamp_is_none() -> None:
    with pytest.raises(FormatError):
        Seen(versions={"root": 1}, timestamp=b"")
