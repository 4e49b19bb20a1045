"""With `unsafe_refuse_single_images` a bad image is refused alone (AMB-8); what is kept, and what is not hidden."""

import copy

import pytest
from delegating import key, role, to
from msgspec import structs
from world import PRIMARY, TCU, World, image, new_signer, refused, targets

from uptane.formats.profile import Profile
from uptane.metadata.delegations import TARGETS_ROLE
from uptane.metadata.errors import (
    BadSignatureError,
    DuplicateEcuError,
    HardwareMismatchError,
    RepositoryMismatchError,
    UptaneError,
)
from uptane.metadata.identifiers import EcuIdentifier, HardwareIdentifier, RoleName
from uptane.metadata.root import Role
from uptane.metadata.targets import EcuAssignment, Image
from uptane.signing.publish import Draft
from uptane.verification.match_images import EcuFacts

THIRD = EcuIdentifier("third")
ALONE = {"unsafe_refuse_single_images": True}
GOOD = {PRIMARY: image("a.img", b"x"), TCU: image("b.img", b"x")}
X = image("c.img", b"x")
ATTACKS: dict[str, tuple[Image, Image, type[UptaneError]]] = {
    "other hash": (image("c.img", b"y"), X, RepositoryMismatchError),
    "other counter": (image("c.img", b"x", counter=9), X, RepositoryMismatchError),
    "not listed": (image("d.img", b"x"), X, RepositoryMismatchError),
    "other hardware": (*[image("c.img", b"x", hardware=("A",))] * 2, HardwareMismatchError),
    "supplier's keys": (image("s/c.img", b"x"), X, BadSignatureError),
}
"""What the Director says of the third image, what the Image repository does, and the error."""


def directed(images: dict[EcuIdentifier, Image]) -> list[Image]:
    return [
        structs.replace(each, custom=structs.replace(each.custom, ecus={ecu: EcuAssignment()}))
        for ecu, each in images.items()
    ]


@pytest.mark.standard("STD-5.4.4.2-16")
@pytest.mark.parametrize("attack", ATTACKS)
def test_amb_08_an_ecu_can_be_told_to_refuse_the_bad_image_of_three_alone(profile: Profile, attack: str) -> None:
    """It keeps the good ones, names the error, and commits nothing: the next cycle finds the same attack."""
    world, supplier = World(profile), RoleName("supplier")
    ecu = world.primary
    ecu.ecus[THIRD] = EcuFacts(hardware_id=HardwareIdentifier("B"))
    ecu.rules |= ALONE
    bad, listed, expected = ATTACKS[attack]
    world.images.keyring[key("supplier").key.key_id] = key("supplier")
    top = role(*GOOD.values(), listed, to("supplier", "s/*"))
    world.images.publish(Draft(targets={TARGETS_ROLE: top, supplier: targets(image("s/c.img", b"x"))}))
    if attack == "supplier's keys":
        world.images.offer(supplier, signers=[new_signer()])
    world.director.publish_targets(*directed({**GOOD, THIRD: bad}))
    held = copy.deepcopy(ecu.held)
    for _ in range(2):
        bundle = ecu.cycle()
        assert set(bundle.images) == set(bundle.needs) == {PRIMARY, TCU}
        assert {name: type(error) for name, error in bundle.refused.items()} == {THIRD: expected}
        assert ecu.held == held
    ecu.rules.clear()
    with pytest.raises(expected):
        ecu.cycle()
    assert ecu.held == held
    ecu.rules |= ALONE
    world.director.publish_targets(*directed(GOOD))
    assert ecu.cycle().refused == {}
    assert ecu.held != held


@pytest.mark.standard("STD-5.4.4.2-16")
@pytest.mark.parametrize("attack", ["every image", "a Director's rule", "the Image repository"])
def test_what_concerns_every_image_refuses_the_bundle_also_then(world: World, attack: str) -> None:
    world.primary.rules |= ALONE
    errors = {"every image": RepositoryMismatchError, "a Director's rule": DuplicateEcuError}
    with refused(world.primary, errors.get(attack, BadSignatureError)):
        if attack == "every image":
            world.director.publish_targets(*directed(GOOD))
        elif attack == "a Director's rule":
            world.director.publish_targets(image("a.img", b"x", ecus=(TCU,)), image("b.img", b"x", ecus=(TCU,)))
        else:
            world.images.offer(Role.TARGETS, signers=[new_signer()])
