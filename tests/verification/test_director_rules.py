"""What only a Director's Targets must obey (5.4.4.6), and whether both repositories agree on an image (5.4.4.2)."""

import pytest
from msgspec import structs
from world import DIRECTOR, FAR, IMAGES, PRIMARY, TCU, Ecu, World, delegation, delegations, image, new_signer, refused

from uptane.formats.profile import Profile
from uptane.metadata.attacks import Attack
from uptane.metadata.delegations import Delegations
from uptane.metadata.errors import (
    DirectorDelegationError,
    DuplicateEcuError,
    ForeignEcuError,
    FormatError,
    HardwareMismatchError,
    ImageRollbackError,
    RepositoryMismatchError,
)
from uptane.metadata.extensions import Extensions
from uptane.metadata.identifiers import EcuIdentifier, HardwareIdentifier, ImagePath
from uptane.metadata.root import Role
from uptane.metadata.targets import Custom, EcuAssignment, Image, MustMatch
from uptane.verification.match_images import EcuFacts, check_hardware, hardware_of

A, B = HardwareIdentifier("A"), HardwareIdentifier("B")


def direct(world: World, *images: Image, **other: object) -> None:
    """The Director's genuine Targets, with these images."""
    world.director.offer(Role.TARGETS, images={i.file.path: i for i in images}, **other)


@pytest.mark.standard("STD-5.4.4.6-7", "STD-5.1.2.1-9", "STD-5.2.3.2-1")
def test_a_director_that_delegates_is_refused(world: World) -> None:
    thief = new_signer()
    for offered in (delegations([thief]), delegations([thief], delegation("x", [thief], paths=["*"]))):
        with refused(world.primary, DirectorDelegationError) as refusal:
            direct(world, image("firmware.img", b"one", ecus=(TCU,)), delegations=offered)
        assert refusal.facts == {"repository": DIRECTOR}
        assert refusal.error is not None and refusal.error.attack is Attack.ARBITRARY_SOFTWARE


@pytest.mark.standard("STD-5.4.4.6-7")
def test_amb_16_an_empty_delegations_object_is_no_delegation(world: World) -> None:
    direct(
        world,
        image("firmware.img", b"one", ecus=(TCU,)),
        delegations=Delegations(extensions=Extensions((("note", b'"empty"'),))),
    )
    assert set(world.primary.cycle().images) == {TCU}


@pytest.mark.standard("STD-5.4.4.6-8", "STD-5.4.3.4-2")
def test_one_ecu_with_two_images_is_refused(world: World) -> None:
    with refused(world.primary, DuplicateEcuError) as refusal:
        world.images.publish_targets(image("a.img", b"a"), image("b.img", b"b"))
        direct(world, image("a.img", b"a", ecus=(PRIMARY, TCU)), image("b.img", b"b", ecus=(TCU,)))
    assert refusal.facts["ecu"] == TCU
    assert refusal.error is not None and refusal.error.attack is Attack.MIX_AND_MATCH


@pytest.mark.standard("STD-5.4.4.6-9")
@pytest.mark.parametrize("ecu", ["OTHERecu", "tcudemocar", "TCUdemocar2"])
def test_an_ecu_that_is_not_in_the_vehicle_is_refused(world: World, ecu: str) -> None:
    with refused(world.primary, ForeignEcuError) as refusal:
        direct(world, image("firmware.img", b"one", ecus=(TCU, ecu)))
    assert refusal.facts["ecu"] == ecu
    assert refusal.error is not None and refusal.error.attack is Attack.REPLAY


@pytest.mark.standard("STD-5.2.3.1.1-9")
def test_an_image_for_no_ecu_is_refused(world: World) -> None:
    with refused(world.primary, FormatError) as refusal:
        direct(world, image("firmware.img", b"one"))
    assert refusal.facts["image"] == "firmware.img"


@pytest.mark.standard("STD-5.4.4.2-16", "STD-5.2.3.1.1-10", "STD-5.4.3.4-2")
def test_a_secondary_looks_at_its_own_image_only(world: World) -> None:
    world.images.publish_targets(image("a.img", b"a"))
    world.director.publish_targets(
        image("a.img", b"a", ecus=(TCU,)), image("nowhere.img", b"b", ecus=("ecu in another box",))
    )
    secondary = Ecu(world.director, world.images, {TCU: EcuFacts()}, knows_whole_vehicle=False)
    assert set(secondary.cycle().images) == {TCU}
    assert secondary.held[DIRECTOR] == world.director.held()


