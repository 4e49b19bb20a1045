"""Whoever puts a whole older set of the Image repository's files back while no server runs has nothing signed by it."""

import asyncio
import json
import logging
import os
import shutil
from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager
from datetime import timedelta
from pathlib import Path

import pytest
from failing_objects import in_memory
from fleet import Fleet
from fleet import profile as profile
from links import wait
from signed import FRESH
from world import NOW

from uptane.assembly import serving as serving_module
from uptane.assembly.doctor import examine
from uptane.assembly.floor import floor_of
from uptane.assembly.production import System, utc_now
from uptane.assembly.serving import serving
from uptane.assembly.settings import load_settings
from uptane.assembly.tls_server import listening
from uptane.cli.main import main
from uptane.formats.profile import Profile
from uptane.image_repository.newest import Newest
from uptane.image_repository.repository import ImageRepository
from uptane.image_repository.seen import Seen
from uptane.metadata.errors import StorageError
from uptane.metadata.identifiers import ImagePath
from uptane.metadata.root import Role
from uptane.signing.ports import MetadataStore
from uptane.signing.publish import new_root
from uptane.storage.floor_file import FloorFile
from uptane.storage.folders import PublishedFolder
from uptane.storage.memory import MemoryImages
from uptane.storage.objects import PublishedObjects
from uptane.verification.own_metadata import verify_own_metadata

