"""The repository map (5.2.6, TAP 4): of the mappings that cover an image, which count, and who must agree on it."""

from dataclasses import replace

import pytest
from maps import FLEET, PARTS, map_of, mapping
from world import DIRECTOR, IMAGES, NOW, PRIMARY, TCU, VIN, Ecu, Repository, image, refused

from uptane.formats.profile import Profile
from uptane.metadata.errors import (
    BadSignatureError,
    DuplicateEcuError,
    ExpiredMetadataError,
    ForeignEcuError,
    ImageNotListedError,
    MixAndMatchError,
    ReplayedMetadataError,
    RepositoryMismatchError,
    UnreachableError,
    WrongVehicleError,
)
from uptane.metadata.identifiers import RepositoryName, VehicleIdentifier
from uptane.metadata.repository_map import RepositoryMap
from uptane.metadata.root import Role
from uptane.verification.agreement import AskedRepositories
from uptane.verification.match_images import EcuFacts
from uptane.verification.steps import Commit, Keep, run

PATH = "parts/abs.img"
BOTH = map_of(mapping("parts/*", DIRECTOR, IMAGES, PARTS), mapping("*", DIRECTOR, IMAGES))
EITHER = map_of(mapping("parts/*", DIRECTOR, PARTS), mapping("*", DIRECTOR, IMAGES))
FALLS = map_of(mapping("parts/*", DIRECTOR, PARTS, terminating=False), mapping("*", DIRECTOR, IMAGES))
FLEETS = map_of(mapping("*", DIRECTOR, FLEET, IMAGES))


class Several:
    """The Director and Image repository, a supplier's Image repository, and the Director of a fleet."""

    def __init__(self, profile: Profile) -> None:
        self.director, self.fleet = (Repository(profile, vehicle=VIN) for _ in range(2))
        self.images, self.parts = Repository(profile), Repository(profile)

    def ecu(self, repository_map: RepositoryMap) -> Ecu:
        """A Primary made now with a map."""
        return Ecu(
            self.director,
            self.images,
            {PRIMARY: EcuFacts(), TCU: EcuFacts()},
            repository_map=repository_map,
            others={PARTS: self.parts, FLEET: self.fleet},
        )

    def direct(self, path: str = PATH, content: bytes = b"x", **other: object) -> None:
        """The Director directs the TCU to an image."""
        self.director.publish_targets(image(path, content, ecus=(TCU,), **other))  # type: ignore[arg-type]


@pytest.fixture
def several(profile: Profile) -> Several:
    return Several(profile)


def asked(ecu: Ecu) -> set[str]:
    """The repositories of which anything was fetched."""
    return {place.partition("/")[0] for place in ecu.fetched}


@pytest.mark.standard("STD-5.2.6-1", "STD-5.2.6-5")
def test_an_image_that_every_repository_of_its_mapping_lists_alike_is_verified(several: Several) -> None:
    ecu = several.ecu(BOTH)
    several.images.publish_targets(image(PATH, b"x"))
    several.parts.publish_targets(image(PATH, b"x"))
    several.direct()
    bundle = ecu.cycle()
    assert bundle.images[TCU].file.path == PATH
    assert set(bundle.files) == set(bundle.repositories) == asked(ecu) == {DIRECTOR, IMAGES, PARTS}
    assert ecu.held[PARTS] == several.parts.held() and ecu.held[IMAGES] == several.images.held()


@pytest.mark.standard("STD-5.2.6-5", "STD-5.4.4.2-17")
@pytest.mark.parametrize("lacking", [IMAGES, PARTS])
def test_a_required_repository_that_lacks_the_image_refuses_it(several: Several, lacking: RepositoryName) -> None:
    ecu = several.ecu(BOTH)
    with refused(ecu, RepositoryMismatchError) as refusal:
        for name, repository in ((IMAGES, several.images), (PARTS, several.parts)):
            repository.publish_targets(image("other.img" if name == lacking else PATH, b"x"))
        several.direct()
    assert (refusal.facts["image"], refusal.facts["ecu"]) == (PATH, TCU)
    assert refusal.error is not None and isinstance(refusal.error.__cause__, ImageNotListedError)
    assert refusal.error.__cause__.facts["repository"] == lacking


