"""What a delegation covers (hardware, paths, hashed bins), and when several roles must agree (5.4.4.8)."""

import hashlib
from collections.abc import Sequence

import pytest
from delegating import (
    X,
    Y,
    Z,
    asked,
    chosen,
    direct,
    key,
    not_found,
    publish,
    role,
    to,
    to_all,
)
from delegating import world as world
from world import TCU, World, delegation, image, listed, refused

from uptane.metadata.errors import (
    RepositoryMismatchError,
    UnreachableError,
)
from uptane.metadata.identifiers import HardwareIdentifier, RoleName
from uptane.metadata.targets import Image
from uptane.verification.match_images import EcuFacts
from uptane.verification.multi_role import agree

pytestmark = pytest.mark.standard("STD-5.4.4.7")


@pytest.mark.standard("STD-5.4.4.7-7", "STD-5.2.3.2-7")
def test_a_supplier_speaks_for_its_own_hardware_only(world: World) -> None:
    """Supplier A signs an image whose name is within its paths, but for the hardware of supplier B."""
    a, b = HardwareIdentifier("A"), HardwareIdentifier("B")
    publish(world, targets=role(to("a", hardware=["A"]), to("b", hardware=["B"])), a=role(X), b=role(Y))
    for hardware, content in ((a, b"x"), (b, b"y")):
        world.primary.ecus[TCU] = EcuFacts(hardware_id=hardware)
        assert chosen(world, b"x", b"y") == content
        assert asked(world)[-1:] in (["a"], ["b"], [])
    world.primary.ecus[TCU] = EcuFacts(hardware_id=HardwareIdentifier("C"))
    direct(world)
    with pytest.raises(RepositoryMismatchError):
        world.primary.cycle()


@pytest.mark.standard("STD-5.4.4.7-7")
def test_an_unknown_ecu_beside_it_does_not_lend_an_ecu_to_another_supplier(world: World) -> None:
    publish(world, targets=role(to("a", hardware=["A"])), a=role(X))
    world.primary.ecus[TCU] = EcuFacts(hardware_id=HardwareIdentifier("B"))
    world.primary.knows_whole_vehicle = False
    world.director.publish_targets(image("a.img", b"x", ecus=(TCU, "unknown")))
    with pytest.raises(RepositoryMismatchError):
        world.primary.cycle()


@pytest.mark.standard("STD-5.4.4.7-7", "STD-5.2.3.2-6")
@pytest.mark.parametrize(
    ("pattern", "path", "covered"),
    [
        ("*.img", "a.img", True),
        ("*.img", "dir/a.img", False),
        ("dir/*.img", "dir/a.img", True),
        ("dir/*", "dir/sub/a.img", False),
        ("?.img", "a.img", True),
        ("?.img", "ab.img", False),
        ("A.img", "a.img", False),
        ("*", "a.img", True),
    ],
)
def test_the_name_must_match_at_every_link_of_the_chain(world: World, pattern: str, path: str, covered: bool) -> None:
    found = image(path, b"x")
    for first, second in ((pattern, path), (path, pattern)):
        publish(world, targets=role(to("a", first)), a=role(to("b", second)), b=role(found))
        if covered:
            assert chosen(world, b"x", path=path) == b"x"
        else:
            direct(world, b"x", path)
            with pytest.raises(RepositoryMismatchError):
                world.primary.cycle()


@pytest.mark.standard("STD-5.2.3.1-2")
def test_hashed_bins_divide_the_images_among_them(world: World) -> None:
    digest = hashlib.sha256(b"a.img").hexdigest()
    right = delegation("right", [key("right")], path_hash_prefixes=(digest[:2],))
    wrong = delegation("wrong", [key("wrong")], path_hash_prefixes=(("0" if digest[0] != "0" else "1") + digest[1:],))
    publish(world, targets=role(wrong, right), wrong=role(Y), right=role(X))
    assert chosen(world, b"y", b"x") == b"x"


@pytest.mark.standard("STD-5.4.4.8-7")
@pytest.mark.standard("STD-5.4.4.8-6", "STD-5.1.2.1-7", "STD-5.1.2.1-8", "STD-5.4.4.8-4", "STD-5.4.4.8-5")
@pytest.mark.parametrize(
    ("contents", "needed", "winner"),
    [
        ((X, X), 2, b"x"),
        ((X, Y), 2, None),
        ((X, Y), 1, b"x"),
        ((Y, X), 1, b"y"),
        ((X, Y, Y), 2, b"y"),
        ((X, Y, Z), 2, None),
        ((None, X, X), 2, b"x"),
        ((None, X, X), 3, None),
        ((X, Y, Y, X), 2, b"x"),
        ((None, None), 1, None),
    ],
)
def test_amb_09_enough_roles_of_a_group_must_say_the_same(
    world: World, contents: Sequence[Image | None], needed: int, winner: bytes | None
) -> None:
    names = "abcd"[: len(contents)]
    signed = {name: role(*([entry] if entry else [])) for name, entry in zip(names, contents, strict=True)}
    publish(world, targets=role(to_all(*names, agree=needed)), **signed)
    if winner is None:
        not_found(world)
    else:
        assert chosen(world, b"x", b"y", b"z") == winner
    expected = None if winner is None else {b"x": X, b"y": Y, b"z": Z}[winner]
    assert agree(contents, needed) == expected


@pytest.mark.standard("STD-5.4.4.8-4")
def test_agreement_is_on_must_match_data_as_well(world: World) -> None:
    publish(
        world,
        targets=role(to_all("a", "b")),
        a=role(image("a.img", b"x", counter=1)),
        b=role(image("a.img", b"x", counter=2)),
    )
    not_found(world)


@pytest.mark.standard("STD-5.4.4.7-8", "STD-5.4.4.8-7")
def test_a_terminating_group_that_disagrees_ends_the_search(world: World) -> None:
    roles = {"a": role(X), "b": role(Y), "c": role(X)}
    publish(world, targets=role(to_all("a", "b", terminating=True), to("c")), **roles)
    not_found(world)
    publish(world, targets=role(to_all("a", "b"), to("c")))
    assert chosen(world, b"x") == b"x"


@pytest.mark.standard("STD-5.4.4.8-3")
def test_a_group_whose_member_is_withheld_says_nothing(world: World) -> None:
    publish(world, targets=role(to_all("a", "b", "c", agree=2)), a=role(X), b=role(X), c=role(Y))
    assert chosen(world, b"x") == b"x"
    with refused(world.primary, UnreachableError) as refusal:
        world.images.offer("a", signers=[key("a")])
        del world.images.files[world.images.name("a", 2)]
    assert refusal.facts["role"] == "a"


@pytest.mark.standard("STD-5.4.4.8-2")
def test_a_member_of_a_group_may_delegate(world: World) -> None:
    publish(world, targets=role(to_all("a", "b")), a=role(to("below")), below=role(X), b=role(X))
    assert chosen(world, b"x") == b"x"


@pytest.mark.standard("STD-5.4.4.8-2")
def test_two_members_of_a_group_may_rely_on_the_same_role(world: World) -> None:
    """What the first member found below must not be hidden from the second."""
    publish(world, targets=role(to_all("a", "b")), a=role(to("c")), b=role(to("c")), c=role(to("d")), d=role(X))
    assert chosen(world, b"x") == b"x"


def test_what_a_snapshot_lists_of_a_role_is_what_was_published(world: World) -> None:
    publish(world, targets=role(to("a")), a=role(X))
    raw = world.images.files[world.images.name("a")]
    assert world.images.snapshot.files[RoleName("a")] == listed(raw, 1)