@pytest.mark.standard("STD-5.4.4.6-7", "STD-5.4.4.6-8", "STD-5.4.3.4-2")
def test_a_secondary_refuses_two_images_for_itself_and_a_delegating_director_too(world: World) -> None:
    secondary = Ecu(world.director, world.images, {TCU: EcuFacts()}, knows_whole_vehicle=False)
    with refused(secondary, DuplicateEcuError):
        direct(world, image("a.img", b"a", ecus=(TCU,)), image("b.img", b"b", ecus=(TCU,)))
    with refused(secondary, DirectorDelegationError):
        direct(world, delegations=delegations([new_signer()]))


@pytest.mark.standard("STD-5.2.3.1-6")
def test_a_director_that_has_nothing_to_install_is_verified_all_the_same(world: World) -> None:
    direct(world)
    assert world.primary.cycle().images == {}
    assert world.primary.held[DIRECTOR].files["targets"] == world.director.files[world.director.name("targets")]


@pytest.mark.standard("STD-5.4.4.2-17", "STD-5.4.4.2-1", "STD-5.2.3.1-1", "STD-5.4.3.3-6")
@pytest.mark.parametrize("path", ["Firmware.img", "firmware.im", "dir/firmware.img", "firmware.img.", "firmware_img"])
def test_an_image_that_the_image_repository_does_not_list_is_refused(world: World, path: str) -> None:
    """The Director's keys are stolen; without the Image repository's nothing arbitrary can be installed."""
    with refused(world.primary, RepositoryMismatchError) as refusal:
        direct(world, image(path, b"one", ecus=(TCU,)))
    assert (refusal.facts["image"], refusal.facts["ecu"]) == (path, TCU)
    assert refusal.error is not None and refusal.error.attack is Attack.ARBITRARY_SOFTWARE


def changed(what: str) -> Image:
    good = image("firmware.img", b"one", counter=3, ecus=(TCU,), hardware=("A",))
    file, custom = good.file, good.custom
    match what:
        case "length":
            return structs.replace(good, file=structs.replace(file, length=4))
        case "hashes":
            return image("firmware.img", b"two", counter=3, ecus=(TCU,), hardware=("A",))
        case "one hash of two":
            return image("firmware.img", b"one", counter=3, ecus=(TCU,), hardware=("A",), hashes=("sha256",))
        case "one hash more":
            hashes = ("sha256", "sha384", "sha512")
            return image("firmware.img", b"one", counter=3, ecus=(TCU,), hardware=("A",), hashes=hashes)
        case "release counter":
            must_match = MustMatch(release_counter=4, hardware_ids=(A,))
        case "no release counter":
            must_match = MustMatch(hardware_ids=(A,))
        case "hardware":
            must_match = MustMatch(release_counter=3, hardware_ids=(A, B))
        case "no hardware":
            must_match = MustMatch(release_counter=3)
        case _:
            must_match = structs.replace(custom.must_match, extensions=Extensions(((what, b"1"),)))
    return structs.replace(good, custom=structs.replace(custom, must_match=must_match))


@pytest.mark.standard("STD-5.4.4.2-18", "STD-5.2.3.1.1-2", "STD-5.2.3.1.1-6", "STD-5.2.3.1.1-3")
@pytest.mark.standard("STD-5.4.4.2-19a")
@pytest.mark.parametrize(
    ("what", "field"),
    [
        ("length", "length"),
        ("hashes", "hashes"),
        ("one hash of two", "hashes"),
        ("one hash more", "hashes"),
        ("release counter", "must-match custom data"),
        ("no release counter", "must-match custom data"),
        ("hardware", "must-match custom data"),
        ("no hardware", "must-match custom data"),
        ("another field", "must-match custom data"),
    ],
)
def test_both_repositories_must_say_the_same_of_an_image(world: World, what: str, field: str) -> None:
    world.images.publish_targets(image("firmware.img", b"one", counter=3, hardware=("A",)))
    direct(world, image("firmware.img", b"one", counter=3, ecus=(TCU,), hardware=("A",)))
    world.primary.cycle()
    with refused(world.primary, RepositoryMismatchError) as refusal:
        direct(world, changed(what))
    assert (refusal.facts["image"], refusal.facts["field"]) == ("firmware.img", field)


@pytest.mark.standard("STD-5.2.3.1.1-1")
def test_custom_data_that_need_not_match_may_differ(world: World) -> None:
    good = image("firmware.img", b"one", ecus=(TCU,))
    custom = structs.replace(good.custom, url="http://mirror/", extensions=Extensions((("note", b"1"),)))
    direct(world, structs.replace(good, custom=custom))
    assert world.primary.cycle().images[TCU].custom.url == "http://mirror/"


