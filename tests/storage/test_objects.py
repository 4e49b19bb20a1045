"""Metadata on object storage: a publication is the old set or the new one, and of two publishers one wins."""

import asyncio
import contextlib
from datetime import timedelta
from typing import Any

import pytest
from failing_objects import FailingObjects, StallingObjects, in_memory, prefix_of
from s3_server import S3Server
from world import NOW, image, new_signer, targets

from uptane.formats.profile import Profile
from uptane.formats.profiles import PROFILES
from uptane.image_repository.repository import ImageRepository
from uptane.metadata.errors import StorageError
from uptane.metadata.identifiers import ImagePath
from uptane.metadata.root import Role
from uptane.signing.publish import Draft, Publisher, load_published, new_root
from uptane.signing.signer import Signer
from uptane.storage.folders import JOURNAL
from uptane.storage.object_images import ImageObjects
from uptane.storage.object_store import Objects
from uptane.storage.object_urls import open_objects
from uptane.storage.objects import PublishedObjects
from uptane.verification.own_metadata import verify_own_metadata

PLAIN = ("root.json", "targets.json", "snapshot.json", "timestamp.json")
"""The mutable files, the Timestamp last."""


@pytest.fixture(params=["der", "json"])
def profile(request: pytest.FixtureRequest) -> Profile:
    """A wire format with its file names."""
    return PROFILES[request.param]


@pytest.fixture(params=["memory", "s3"])
def objects(request: pytest.FixtureRequest) -> Objects:
    """A place for one repository."""
    if request.param == "memory":
        return in_memory()
    server: S3Server = request.getfixturevalue("s3_server")
    return open_objects(server.url(prefix_of(request.node.name)), options=server.options)


async def publish(store: PublishedObjects, version: int) -> None:
    """One version: immutable files, then the plain names, each telling its version."""
    data = str(version).encode() * 2000
    await store.publish([(f"{version}.{name}", data) for name in PLAIN[:3]], dict.fromkeys(PLAIN, data))


async def published_version(objects: Objects) -> int:
    """The one version that a fresh process finds, complete, with nothing of a later one."""
    store = PublishedObjects(objects)
    data = {await store.read(name) for name in PLAIN}
    assert len(data) == 1
    [content] = data
    version = 0 if content is None else int(content[:1])
    assert content == (str(version).encode() * 2000 if version else None)
    names = {f"{number}.{name}" for number in range(1, version + 1) for name in PLAIN[:3]}
    for number in range(1, version + 3):
        for name in PLAIN[:3]:
            assert (await store.read(f"{number}.{name}") is not None) == (f"{number}.{name}" in names)
    return version


@pytest.mark.standard("STD-5.3.2-4")
@pytest.mark.parametrize("reply_lost", [False, True])
def test_a_publication_cut_off_at_any_write_is_the_old_set_or_the_new_one(objects: Objects, reply_lost: bool) -> None:
    async def cut_at(number: int) -> bool:
        here = objects.below(str(number))
        await publish(PublishedObjects(here), 1)
        failing = FailingObjects(here, number, reply_lost=reply_lost)
        with contextlib.suppress(StorageError):
            await publish(PublishedObjects(failing), 2)
        found = await published_version(here)
        assert found == (1 if number == 1 and not reply_lost else 2)
        await publish(PublishedObjects(here), found + 1)
        assert await published_version(here) == found + 1
        return failing.has_failed

    async def work() -> int:
        number = 1
        while await cut_at(number):
            number += 1
        return number

    assert (
        asyncio.run(work()) == 1 + 1 + 3 + 4 + 1
    )  # one more than: the journal, the files, the plain names, the journal


def test_the_first_publication_cut_off_at_any_write_is_none_or_all_of_it() -> None:
    async def work() -> None:
        for number in range(1, 20):
            objects = in_memory()
            failing = FailingObjects(objects, number)
            with contextlib.suppress(StorageError):
                await publish(PublishedObjects(failing), 1)
            assert await published_version(objects) == (0 if number == 1 else 1)
            if not failing.has_failed:
                return
        pytest.fail("never came to the end")

    asyncio.run(work())


class Straight:
    """What a client finds that reads the objects by itself, without the journal."""

    def __init__(self, objects: Objects) -> None:
        self._objects = objects

    async def read(self, name: str) -> bytes | None:
        found = await self._objects.read(name)
        return None if found is None else found.data


class Operator:
    """Publishes for a repository whose keys he holds."""

    def __init__(self, profile: Profile) -> None:
        self.profile = profile
        self.keyring: dict[Any, Signer] = {}
        self.root = self.new_keys()

    def new_keys(self) -> Any:
        """A Root with new keys for every role but its own."""
        rule = self.profile.format.key_id_rule
        if not self.keyring:
            self.root_signer = new_signer(id_rule=rule)
        signers = {role: [self.root_signer if role is Role.ROOT else new_signer(id_rule=rule)] for role in Role}
        self.keyring |= {signer.key.key_id: signer for held in signers.values() for signer in held}
        return new_root(signers)

    async def publish(self, store: PublishedObjects, draft: Draft, *, days: int = 0) -> None:
        """Builds on what is published."""
        async with store.turn():
            before = await load_published(store, self.profile)
            publisher = Publisher(store=store, profile=self.profile, keyring=self.keyring)
            await publisher.publish(before, draft, NOW + timedelta(days=days))