DIFFERENT = {
    "length": image(PATH, b"longer"),
    "hashes": image(PATH, b"y"),
    "release counter": image(PATH, b"x", counter=2),
    "hardware": image(PATH, b"x", counter=1, hardware=("other",)),
}


@pytest.mark.standard("STD-5.2.6-5", "STD-5.4.4.2-18", "STD-5.4.4.2-19a")
@pytest.mark.parametrize("repository_map", [BOTH, FALLS], ids=["all must sign", "would fall through"])
@pytest.mark.parametrize("differs", DIFFERENT)
def test_a_repository_that_says_otherwise_refuses_the_image_and_no_later_mapping_is_asked(
    several: Several, repository_map: RepositoryMap, differs: str
) -> None:
    ecu = several.ecu(repository_map)
    with refused(ecu, RepositoryMismatchError) as refusal:
        several.images.publish_targets(image(PATH, b"x", counter=1))
        several.parts.publish_targets(DIFFERENT[differs])
        several.direct(counter=1)
    assert refusal.facts["repository"] == PARTS


def test_a_later_repository_of_a_mapping_can_object_where_an_earlier_one_lists_nothing(several: Several) -> None:
    ecu = several.ecu(
        map_of(mapping("parts/*", DIRECTOR, PARTS, IMAGES, terminating=False), mapping("*", DIRECTOR, IMAGES))
    )
    with refused(ecu, RepositoryMismatchError):
        several.images.publish_targets(image(PATH, b"other"))
        several.direct()


@pytest.mark.standard("STD-5.2.6-4")
def test_the_first_mapping_that_covers_an_image_counts_and_others_are_not_asked(several: Several) -> None:
    ecu = several.ecu(EITHER)
    several.parts.publish_targets(image(PATH, b"x"))
    several.images.publish_targets(image("car.img", b"x"), image(PATH, b"another"))
    several.direct()
    assert ecu.cycle().images[TCU].file.path == PATH
    assert asked(ecu) == {DIRECTOR, PARTS}
    several.direct("car.img")
    assert ecu.cycle().images[TCU].file.path == "car.img"
    assert asked(ecu) == {DIRECTOR, IMAGES}


@pytest.mark.standard("STD-5.2.6-4")
def test_amb_12_the_star_alone_covers_every_image_in_a_map_and_other_stars_stay_within_a_component(
    several: Several,
) -> None:
    ecu = several.ecu(map_of(mapping("*.img", DIRECTOR, PARTS), mapping("*", DIRECTOR, IMAGES)))
    several.images.publish_targets(image("deep/down/a.img", b"x"))
    several.direct("deep/down/a.img")
    ecu.cycle()
    assert asked(ecu) == {DIRECTOR, IMAGES}


@pytest.mark.standard("STD-5.2.6-4")
@pytest.mark.parametrize("falls", [False, True])
def test_only_a_mapping_that_does_not_terminate_lets_a_later_one_be_asked(several: Several, falls: bool) -> None:
    ecu = several.ecu(FALLS if falls else EITHER)
    several.images.publish_targets(image(PATH, b"x"))
    several.direct()
    if falls:
        assert ecu.cycle().images[TCU].file.path == PATH
        assert asked(ecu) == {DIRECTOR, IMAGES, PARTS}
    else:
        with pytest.raises(RepositoryMismatchError):
            ecu.cycle()


def test_when_the_last_mapping_lists_nothing_either_the_image_is_refused(several: Several) -> None:
    with refused(several.ecu(FALLS), RepositoryMismatchError) as refusal:
        several.direct()
    assert refusal.error is not None and refusal.error.__cause__ is not None
    assert isinstance(refusal.error.__cause__, ImageNotListedError)
    assert refusal.error.__cause__.facts["repository"] == IMAGES


