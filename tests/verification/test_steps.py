"""The two drivers of a verification procedure, and what a whole cycle asks for and keeps."""

import asyncio

import pytest
from world import DIRECTOR, IMAGES, NOW, TCU, VIN, Ecu, Repository, World, image

from uptane.formats.profile import Profile
from uptane.formats.profiles import PROFILES
from uptane.metadata.errors import RepositoryMismatchError, StorageError, UnreachableError
from uptane.metadata.identifiers import RepositoryName
from uptane.metadata.root import Role
from uptane.verification.match_images import EcuFacts
from uptane.verification.one_repository import verify_repository
from uptane.verification.steps import Commit, Keep, run, run_async


class FromAfar:
    """An asynchronous fetcher over an ECU's."""

    def __init__(self, ecu: Ecu) -> None:
        self.ecu = ecu

    async def fetch(self, repository: RepositoryName, name: str, limit: int) -> bytes | None:
        await asyncio.sleep(0)
        return self.ecu.fetch(repository, name, limit)


def test_both_drivers_come_to_the_same_result(world: World) -> None:
    ecu = world.primary
    for repository in (world.director, world.images):
        repository.rotate(*Role)
    bundle = asyncio.run(run_async(ecu.procedure(), FromAfar(ecu), ecu))
    assert ecu.held == {DIRECTOR: world.director.held(), IMAGES: world.images.held()}
    other = Ecu(world.director, world.images, ecu.ecus)
    assert other.cycle().images == bundle.images


class Broken:
    """A fetcher and keeper that fails at one step."""

    def __init__(self, ecu: Ecu, step: str) -> None:
        self.ecu, self.step = ecu, step

    def fetch(self, repository: RepositoryName, name: str, limit: int) -> bytes | None:
        if name == self.step:
            raise UnreachableError(f"{repository} does not answer")
        return self.ecu.fetch(repository, name, limit)

    def keep(self, step: Keep) -> None:
        if self.step == "keep":
            raise StorageError("the disk is full")
        self.ecu.keep(step)

    def commit(self, step: Commit) -> None:
        raise StorageError("the disk is full")


@pytest.mark.standard("STD-5.4.4-5")
@pytest.mark.parametrize("step", ["timestamp", "keep", "commit"])
def test_an_error_at_any_step_leaves_what_was_held(world: World, step: str) -> None:
    ecu = world.primary
    held = dict(ecu.held)
    world.release("firmware.img", b"two")
    if step == "keep":
        world.director.rotate(Role.ROOT)
    broken = Broken(ecu, world.director.name(step) if step in set(Role) else step)
    with pytest.raises((UnreachableError, StorageError)):
        run(ecu.procedure(), broken, broken)
    assert ecu.held == held
    ecu.cycle()


@pytest.mark.standard("STD-5.4.4.2-15")
@pytest.mark.standard("STD-5.4.4.2-6", "STD-5.4.4.2-7", "STD-5.4.4.2-9", "STD-5.4.4.2-12", "STD-5.4.4.2-13")
def test_amb_24_files_are_asked_for_in_the_order_of_the_standard(profile: Profile) -> None:
    world = World(profile)
    ecu = Ecu(world.director, world.images, world.primary.ecus)
    world.release("firmware.img", b"one")
    ecu.cycle()
    name = profile.metadata_name
    roles = [name("root", 2), name("timestamp"), name("snapshot", 2), name("targets", 2)]
    assert ecu.fetched == [f"{repository}/{role}" for repository in (DIRECTOR, IMAGES) for role in roles]


def test_one_repository_can_be_verified_on_its_own(world: World) -> None:
    """As a Director does that looks into the Image repository; nothing but Roots is kept."""
    ecu = world.primary
    world.images.publish_targets(image("b.img", b"b"))
    verified = run(verify_repository(ecu.context(IMAGES), ecu.held[IMAGES]), ecu, ecu)
    assert list(verified.targets.value.images) == ["b.img"]
    assert verified.files()["targets"] == world.images.files[world.images.name("targets")]
    assert ecu.held[IMAGES].files["targets"] != verified.files()["targets"]


@pytest.mark.standard("STD-5.2-1")
def test_each_repository_may_have_its_own_format() -> None:
    director = Repository(PROFILES["der"], vehicle=VIN)
    images = Repository(PROFILES["json"])
    ecu = Ecu(director, images, {TCU: EcuFacts()})
    images.publish_targets(image("a.img", b"a", counter=1, hardware=("A",)))
    director.publish_targets(image("a.img", b"a", counter=1, hardware=("A",), ecus=(TCU,)))
    assert set(ecu.cycle().images) == {TCU}


@pytest.mark.standard("STD-5.4.4.2-8", "STD-5.4.3.3-6")
def test_amb_03_a_cycle_that_failed_late_is_not_taken_for_complete(world: World) -> None:
    """The Director's Snapshot of the failed cycle must not make the next one stop early (AMB-3)."""
    world.director.publish_targets(image("new.img", b"new", ecus=(TCU,)))
    for _ in range(2):
        with pytest.raises(RepositoryMismatchError):
            world.primary.cycle()
    world.images.publish_targets(image("new.img", b"new"))
    assert world.primary.cycle().images[TCU].file.path == "new.img"
    assert world.primary.now == NOW