def new_image(number: int) -> Draft:
    return Draft(targets={"targets": targets(image(f"{number}.img", str(number).encode()))})  # type: ignore[dict-item]


@pytest.mark.standard("STD-5.3.2-4")
@pytest.mark.parametrize("rotating", [False, True])
def test_a_repository_goes_on_after_a_crash_at_any_write_and_its_clients_never_see_a_half(
    profile: Profile, rotating: bool
) -> None:
    async def work() -> int:
        operator = Operator(profile)
        for number in range(1, 30):
            objects = in_memory()
            await operator.publish(PublishedObjects(objects), Draft(root=operator.root))
            failing = FailingObjects(objects, number)
            draft = Draft(root=operator.new_keys()) if rotating else new_image(1)
            with contextlib.suppress(StorageError):
                await operator.publish(PublishedObjects(failing), draft)
            if not rotating:  # with other keys, clients wait between the new Root and the new Timestamp
                client = await verify_own_metadata_or_newer(Straight(objects), profile)
                assert client in (1, 2)
            own = await verify_own_metadata(PublishedObjects(objects), profile)
            assert own is not None and own.timestamp_version == (1 if number == 1 else 2)
            assert await verify_own_metadata(Straight(objects), profile) == own
            await operator.publish(PublishedObjects(objects), new_image(2))
            after = await verify_own_metadata(Straight(objects), profile)
            assert after is not None and after.timestamp_version == own.timestamp_version + 1
            if not failing.has_failed:
                return number
        pytest.fail("never came to the end")

    assert asyncio.run(work()) > 5


async def verify_own_metadata_or_newer(files: Straight, profile: Profile) -> int:
    """The version that a client gets, which does not look for a newer Snapshot than the Timestamp's."""

    class Client:
        async def read(self, name: str) -> bytes | None:
            return None if name == newer else await files.read(name)

    newer = ""
    for version in (2, 3):
        newer = profile.metadata_name(Role.SNAPSHOT, version)
        with contextlib.suppress(StorageError):
            own = await verify_own_metadata(Client(), profile)
            assert own is not None
            return own.timestamp_version
    pytest.fail("a client found a half")


def test_of_publishers_at_once_one_wins_and_the_others_are_told_and_try_again(objects: Objects) -> None:
    operator = Operator(PROFILES["der"])

    async def one(number: int, won: list[int]) -> StorageError | None:
        try:
            await operator.publish(PublishedObjects(objects), new_image(number))
        except StorageError as error:
            return error
        won.append(number)
        return None

    async def work() -> None:
        await operator.publish(PublishedObjects(objects), Draft(root=operator.root))
        waiting, won, refused = set(range(5)), list[int](), 0
        while waiting:
            before = len(won)
            errors = [each for each in await asyncio.gather(*(one(number, won) for number in waiting)) if each]
            assert len(won) > before
            for error in errors:
                assert "somebody else has just published" in error.what and error.next_step
            refused += len(errors)
            waiting -= set(won)
        assert refused
        own = await verify_own_metadata(PublishedObjects(objects), operator.profile)
        assert own is not None and own.timestamp_version == 1 + 5
        assert list(own.targets["targets"].payload.images) == [f"{won[-1]}.img"]  # type: ignore[index]

    asyncio.run(work())


def test_a_publisher_that_stalls_at_any_write_never_puts_something_older_back(profile: Profile) -> None:
    """Another one completes its publication and goes on with two more, and then it wakes up."""

    async def work() -> int:
        operator = Operator(profile)
        for number in range(1, 20):
            objects = in_memory()
            other = PublishedObjects(objects)
            await operator.publish(other, Draft(root=operator.root))

            async def meanwhile(other: PublishedObjects = other) -> None:
                for each in (7, 8):
                    await operator.publish(other, new_image(each))

            stalling = StallingObjects(objects, number, meanwhile)
            try:
                await operator.publish(PublishedObjects(stalling), new_image(1))
                published = 4
            except StorageError:
                published = 3
            assert published == (3 if number == 1 else 4)
            own = await verify_own_metadata(Straight(objects), profile)
            assert own is not None and own.timestamp_version == (published if stalling.has_failed else 2)
            if not stalling.has_failed:
                return number
            assert list(own.targets["targets"].payload.images) == ["8.img"]  # type: ignore[index]
        pytest.fail("never came to the end")

    assert asyncio.run(work()) > 5


