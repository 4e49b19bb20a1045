"""Partial verification (5.4.4.1): what an ECU refuses that sees nothing but the Director's Root and Targets."""

import pytest
from msgspec import structs
from partial import PartialEcu
from world import (
    DIRECTOR,
    PRIMARY,
    TCU,
    Repository,
    World,
    delegation,
    delegations,
    image,
    new_signer,
    refused,
)

from uptane.formats.profile import Profile
from uptane.metadata.errors import (
    BadSignatureError,
    DirectorDelegationError,
    DuplicateEcuError,
    EndlessDataError,
    ExpiredMetadataError,
    FormatError,
    HardwareMismatchError,
    ImageRollbackError,
    ReplayedMetadataError,
    RepositoryMismatchError,
    UnreachableError,
    WrongVehicleError,
)
from uptane.metadata.identifiers import HardwareIdentifier, VehicleIdentifier
from uptane.metadata.root import MAX_VERSION, Role
from uptane.metadata.targets import EcuAssignment, Targets
from uptane.signing.publish import Draft
from uptane.signing.sign import sign
from uptane.verification.limits import Limits
from uptane.verification.match_images import EcuFacts

A, B = HardwareIdentifier("A"), HardwareIdentifier("B")
EVERY = pytest.mark.parametrize("pinned", [False, True], ids=["follows Root", "pinned keys"])


@pytest.fixture
def ecu(world: World, pinned: bool) -> PartialEcu:
    """A TCU that took the image of the world, in each profile of AMB-17."""
    ecu = PartialEcu.made(world, pinned=pinned)
    ecu.cycle()
    return ecu


def director_targets(world: World) -> Targets:
    """What the Director has published."""
    payload = world.director.payload(Role.TARGETS)
    assert isinstance(payload, Targets)
    return payload


@EVERY
@pytest.mark.standard("STD-5.4.4.1-3")
@pytest.mark.standard("STD-5.4.2.6-3")
def test_the_directors_targets_are_enough_and_nothing_else_is_asked_for(world: World, ecu: PartialEcu) -> None:
    world.director.publish_targets(image("new.img", b"two", ecus=(TCU,)), image("other.img", b"3", ecus=(PRIMARY,)))
    result = ecu.cycle()
    assert result.image is not None
    assert result.image.file.path == "new.img"
    assert result.targets.raw == ecu.held[DIRECTOR].files[Role.TARGETS]
    name = ecu.director.name
    root = [] if ecu.pinned else [f"director/{name(Role.ROOT, 2)}"]
    assert ecu.fetched == [*root, f"director/{name(Role.TARGETS)}"]


@EVERY
def test_an_ecu_that_the_director_does_not_name_is_to_have_nothing(world: World, ecu: PartialEcu) -> None:
    world.director.publish_targets(image("other.img", b"3", ecus=(PRIMARY,)))
    assert ecu.cycle().image is None


@EVERY
def test_what_did_not_change_is_not_written_again(ecu: PartialEcu, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ecu, "commit", lambda step: pytest.fail("was written"))
    ecu.cycle()


@EVERY
@pytest.mark.standard("STD-5.4.4.6-3")
def test_targets_that_somebody_else_signed_are_refused(world: World, ecu: PartialEcu) -> None:
    for thieves in ([new_signer()], world.director.signers[Role.SNAPSHOT], world.images.signers[Role.TARGETS], []):
        with refused(ecu, BadSignatureError) as refusal:
            world.director.offer(Role.TARGETS, signers=thieves, relist=False)
        assert refusal.facts["role"] == Role.TARGETS


@EVERY
@pytest.mark.standard("STD-5.4.4.6-3")
def test_too_few_keys_are_refused_and_one_key_does_not_count_twice(profile: Profile, pinned: bool) -> None:
    world = World(profile, keys=3, threshold=2)
    world.release("firmware.img", b"one")
    ecu = PartialEcu.made(world, pinned=pinned)
    first, second, _ = world.director.signers[Role.TARGETS]
    for signers in ([first], [first, new_signer()]):
        with refused(ecu, BadSignatureError) as refusal:
            world.director.offer(Role.TARGETS, signers=signers, relist=False)
        assert (refusal.facts["expected"], refusal.facts["offered"]) == (2, 1)
    world.director.offer(Role.TARGETS, signers=[second, first])
    assert ecu.cycle().image is not None