STORE = Path("data") / "image-repository"
REFUSED = "an older set was put back"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with servers that have an image, a copy of what they published, and a newer release of that image."""
    folder = tmp_path_factory.mktemp("made")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("UPTANE_SERVERS", "fleet")
        assert main(["init", "fleet", "--port", "0"]) == 0
        assert release(1) == 0
        shutil.copytree(Path("fleet") / STORE, "older")
        assert release(2) == 0
    return folder


@pytest.fixture
def fleet(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Such servers of a test's own, with that copy as `older` beside them."""
    shutil.copytree(made, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("UPTANE_SERVERS", "fleet")
    return tmp_path / "fleet"


def release(number: int) -> int:
    """What `uptane image add` ends with."""
    Path("firmware.img").write_text(f"release {number}")
    return main(["image", "add", "firmware.img", "--release", str(number)])


def put_back(fleet: Path, older: Path) -> None:
    """Whoever can write to the store, and has no key, puts all of it back as it was."""
    shutil.rmtree(fleet / STORE)
    shutil.copytree(older, fleet / STORE)


def published(fleet: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in (fleet / STORE / "metadata").iterdir() if file.is_file()}


def kept(fleet: Path) -> Seen:
    """The floor of these servers."""
    found = asyncio.run(floor_of(load_settings(fleet)).read())
    assert found is not None
    return found


def versions(fleet: Path) -> Mapping[str, int]:
    """What is published, verified as by somebody who knows nothing of it."""
    settings = load_settings(fleet)
    own = asyncio.run(verify_own_metadata(PublishedFolder(fleet / STORE / "metadata"), settings.profile))
    assert own is not None
    return Seen.of(own).versions


def unwell(fleet: Path) -> dict[str, str]:
    return {finding.check: finding.said for finding in asyncio.run(examine(fleet)) if not finding.well}


@pytest.mark.parametrize(
    "command",
    [
        ["image", "add", "new.img"],
        ["delegation", "list"],
        ["vehicle", "add", "VIN456", "--package", "van"],
    ],
    ids=lambda words: words[0],
)
def test_no_command_builds_on_an_older_set_that_was_put_back_between_two_runs(
    fleet: Path, command: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    Path("new.img").write_text("new")
    newest = published(fleet)
    put_back(fleet, Path("older"))
    before = published(fleet)
    assert before != newest and unwell(fleet)["Image repository"].startswith(REFUSED)
    capsys.readouterr()
    assert main(command) != 0
    said = capsys.readouterr().err
    assert REFUSED in said and "uptane db restored" in said
    assert published(fleet) == before and not Path("van").exists()
    shutil.rmtree(fleet / STORE / "metadata")
    (fleet / STORE / "metadata").mkdir()
    for name, raw in newest.items():
        (fleet / STORE / "metadata" / name).write_bytes(raw)
    assert main(command) == 0 and release(3) == 0 and unwell(fleet) == {}


def test_a_server_that_starts_on_an_older_set_says_so_at_once_and_does_not_sign_it_when_it_expires(
    fleet: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    put_back(fleet, Path("older"))
    before = published(fleet)

    async def story() -> None:
        with listening("127.0.0.1", 0) as listener:
            async with serving(load_settings(fleet), frozenset({System.IMAGE_REPOSITORY}), listener):
                pass

    for days in (0, 30):
        moment = utc_now() + timedelta(days=days)
        monkeypatch.setattr(serving_module, "utc_now", lambda moment=moment: moment)
        caplog.clear()
        with caplog.at_level(logging.WARNING):
            asyncio.run(story())
        assert REFUSED in caplog.text
    assert published(fleet) == before


def test_an_emptied_store_is_not_begun_anew_with_the_same_keys(fleet: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Nor where its first Root was not kept, which says so by itself; what it says to do next helps."""
    first, settings = next((fleet / "keys").glob("image-repository-first-root.*")), fleet / "uptane.toml"
    first.rename(first.name)
    shutil.rmtree(fleet / STORE)
    assert main(["image", "list"]) == 4
    settings.unlink()
    assert main(["init", "fleet", "--port", "0"]) == 4
    said = capsys.readouterr().err
    for words in ("these servers have published there", "Restore the published files from a backup", "E-STORAGE"):
        assert said.count(words) == 2, said
    assert not (fleet / STORE / "metadata").exists() and not first.exists() and not settings.exists()
    shutil.copytree("older", fleet / STORE, dirs_exist_ok=True)
    assert main(["init", "fleet", "--port", "0"]) == 0
    assert first.read_bytes() == Path(first.name).read_bytes()
    assert main(["db", "restored"]) == 0 and release(3) == 0 and unwell(fleet) == {}


def test_the_newest_root_cannot_be_taken_away_alone(fleet: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["root", "renew", "image-repository", "--days", "400"]) == 0
    metadata = fleet / STORE / "metadata"
    (metadata / "2.root.der").unlink()
    shutil.copyfile(metadata / "1.root.der", metadata / "root.der")
    before = published(fleet)
    assert versions(fleet)["root"] == 1, "it verifies"
    capsys.readouterr()
    assert release(3) != 0
    assert "published is root 1, and 2 was" in capsys.readouterr().err
    assert published(fleet) == before


def test_a_machine_that_has_read_what_another_one_published_refuses_what_is_older(fleet: Path) -> None:
    """It signed nothing of that itself."""
    shutil.copytree(fleet / "keys", Path("keys-of-another-machine"))
    assert release(3) == 0
    shutil.rmtree(fleet / "keys")
    shutil.copytree("keys-of-another-machine", fleet / "keys")
    assert kept(fleet).newest < versions(fleet)["timestamp"]
    assert main(["image", "list"]) == 0
    assert kept(fleet).versions == versions(fleet)
    put_back(fleet, Path("older"))
    assert main(["image", "list"]) != 0


@pytest.mark.parametrize("skip", [[], ["--skip", "1"]], ids=["as usual", "too few"])
def test_a_backup_is_restored_in_one_loud_step_and_no_version_is_given_twice(
    fleet: Path, skip: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    for number in (3, 4):
        assert release(number) == 0
    lost = kept(fleet)
    put_back(fleet, Path("older"))
    assert release(6) != 0, "without the step"
    capsys.readouterr()
    assert main(["db", "restored", *skip, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["behind"] == 3
    now = versions(fleet)
    assert all(now[role] > lost.versions[role] for role in (Role.TIMESTAMP, Role.SNAPSHOT, Role.TARGETS))
    assert kept(fleet).versions == now
    assert release(6) == 0 and unwell(fleet) == {}
    put_back(fleet, Path("older"))
    assert release(7) != 0, "the step is over"


def test_a_restored_backup_may_lack_a_root_that_was_only_signed_again(
    fleet: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["root", "renew", "image-repository", "--days", "400"]) == 0
    put_back(fleet, Path("older"))
    capsys.readouterr()
    assert main(["db", "restored", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["lost"] == ["root"] and kept(fleet).versions["root"] == 1
    assert release(3) == 0


def test_servers_of_an_older_program_have_no_floor_and_get_one_with_their_first_look(fleet: Path) -> None:
    (fleet / "keys" / "image-repository-newest.json").unlink()
    assert unwell(fleet) == {}
    assert main(["image", "list"]) == 0
    assert kept(fleet).versions == versions(fleet)


def test_where_the_folder_of_keys_cannot_be_written_the_doctor_tells_and_images_are_published(
    fleet: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refused(self: FloorFile, seen: Seen) -> None:
        raise StorageError("the file system is read-only")

    before = kept(fleet)
    monkeypatch.setattr(FloorFile, "_raise_to", refused)
    access = os.access
    monkeypatch.setattr(os, "access", lambda path, mode: path != fleet / "keys" and access(path, mode))
    with caplog.at_level(logging.WARNING):
        assert release(3) == 0
    assert "after a restart, an older set" in caplog.text
    assert kept(fleet) == before
    assert list(unwell(fleet)) == ["Image repository"]


Place = tuple[Callable[[], MetadataStore], Callable[[], dict[str, bytes]], Callable[[dict[str, bytes]], None]]


def _in_a_folder(root: Path) -> Place:
    folder = root / "metadata"

    def put(files: dict[str, bytes]) -> None:
        shutil.rmtree(folder)
        folder.mkdir()
        for name, raw in files.items():
            (folder / name).write_bytes(raw)

    return lambda: PublishedFolder(folder), lambda: {file.name: file.read_bytes() for file in folder.iterdir()}, put


def _on_object_storage(root: Path) -> Place:
    objects = in_memory()

    async def read() -> dict[str, bytes]:
        found = {name: await objects.read(name) for name in await objects.entries("")}
        return {name: each.data for name, each in found.items() if each is not None}

    async def write(files: dict[str, bytes]) -> None:
        for name in await objects.entries(""):
            await objects.remove(name)
        for name, raw in files.items():
            await objects.overwrite(name, raw)

    return lambda: PublishedObjects(objects), lambda: asyncio.run(read()), lambda files: asyncio.run(write(files))


class Server:
    """An Image repository that starts anew at each call: nothing of it is in memory, but its floor is in a file."""

    def __init__(self, fleet: Fleet, store: Callable[[], MetadataStore], floor: Path) -> None:
        self.fleet, self._store, self.floor, self._images = fleet, store, floor, MemoryImages()

    def __call__(self, floor: FloorFile | None = None) -> ImageRepository:
        metadata = self._store()
        taken: dict[str, Callable[[], AbstractAsyncContextManager[object]]] = (
            {"turn": metadata.turn} if isinstance(metadata, PublishedObjects) else {}
        )
        newest = Newest(floor or FloorFile(self.floor))
        made = ImageRepository(
            profile=self.fleet.profile, metadata=metadata, images=self._images, newest=newest, **taken
        )
        made.add_signers(key for keys in self.fleet.image_keys.values() for key in keys)
        return made


@pytest.fixture(params=[_in_a_folder, _on_object_storage], ids=["folder", "objects"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    made: Place = request.param(tmp_path)
    return made


@pytest.fixture
def server(place: Place, profile: Profile, tmp_path: Path) -> Server:
    """An Image repository that has published once."""
    store, _, _ = place
    made = Server(Fleet(profile), store, tmp_path / "keys" / "newest.json")
    first = made()
    first.stage_root(new_root(made.fleet.image_keys))
    wait(first.publish(NOW))
    return made


class PowerCut(Exception):
    """The process ends."""


class CutFloor(FloorFile):
    """The process ends before this is written."""

    async def raise_to(self, seen: Seen) -> None:
        raise PowerCut


def test_an_older_set_on_either_kind_of_store_is_refused_after_a_restart(
    place: Place,
    server: Server,
) -> None:
    _, read, write = place
    older = read()
    wait(server().renew_expiring(NOW + timedelta(days=1)))
    newest = read()
    write(older)
    for attempt in (server().renew_expiring(NOW + timedelta(days=2)), server().publish(NOW), server().published()):
        with pytest.raises(StorageError, match=REFUSED) as refusal:
            wait(attempt)
        assert refusal.value.facts["code"] == "E-ROLLBACK-META"
    assert read() == older
    write(newest)
    assert wait(server().renew_expiring(NOW + timedelta(days=2))).renewed == {"timestamp"}


def test_a_process_that_ends_between_publication_and_floor_leaves_a_lower_one_and_the_next_raises_it(
    server: Server,
) -> None:
    file = server.floor
    with pytest.raises(PowerCut):
        wait(server(CutFloor(file)).publish(NOW))
    lower = wait(FloorFile(file).read())
    assert lower is not None and lower.newest == 1
    assert wait(server().published()).timestamp_version == 2
    after = wait(FloorFile(file).read())
    assert after is not None and after.newest == 2


def test_another_set_under_the_same_version_is_refused(place: Place, server: Server, tmp_path: Path) -> None:
    """A machine without a floor was made to build on an older set, and has signed something else."""
    _, read, write = place
    older = read()
    wait(server().publish(NOW))
    write(older)
    wait(server(FloorFile(tmp_path / "there" / "newest.json")).publish(NOW + timedelta(hours=1)))
    with pytest.raises(StorageError, match="another set was put there") as refusal:
        wait(server().publish(NOW))
    assert refusal.value.facts["code"] == "E-ROLLBACK-META"


def test_publishers_and_readers_at_the_same_time_see_nothing_wrong(
    server: Server,
) -> None:
    file = server.floor

    async def story() -> None:
        publisher, readers = server(), [server() for _ in range(3)]

        async def publish() -> None:
            for number in range(4):
                await publisher.add_image(ImagePath(f"{number}.img"), FRESH)
                await publisher.publish(NOW)

        async def read(reader: ImageRepository) -> None:
            last = 0
            while last < 5:
                version = (await reader.published()).timestamp_version
                assert version >= last
                last = version

        await asyncio.gather(publish(), *map(read, readers))

    asyncio.run(story())
    after = wait(FloorFile(file).read())
    assert after is not None and after.newest == 5