@pytest.mark.standard("STD-5.2.6-4")
def test_an_image_that_no_mapping_covers_is_refused_although_everybody_lists_it(several: Several) -> None:
    with refused(several.ecu(map_of(mapping("cars/*", DIRECTOR, IMAGES))), RepositoryMismatchError) as refusal:
        for repository in (several.images, several.parts):
            repository.publish_targets(image(PATH, b"x"))
        several.direct()
    assert refusal.error is not None and "no mapping" in refusal.error.what


def test_a_repository_that_does_not_answer_does_not_let_a_later_mapping_be_chosen(several: Several) -> None:
    """Whoever can block a repository must not be able to choose the weaker mapping."""
    ecu = several.ecu(FALLS)
    several.images.publish_targets(image(PATH, b"x"))
    several.direct()
    held = dict(ecu.held)
    several.parts.files.clear()
    with pytest.raises(UnreachableError):
        ecu.cycle()
    assert ecu.held == held


@pytest.mark.standard("STD-5.4.4.2-12", "STD-5.4.4.2-13", "STD-5.4.4.2-15")
@pytest.mark.parametrize("role", list(Role))
@pytest.mark.parametrize("repository_map", [EITHER, FALLS], ids=["terminating", "not terminating"])
def test_every_role_of_a_further_repository_is_verified_by_its_own_keys(
    several: Several, repository_map: RepositoryMap, role: Role
) -> None:
    ecu = several.ecu(repository_map)
    several.images.publish_targets(image(PATH, b"x"))
    several.parts.publish_targets(image(PATH, b"x"))
    with refused(ecu, BadSignatureError) as refusal:
        several.direct()
        several.parts.offer(role, signers=several.images.signers[role])
    assert refusal.facts["repository"] == PARTS


@pytest.mark.parametrize("role", list(Role))
def test_expired_metadata_of_a_further_repository_is_refused_where_it_is_needed(several: Several, role: Role) -> None:
    ecu = several.ecu(EITHER)
    several.parts.publish_targets(image(PATH, b"x"))
    several.images.publish_targets(image("car.img", b"x"))
    with refused(ecu, ExpiredMetadataError, new_roots=role is Role.ROOT) as refusal:
        several.direct()
        several.parts.offer(role, expires=NOW)
    assert refusal.facts["repository"] == PARTS
    several.parts.offer(Role.TIMESTAMP, expires=NOW)
    several.direct("car.img")
    ecu.cycle()
    assert asked(ecu) == {DIRECTOR, IMAGES}


def test_an_older_version_of_a_further_repository_is_refused(several: Several) -> None:
    ecu = several.ecu(EITHER)
    several.parts.publish_targets(image(PATH, b"x"))
    before = dict(several.parts.files)
    several.parts.publish_targets(image(PATH, b"y"))
    several.direct(content=b"y")
    ecu.cycle()
    with refused(ecu, ReplayedMetadataError):
        several.direct(content=b"x")
        several.parts.files.update(before)


def test_files_of_one_repository_do_not_pass_for_those_of_another(several: Several) -> None:
    ecu = several.ecu(BOTH)
    several.images.publish_targets(image(PATH, b"x"))
    several.parts.publish_targets(image(PATH, b"x"))
    several.direct()
    ecu.cycle()
    with refused(ecu, MixAndMatchError):
        several.images.publish_targets(image(PATH, b"x"))
        several.parts.publish_targets(image(PATH, b"x"))
        name = several.images.name(Role.SNAPSHOT, several.images.snapshot.version)
        assert name in several.parts.files
        several.parts.files[name] = several.images.files[name]


@pytest.mark.standard("STD-5.4.4.3-3", "STD-5.2.2-4")
def test_a_repository_that_was_not_asked_for_long_is_followed_through_all_its_roots(several: Several) -> None:
    """Nothing is lost while it is not needed: its next Root is asked for by number, and revoked keys count no more."""
    ecu = several.ecu(EITHER)
    old = several.parts.signers[Role.TARGETS]
    for _ in range(3):
        several.parts.rotate(*Role)
        ecu.cycle()
        assert PARTS not in asked(ecu)
    several.parts.publish_targets(image(PATH, b"x"))
    several.direct()
    with refused(ecu, BadSignatureError, new_roots=True):
        several.parts.offer(Role.TARGETS, signers=old)
    ecu.cycle()
    assert ecu.held[PARTS] == several.parts.held()