@EVERY
@pytest.mark.standard("STD-5.4.4.6-5")
@pytest.mark.standard("STD-5.4.1-2")
@pytest.mark.standard("STD-5.4.4.1-3")
def test_a_replay_of_older_targets_is_refused(world: World, ecu: PartialEcu) -> None:
    old = world.director.files[world.director.name(Role.TARGETS)]
    world.release("firmware.img", b"two")
    ecu.cycle()
    with refused(ecu, ReplayedMetadataError) as refusal:
        world.director.files[world.director.name(Role.TARGETS)] = old
    assert refusal.facts["offered"] == director_targets(world).version - 1
    fresh = PartialEcu.made(world, pinned=ecu.pinned is not None)
    with refused(fresh, ReplayedMetadataError):
        world.director.files[world.director.name(Role.TARGETS)] = old


@EVERY
@pytest.mark.standard("STD-5.4.4.6-5")
@pytest.mark.standard("STD-5.4.4.1-3")
def test_other_targets_of_the_same_version_are_refused(world: World, ecu: PartialEcu) -> None:
    with refused(ecu, ReplayedMetadataError):
        evil = image("evil.img", b"evil", ecus=(TCU,))
        version = director_targets(world).version
        world.director.offer(Role.TARGETS, version=version, images={evil.file.path: evil})


@EVERY
@pytest.mark.standard("STD-5.2.3.1-6")
def test_targets_of_another_vehicle_are_refused_although_the_same_director_signed_them(
    world: World, ecu: PartialEcu
) -> None:
    for vehicle in (VehicleIdentifier("112"), None):
        with refused(ecu, WrongVehicleError) as refusal:
            payload = structs.replace(director_targets(world), vehicle=vehicle, version=MAX_VERSION)
            world.director.write(Role.TARGETS, payload, world.director.signers[Role.TARGETS])
        assert refusal.facts["offered"] == vehicle


@EVERY
@pytest.mark.standard("STD-5.4.4.6-6")
@pytest.mark.standard("STD-5.4.4.1-1")
@pytest.mark.standard("STD-5.4.4.1-3")
def test_expired_targets_are_refused_also_those_that_are_held(world: World, ecu: PartialEcu) -> None:
    with refused(ecu, ExpiredMetadataError) as refusal:
        world.director.offer(Role.TARGETS, expires=ecu.now)
    assert refusal.facts["role"] == Role.TARGETS
    with refused(ecu, ExpiredMetadataError) as refusal:
        ecu.now = director_targets(world).expires
    assert refusal.facts["role"] == Role.TARGETS


@EVERY
@pytest.mark.standard("STD-5.4.4.6-7")
def test_targets_that_delegate_are_refused(world: World, ecu: PartialEcu) -> None:
    thief = new_signer()
    with refused(ecu, DirectorDelegationError):
        world.director.offer(Role.TARGETS, delegations=delegations([thief], delegation("x", [thief], paths=["*"])))


@EVERY
@pytest.mark.standard("STD-5.4.4.6-8")
def test_two_images_for_one_ecu_are_refused_also_for_another_one(world: World, ecu: PartialEcu) -> None:
    for twice in (TCU, PRIMARY):
        with refused(ecu, DuplicateEcuError) as refusal:
            images = [image("a.img", b"a", ecus=(twice,)), image("b.img", b"b", ecus=(twice,))]
            world.director.offer(Role.TARGETS, images={i.file.path: i for i in images})
        assert refusal.facts["ecu"] == twice


@EVERY
@pytest.mark.standard("STD-5.2.3.1.1-9")
def test_an_image_for_no_ecu_is_refused_in_partial_verification(world: World, ecu: PartialEcu) -> None:
    with refused(ecu, FormatError):
        nobody = image("a.img", b"a")
        world.director.offer(Role.TARGETS, images={nobody.file.path: nobody})


