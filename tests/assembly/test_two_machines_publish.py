"""Servers of two machines share object storage: of two that publish at the same time, neither undoes the other."""

import asyncio
from datetime import datetime
from pathlib import Path

import pytest
from failing_objects import in_memory

from uptane.assembly import production
from uptane.assembly.production import initialise, open_systems, utc_now
from uptane.assembly.settings import Settings, load_settings, write_settings
from uptane.metadata.errors import StorageError
from uptane.metadata.identifiers import ImagePath
from uptane.signing.publish import Draft, Published, Publisher
from uptane.storage.object_store import Objects
from uptane.storage.places import ObjectPlace


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """Servers on object storage, which everybody opens for himself."""
    shared = in_memory()
    monkeypatch.setattr(production, "storage_of", lambda _: ObjectPlace(Objects(shared._store, shared._url, "fleet/")))
    write_settings(tmp_path, form="der", database="data/inventory.sqlite", storage="memory://", names=["a"], port=0)
    made = load_settings(tmp_path)
    asyncio.run(initialise(made))
    return made


@pytest.mark.parametrize("adds", [True, False], ids=["a release", "a renewal"])
def test_who_is_overtaken_between_reading_and_signing_signs_nothing_under_a_version_that_is_taken(
    settings: Settings, adds: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    sign, overtakers = Publisher.publish, []

    async def overtaken(self: Publisher, before: Published | None, draft: Draft, now: datetime) -> Published:
        if overtakers:
            other = overtakers.pop()
            await other.add_image(ImagePath("other.img"), b"other")
            await other.publish(now)
        return await sign(self, before, draft, now)

    async def story() -> None:
        async with open_systems(settings) as one, open_systems(settings) as another:
            mine = one.image_repository
            await another.image_repository.published()
            monkeypatch.setattr(Publisher, "publish", overtaken)
            overtakers.append(another.image_repository)
            if adds:
                await mine.add_image(ImagePath("mine.img"), b"mine")
                with pytest.raises(StorageError, match="another process has published targets"):
                    await mine.publish(utc_now())
            else:
                await mine.publish(utc_now())
            found = await another.image_repository.published()
            assert found.timestamp_version == (2 if adds else 3)
            assert set(found.targets["targets"].payload.images) == {ImagePath("other.img")}
        async with open_systems(settings) as later:
            assert await later.image_repository.published() == found

    asyncio.run(story())
