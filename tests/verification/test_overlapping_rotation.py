"""Keys that are added beside the old ones take no floor away: an old, genuine file stays refused."""

from collections.abc import Iterator, Sequence
from dataclasses import replace

import pytest
from world import World, image, new_signer, targets

from uptane.formats.profile import Profile
from uptane.metadata.delegations import TARGETS_ROLE
from uptane.metadata.errors import ReplayedMetadataError
from uptane.metadata.root import Role
from uptane.signing.publish import Draft, new_root

ONLINE = (Role.TIMESTAMP, Role.SNAPSHOT, Role.TARGETS)


@pytest.mark.standard("STD-5.4.4.3-9")
def test_a_root_that_only_adds_keys_does_not_open_the_way_for_a_rollback(profile: Profile) -> None:
    world = World(profile)
    world.release("withdrawn.img", b"withdrawn")
    world.primary.cycle()
    old = dict(world.director.files)
    world.director.publish(Draft(targets={TARGETS_ROLE: targets()}))
    world.primary.cycle()
    for role in ONLINE:
        world.director.signers[role].append(new_signer())
        world.director.keyring |= {s.key.key_id: s for s in world.director.signers[role]}
    world.director.publish(Draft(root=new_root(world.director.signers)))
    root = world.director.files[world.director.name(Role.ROOT, 2)]
    world.director.files.clear()
    world.director.files.update(old | {world.director.name(Role.ROOT, 2): root})
    with pytest.raises(ReplayedMetadataError):
        world.primary.cycle()


@pytest.mark.standard("STD-5.4.4.3-9")
def test_a_key_that_could_sign_alone_and_is_taken_away_takes_its_floors_with_it(profile: Profile) -> None:
    world = World(profile)
    world.release("firmware.img", b"fresh")
    for role in ONLINE:
        world.director.signers[role].append(new_signer())
        world.director.keyring |= {s.key.key_id: s for s in world.director.signers[role]}
    honest = world.director.publish(Draft(root=new_root(world.director.signers)))
    world.director.published = replace(honest, timestamp_version=2**31 - 10, snapshot_version=2**31 - 10)
    world.director.publish()
    world.primary.cycle()
    for role in ONLINE:
        del world.director.signers[role][0]
    listed = image("firmware.img", b"fresh", ecus=("TCUdemocar",))
    world.director.published = honest
    world.director.publish(Draft(root=new_root(world.director.signers), targets={TARGETS_ROLE: targets(listed)}))
    assert world.primary.cycle().director.timestamp.value.version == honest.timestamp_version + 1


@pytest.mark.standard("STD-5.4.4.3-9")
def test_replacing_one_key_of_several_does_not_open_the_way_for_a_rollback(profile: Profile) -> None:
    """The newest files were signed by the key that goes and another; the older ones by two that stay."""
    world = World(profile, keys=3, threshold=2)
    keyring = dict(world.director.keyring)
    gone = {world.director.signers[role][0].key.key_id for role in ONLINE}
    world.director.keyring = {key_id: signer for key_id, signer in keyring.items() if key_id not in gone}
    world.release("withdrawn.img", b"withdrawn")
    world.primary.cycle()
    old = dict(world.director.files)
    last = {world.director.signers[role][2].key.key_id for role in ONLINE}
    world.director.keyring = {key_id: signer for key_id, signer in keyring.items() if key_id not in last}
    world.director.publish(Draft(targets={TARGETS_ROLE: targets()}))
    world.primary.cycle()
    world.director.keyring = keyring
    for role in ONLINE:
        world.director.signers[role][0] = new_signer()
        world.director.keyring |= {s.key.key_id: s for s in world.director.signers[role]}
    world.director.publish(Draft(root=new_root(world.director.signers, world.director.thresholds)))
    root = world.director.files[world.director.name(Role.ROOT, 2)]
    world.director.files.clear()
    world.director.files.update(old | {world.director.name(Role.ROOT, 2): root})
    with pytest.raises(ReplayedMetadataError):
        world.primary.cycle()


def one_key_at_a_time(world: World, roles: Sequence[Role]) -> Iterator[None]:
    """Each step replaces one key of every role, by a Root of its own, until none of the old ones is left."""
    for place in range(2):
        for role in roles:
            world.director.signers[role][place] = new_signer()
            world.director.keyring |= {s.key.key_id: s for s in world.director.signers[role]}
        world.director.publish(Draft(root=new_root(world.director.signers, world.director.thresholds)))
        yield


@pytest.mark.standard("STD-5.4.4.3-9")
@pytest.mark.parametrize("between", [False, True], ids=["in one cycle", "in two cycles"])
def test_amb_07_keys_that_are_replaced_one_by_one_take_their_floors_with_them(profile: Profile, between: bool) -> None:
    world = World(profile, keys=2, threshold=2)
    world.release("firmware.img", b"fresh")
    world.primary.cycle()
    honest = world.director.published
    assert honest is not None
    far = 2**31 - 10
    world.director.published = replace(honest, timestamp_version=far, snapshot_version=far)
    world.director.publish()
    world.primary.cycle()
    world.director.published = honest
    for _ in one_key_at_a_time(world, ONLINE):
        if between and world.director.published.root.payload.version == 2:
            with pytest.raises(ReplayedMetadataError):
                world.primary.cycle()
    assert world.primary.cycle().director.timestamp.value.version < far