@EVERY
@pytest.mark.standard("STD-5.4.3.4-3")
@pytest.mark.standard("STD-5.4.4.1-3")
def test_an_image_for_other_hardware_is_refused_in_partial_verification(world: World, ecu: PartialEcu) -> None:
    ecu.ecus[TCU] = EcuFacts(hardware_id=B, is_self=True)
    described = image("a.img", b"a", ecus=(TCU,), hardware=("A",))
    mistaken = structs.replace(
        image("a.img", b"a"), custom=structs.replace(described.custom, ecus={TCU: EcuAssignment(hardware_id=A)})
    )
    for wrong in (described, mistaken):
        with refused(ecu, HardwareMismatchError):
            world.director.offer(Role.TARGETS, images={wrong.file.path: wrong})
    ecu.ecus[TCU] = EcuFacts(hardware_id=A, is_self=True)
    world.director.publish_targets(described)
    assert ecu.cycle().image == described


@EVERY
@pytest.mark.standard("STD-5.4.3.4-3")
def test_an_ecu_that_does_not_know_its_hardware_takes_no_image_for_some_hardware(world: World, ecu: PartialEcu) -> None:
    with refused(ecu, HardwareMismatchError):
        ecu.ecus[TCU] = EcuFacts(is_self=True)
        described = image("a.img", b"a", ecus=(TCU,), hardware=("A",))
        world.director.offer(Role.TARGETS, images={described.file.path: described})


@EVERY
@pytest.mark.standard("STD-5.4.3.4-5")
@pytest.mark.parametrize("counter", [None, 4])
def test_an_older_release_is_refused_in_partial_verification(
    world: World, ecu: PartialEcu, counter: int | None
) -> None:
    world.release("firmware.img", b"new", counter=5)
    ecu.cycle()
    with refused(ecu, ImageRollbackError) as refusal:
        ecu.ecus[TCU] = EcuFacts(release_counter=5, is_self=True)
        old = image("firmware.img", b"old", counter=counter, ecus=(TCU,))
        world.director.offer(Role.TARGETS, images={old.file.path: old})
    assert (refusal.facts["expected"], refusal.facts["offered"]) == (5, counter)


@EVERY
@pytest.mark.standard("STD-5.4.4.6-1")
@pytest.mark.standard("STD-5.4.4.1-3")
def test_endless_targets_and_missing_ones_are_told_apart(world: World, ecu: PartialEcu) -> None:
    with refused(ecu, EndlessDataError):
        ecu.limits = Limits(targets_bytes=len(ecu.held[DIRECTOR].files[Role.TARGETS]) - 1)
    with refused(ecu, UnreachableError):
        del world.director.files[world.director.name(Role.TARGETS)]


@EVERY
def test_another_role_under_the_name_of_targets_is_refused(world: World, ecu: PartialEcu) -> None:
    """A hostile Primary mixes files: of other roles, and of the Image repository."""
    name = world.director.name(Role.TARGETS)
    for role in (Role.ROOT, Role.SNAPSHOT, Role.TIMESTAMP):
        with refused(ecu, FormatError):
            world.director.files[name] = world.director.files[world.director.name(role)]
    with refused(ecu, BadSignatureError):
        world.director.files[name] = world.images.files[world.images.name(Role.TARGETS)]


def test_targets_of_the_old_keys_are_refused_beside_the_new_root(world: World) -> None:
    """A hostile Primary mixes files of two days."""
    ecu = PartialEcu.made(world, pinned=False)
    stolen = world.director.signers[Role.TARGETS]
    world.director.rotate(Role.TARGETS)
    with refused(ecu, BadSignatureError, new_roots=True):
        world.director.offer(Role.TARGETS, signers=stolen, relist=False)
    assert ecu.cycle().image is not None


@pytest.mark.standard("STD-5.4.4.1-4")
def test_amb_17_an_ecu_that_follows_root_takes_new_targets_keys(world: World) -> None:
    ecu = PartialEcu.made(world, pinned=False)
    stolen = world.director.signers[Role.TARGETS]
    for content in (b"two", b"three"):
        world.director.rotate(Role.TARGETS, Role.ROOT)
        world.release("firmware.img", content)
    newest = ecu.cycle().image
    assert newest is not None
    assert newest.file == image("firmware.img", b"three").file
    assert ecu.held[DIRECTOR].root == world.director.files[world.director.name(Role.ROOT)]
    with refused(ecu, BadSignatureError):
        world.director.offer(Role.TARGETS, signers=stolen, relist=False)