@pytest.mark.standard("STD-5.4.4.2-16")
def test_amb_08_one_bad_image_of_three_refuses_the_whole_bundle(profile: Profile) -> None:
    world = World(profile)
    third = EcuIdentifier("third")
    world.primary.ecus[third] = EcuFacts()
    good = [("a.img", PRIMARY), ("b.img", TCU), ("c.img", third)]
    world.images.publish_targets(*(image(path, b"x") for path, _ in good))
    world.director.publish_targets(*(image(path, b"x", ecus=(ecu,)) for path, ecu in good))
    assert set(world.primary.cycle().images) == {PRIMARY, TCU, third}
    with refused(world.primary, RepositoryMismatchError) as refusal:
        direct(world, *(image(path, b"y" if ecu == third else b"x", ecus=(ecu,)) for path, ecu in good))
    assert refusal.facts["image"] == "c.img"


@pytest.mark.standard("STD-5.4.3.4-5")
@pytest.mark.standard("STD-5.4.4.2-19b")
@pytest.mark.parametrize("counter", [None, 0, 4])
def test_an_older_release_is_not_installed_even_if_both_repositories_list_it(world: World, counter: int | None) -> None:
    with refused(world.primary, ImageRollbackError) as refusal:
        world.primary.ecus[TCU] = EcuFacts(release_counter=5)
        world.release("firmware.img", b"old", counter=counter)
    assert (refusal.facts["ecu"], refusal.facts["expected"], refusal.facts["offered"]) == (TCU, 5, counter)
    assert refusal.error is not None and refusal.error.attack is Attack.ROLLBACK


@pytest.mark.standard("STD-5.4.3.4-5")
def test_amb_26_the_same_or_a_newer_release_may_be_installed(world: World) -> None:
    world.primary.ecus[TCU] = EcuFacts(release_counter=5)
    for counter in (5, 6):
        world.release("firmware.img", b"new", counter=counter)
        assert world.primary.cycle().images[TCU].custom.must_match.release_counter == counter


@pytest.mark.standard("STD-5.4.3.4-3")
def test_an_image_for_other_hardware_is_refused(world: World) -> None:
    with refused(world.primary, HardwareMismatchError) as refusal:
        world.primary.ecus[TCU] = EcuFacts(hardware_id=B)
        world.images.publish_targets(image("firmware.img", b"one", hardware=("A",)))
        world.director.publish_targets(image("firmware.img", b"one", hardware=("A",), ecus=(TCU,)))
    assert (refusal.facts["expected"], refusal.facts["offered"]) == (B, (A,))
    world.primary.ecus[TCU] = EcuFacts(hardware_id=A)
    world.images.publish_targets(image("firmware.img", b"two", hardware=("A", "B")))
    world.director.publish_targets(image("firmware.img", b"two", hardware=("A", "B"), ecus=(TCU,)))
    world.primary.cycle()


@pytest.mark.standard("STD-5.4.3.4-3")
def test_a_director_that_is_wrong_about_an_ecus_hardware_is_refused(world: World) -> None:
    """The image fits both kinds of hardware; the Director takes this ECU for the other kind."""
    good = image("firmware.img", b"one", hardware=("A", "B"))
    wrong = structs.replace(good, custom=structs.replace(good.custom, ecus={TCU: EcuAssignment(hardware_id=A)}))
    with refused(world.primary, HardwareMismatchError) as refusal:
        world.images.publish_targets(good)
        world.primary.ecus[TCU] = EcuFacts(hardware_id=B)
        direct(world, wrong)
    assert (refusal.facts["expected"], refusal.facts["offered"]) == (B, (A,))
    assert str(refusal.error).startswith("image firmware.img is for A, and ECU TCUdemocar is B")


def test_hardware_that_nobody_knows_is_not_compared() -> None:
    described = image("a.img", b"a", ecus=(TCU,), hardware=("A",))
    check_hardware(described, TCU, EcuFacts())
    check_hardware(described, PRIMARY, EcuFacts(hardware_id=A))
    check_hardware(Image(file=described.file, custom=Custom()), TCU, EcuFacts(hardware_id=A))


@pytest.mark.standard("STD-5.4.4.7-7")
def test_an_ecu_whose_hardware_is_not_known_does_not_hide_that_of_another() -> None:
    """A Director adds an unknown ECU to an image, so that no hardware would be compared with the delegations."""
    described = image("a.img", b"a", ecus=(TCU, PRIMARY, "another"))
    assert hardware_of(described, {TCU: EcuFacts(hardware_id=A), PRIMARY: EcuFacts()}) == {A}
    assert hardware_of(described, {TCU: EcuFacts(), PRIMARY: EcuFacts()}) is None


def test_the_image_repository_may_be_for_any_vehicle_and_name_no_ecu(world: World) -> None:
    world.images.offer(Role.TARGETS, expires=FAR)
    bundle = world.primary.cycle()
    assert set(bundle.files) == {DIRECTOR, IMAGES}
    assert bundle.images[TCU].file.path == ImagePath("firmware.img")