def test_the_files_of_all_repositories_are_committed_in_one_step(several: Several) -> None:
    ecu, commits = several.ecu(BOTH), []
    several.images.publish_targets(image(PATH, b"x"))
    several.parts.publish_targets(image(PATH, b"x"))
    several.direct()
    held = dict(ecu.held)

    class Watching:
        def keep(self, step: Keep) -> None:
            raise AssertionError

        def commit(self, step: Commit) -> None:
            commits.append(step)

    run(ecu.procedure(), ecu, Watching())
    assert [set(step.files) for step in commits] == [{DIRECTOR, IMAGES, PARTS}]
    assert ecu.held == held


def test_a_mismatch_keeps_nothing_of_any_repository(several: Several) -> None:
    ecu = several.ecu(BOTH)
    with refused(ecu, RepositoryMismatchError):
        several.images.publish_targets(image(PATH, b"x"))
        several.parts.publish_targets(image("other.img", b"x"))
        several.direct()


@pytest.mark.standard("STD-5.2.6-1")
def test_a_second_director_must_direct_the_same_image_to_the_same_ecu(several: Several) -> None:
    ecu = several.ecu(FLEETS)
    several.images.publish_targets(image(PATH, b"x", counter=1))
    several.direct(counter=1)
    for other in (
        image(PATH, b"x", counter=1, ecus=(PRIMARY,)),
        image("other.img", b"x", counter=1, ecus=(TCU,)),
        image(PATH, b"x", counter=2, ecus=(TCU,)),
        image(PATH, b"y", counter=1, ecus=(TCU,)),
    ):
        several.fleet.publish_targets(other)
        with pytest.raises(RepositoryMismatchError):
            ecu.cycle()
    several.fleet.publish_targets(image(PATH, b"x", counter=1, ecus=(TCU,)))
    assert set(ecu.cycle().images) == {TCU}
    assert asked(ecu) == {DIRECTOR, FLEET, IMAGES}


@pytest.mark.standard("STD-5.4.4.6-9", "STD-5.4.4.6-8")
def test_the_rules_for_a_director_hold_for_a_second_one(several: Several) -> None:
    ecu = several.ecu(FLEETS)
    with refused(ecu, ForeignEcuError):
        several.fleet.publish_targets(image(PATH, b"x", ecus=("stranger",)))
    with refused(ecu, DuplicateEcuError):
        several.fleet.publish_targets(image(PATH, b"x", ecus=(TCU,)), image("b.img", b"x", ecus=(TCU,)))
    with refused(ecu, WrongVehicleError):
        several.fleet.offer(Role.TIMESTAMP, vehicle=VehicleIdentifier("othercar"))


def test_what_a_second_director_alone_directs_is_not_installed(several: Several) -> None:
    ecu = several.ecu(FLEETS)
    several.images.publish_targets(image(PATH, b"x"))
    several.fleet.publish_targets(image(PATH, b"x", ecus=(TCU,)))
    assert ecu.cycle().images == {}


def test_a_secondary_looks_for_its_own_image_only(several: Several) -> None:
    ecu = replace(several.ecu(EITHER), ecus={TCU: EcuFacts()}, knows_whole_vehicle=False)
    several.parts.publish_targets(image(PATH, b"x"))
    several.director.publish_targets(image(PATH, b"x", ecus=(TCU,)), image("car.img", b"x", ecus=(PRIMARY,)))
    bundle = ecu.cycle()
    assert set(bundle.images) == {TCU}
    assert asked(ecu) == {DIRECTOR, PARTS}


@pytest.mark.standard("STD-5.2.6-5")
def test_a_repository_that_was_refused_is_not_asked_again_in_the_same_cycle() -> None:
    refusal = BadSignatureError("refused before")
    cycle = AskedRepositories(repository_map=BOTH, known={}, whole_vehicle=None, failed={IMAGES: refusal})
    with pytest.raises(BadSignatureError) as caught:
        next(cycle.require(IMAGES))
    assert caught.value is refusal