@pytest.mark.standard("STD-5.4.4.1-4")
def test_amb_17_pinned_keys_never_rotate(world: World) -> None:
    ecu = PartialEcu.made(world, pinned=True)
    stolen, root = world.director.signers[Role.TARGETS], ecu.held[DIRECTOR].root
    world.director.rotate(Role.TARGETS)
    for _ in range(2):
        with pytest.raises(BadSignatureError):
            ecu.cycle()
        world.release("firmware.img", b"another")
    assert ecu.held[DIRECTOR].root == root
    world.director.offer(Role.TARGETS, signers=stolen, relist=False)
    assert ecu.cycle().image is not None, "whoever holds the pinned key is believed, also after it was revoked"


def test_a_root_that_the_old_keys_did_not_sign_is_refused_in_partial_verification(world: World) -> None:
    ecu = PartialEcu.made(world, pinned=False)
    with refused(ecu, BadSignatureError) as refusal:
        stranger = Repository(world.profile, vehicle=world.director.vehicle)
        stranger.publish(Draft(root=stranger.draft_root(), targets={}))
        name = stranger.name(Role.ROOT, 2)
        world.director.files[name] = stranger.files[name]
        world.director.files[stranger.name(Role.TARGETS)] = stranger.files[stranger.name(Role.TARGETS)]
    assert refusal.facts["role"] == Role.ROOT


def test_a_root_that_has_expired_is_refused_in_partial_verification(world: World) -> None:
    ecu = PartialEcu.made(world, pinned=False)
    with refused(ecu, ExpiredMetadataError) as refusal:
        ecu.now = world.director.root.expires
        world.director.offer(Role.TARGETS, expires=ecu.now.replace(year=ecu.now.year + 1))
    assert refusal.facts["role"] == Role.ROOT


@pytest.mark.standard("STD-5.4.4.3-9")
def test_versions_that_a_thief_ran_up_are_forgotten_with_his_keys(world: World) -> None:
    ecu = PartialEcu.made(world, pinned=False)
    genuine = director_targets(world)
    thief = world.director.signers[Role.TARGETS]
    far = sign(world.profile, structs.replace(genuine, version=MAX_VERSION), thief)
    name = world.director.name(Role.TARGETS)
    honest = world.director.files[name]
    world.director.files[name] = far
    ecu.cycle()
    world.director.files[name] = honest
    with pytest.raises(ReplayedMetadataError):
        ecu.cycle()
    world.director.rotate(Role.TARGETS)
    ecu.cycle()
    assert ecu.held[DIRECTOR].files[Role.TARGETS] == world.director.files[name]
    with refused(ecu, BadSignatureError):
        world.director.files[name] = far


def test_new_keys_of_other_roles_do_not_open_the_way_for_a_replay(world: World) -> None:
    ecu = PartialEcu.made(world, pinned=False)
    old = world.director.files[world.director.name(Role.TARGETS)]
    world.release("firmware.img", b"two")
    ecu.cycle()
    world.director.rotate(Role.TIMESTAMP, Role.SNAPSHOT)
    with refused(ecu, ReplayedMetadataError, new_roots=True):
        world.director.files[world.director.name(Role.TARGETS)] = old


@EVERY
@pytest.mark.standard("STD-5.4.4.2-17")
def test_stolen_director_keys_fool_partial_verification_and_not_the_full_one(world: World, ecu: PartialEcu) -> None:
    """The limit of partial verification (TH-18): nothing stands beside the Director but a Primary that is honest."""
    evil = image("evil.img", b"evil", ecus=(TCU,))
    world.director.publish_targets(evil)
    with pytest.raises(RepositoryMismatchError):
        world.primary.cycle()
    assert ecu.cycle().image == evil
    assert {name.partition("/")[0] for name in ecu.fetched} == {DIRECTOR}