def test_inside_a_turn_one_may_publish_twice_and_outside_of_one_everything_that_fits(objects: Objects) -> None:
    async def work() -> None:
        store, other = PublishedObjects(objects), PublishedObjects(objects)
        async with store.turn(), other.turn():
            await publish(store, 1)
            await publish(store, 2)
            with pytest.raises(StorageError, match="somebody else has just published"):
                await publish(other, 3)
        await publish(other, 3)
        assert await published_version(objects) == 3

    asyncio.run(work())


@pytest.mark.standard("STD-5.3.1-6")
def test_an_immutable_file_with_other_bytes_refuses_the_whole_publication(objects: Objects) -> None:
    async def work() -> None:
        store = PublishedObjects(objects)
        await publish(store, 1)
        before = await objects.entries("")
        with pytest.raises(StorageError, match=r"1\.targets\.json exists with other bytes") as refused:
            await store.publish([("2.snapshot.json", b"new"), ("1.targets.json", b"other")], {"timestamp.json": b"new"})
        assert refused.value.facts["path"] == objects.where("1.targets.json")
        assert await objects.entries("") == before

    asyncio.run(work())


def test_the_same_bytes_again_cost_no_write() -> None:
    async def work() -> None:
        objects = in_memory()
        await publish(PublishedObjects(objects), 1)
        watched = FailingObjects(objects, 10**9)
        await publish(PublishedObjects(watched), 1)
        assert watched.writes == []

    asyncio.run(work())


def test_a_damaged_journal_is_told_and_harms_nothing() -> None:
    async def work() -> None:
        objects = in_memory()
        store = PublishedObjects(objects)
        await publish(store, 1)
        for journal in (b"", b"\x80", b"\x82\xa6number\xa1x\xa5files\x91\x92\xa4../y\x00"):
            await objects.overwrite(JOURNAL, journal)
            for call in (store.read("root.json"), publish(store, 2)):
                with pytest.raises(StorageError, match=JOURNAL) as refused:
                    await call
                assert refused.value.next_step
        await objects.remove(JOURNAL)
        assert await published_version(objects) == 1
        await publish(store, 2)
        assert await published_version(objects) == 2

    asyncio.run(work())


def test_a_mutable_file_that_somebody_changes_behind_our_back_is_replaced() -> None:
    async def work() -> None:
        objects = in_memory()
        await publish(PublishedObjects(objects), 1)
        for number in range(1, 9):

            async def meanwhile() -> None:
                await objects.overwrite("timestamp.json", b"evil")

            await publish(PublishedObjects(StallingObjects(objects, number, meanwhile)), 1 + number)
            assert await published_version(objects) == 1 + number

    asyncio.run(work())


def test_a_door_finds_what_is_published_and_nothing_else(objects: Objects) -> None:
    async def work() -> None:
        store = PublishedObjects(objects)
        assert await store.open("timestamp.json") is None
        await publish(store, 1)
        first = await store.open("timestamp.json")
        assert first is not None and (first.name, first.length) == ("timestamp.json", 2000)
        assert [piece async for piece in first.stream()] == [b"1" * 2000]
        assert b"".join([piece async for piece in first.stream(1990, 5000)]) == b"1" * 10
        again = await store.open("timestamp.json")
        assert again is not None and again.etag == first.etag and again.etag.strip('"') and again.etag[-1:] == '"'
        await publish(store, 2)
        second = await store.open("timestamp.json")
        assert second is not None and second.etag != first.etag
        with pytest.raises(StorageError, match="was replaced while it was read"):
            assert [piece async for piece in first.stream()]
        for name in (JOURNAL, "", "..", "../timestamp.json", "/timestamp.json", "a\\b", "timestamp.json/"):
            assert await store.open(name) is None

    asyncio.run(work())


def test_two_image_repositories_over_one_store_lose_nothing_of_each_other(objects: Objects) -> None:
    async def work() -> None:
        operator = Operator(PROFILES["der"])

        def process() -> ImageRepository:
            metadata = PublishedObjects(objects.below("metadata"))
            repository = ImageRepository(
                profile=operator.profile,
                metadata=metadata,
                images=ImageObjects(objects.below("targets")),
                turn=metadata.turn,
            )
            repository.add_signers(operator.keyring.values())
            return repository

        first = process()
        first.stage_root(operator.root)
        await first.publish(NOW)
        waiting = {f"{number}.img": process() for number in range(3)}
        for name, repository in waiting.items():
            await repository.add_image(ImagePath(name), name.encode())
        done = await asyncio.gather(*(each.publish(NOW) for each in waiting.values()), return_exceptions=True)
        refused = [name for name, each in zip(waiting, done, strict=True) if isinstance(each, StorageError)]
        assert 0 < len(refused) < len(waiting)
        for name in refused:  # what it added was added to what was published before
            again = process()
            await again.add_image(ImagePath(name), name.encode())
            await again.publish(NOW)
        own = await verify_own_metadata(Straight(objects.below("metadata")), operator.profile)
        assert own is not None and own.timestamp_version == 1 + len(waiting)
        assert set(own.targets["targets"].payload.images) == set(waiting)  # type: ignore[index]

    asyncio.run(work())
