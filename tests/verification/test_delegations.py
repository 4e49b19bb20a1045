"""Whose word counts for an image (5.4.4.7), and when several roles must agree on it (5.4.4.8)."""

from collections.abc import Sequence
from datetime import timedelta
from itertools import pairwise

import pytest
from delegating import (
    X,
    Y,
    asked,
    chosen,
    forget_snapshot,
    key,
    not_found,
    publish,
    role,
    to,
    to_all,
)
from delegating import world as world
from msgspec import structs
from world import FAR, IMAGES, NOW, World, delegation, delegations, new_signer, refused, targets

from uptane.metadata.errors import (
    BadSignatureError,
    DelegationError,
    EndlessDataError,
    ExpiredMetadataError,
    FormatError,
    MixAndMatchError,
    ReplayedMetadataError,
    UnreachableError,
)
from uptane.metadata.identifiers import RoleName
from uptane.metadata.keys import KeyType
from uptane.metadata.root import Role
from uptane.metadata.snapshot import MetadataFile
from uptane.signing.publish import Draft
from uptane.verification.limits import Limits

pytestmark = pytest.mark.standard("STD-5.4.4.7")


@pytest.mark.standard("STD-5.4.4.7-1", "STD-5.4.4.7-2", "STD-5.2.3.2-12", "STD-5.2.3-1")
@pytest.mark.standard("STD-5.4.4.7-9")
@pytest.mark.parametrize("level", [0, 1, 2, 3])
def test_an_image_is_found_at_every_level(world: World, level: int) -> None:
    names = ["targets", "first", "second", "third"]
    content = {name: role(to(below)) for name, below in pairwise(names)}
    content["third"] = role()
    content[names[level]] = role(X) if level == 3 else structs.replace(content[names[level]], images=role(X).images)
    publish(world, **content)
    assert chosen(world, b"x") == b"x"
    assert asked(world) == names[1 : level + 1]
    held = world.primary.held[IMAGES].files
    assert all(held[name] == world.images.files[world.images.name(name)] for name in names[: level + 1])


@pytest.mark.standard("STD-5.2.3.2-11", "STD-5.4.4.6-4")
@pytest.mark.parametrize("kind", list(KeyType))
def test_delegated_roles_have_every_kind_of_key_and_a_threshold(world: World, kind: KeyType) -> None:
    """CVE-2026-6966: one key met the threshold of a delegated role by signing twice."""
    signers = [new_signer(kind) for _ in range(3)]
    world.images.keyring |= {signer.key.key_id: signer for signer in signers}
    below = delegations(signers, delegation("supplier", signers, paths=["*"], threshold=2))
    content = {RoleName("targets"): targets(delegations=below), RoleName("supplier"): role(X)}
    world.images.publish(Draft(targets=content))
    assert chosen(world, b"x") == b"x"
    for few in (signers[:1], [signers[0], new_signer(kind)], []):
        with refused(world.primary, BadSignatureError) as refusal:
            world.images.offer("supplier", signers=few)
        assert (refusal.facts["role"], refusal.facts["expected"]) == ("supplier", 2)
        assert refusal.facts["offered"] == min(1, len(few))
    world.images.offer("supplier", signers=signers[1:])
    world.primary.cycle()


@pytest.mark.standard("STD-5.4.4.7-4")
def test_a_roles_own_entry_beats_its_delegations(world: World) -> None:
    publish(world, targets=role(X, to("a")), a=role(Y))
    assert chosen(world, b"y", b"x") == b"x"
    assert asked(world) == []


@pytest.mark.standard("STD-5.4.4.7-6", "STD-5.1.2.1-3", "STD-5.2.3.2-3")
@pytest.mark.parametrize(("order", "winner"), [(("a", "b"), b"x"), (("b", "a"), b"y")])
def test_the_first_delegation_in_the_list_wins(world: World, order: Sequence[str], winner: bytes) -> None:
    publish(world, targets=role(*map(to, order)), a=role(X), b=role(Y))
    assert chosen(world, b"x", b"y") == winner
    assert asked(world) in ([], [order[0]])


@pytest.mark.standard("STD-5.4.4.7-10", "STD-5.1.2.1-5")
def test_a_delegation_that_finds_nothing_gives_way_to_the_next(world: World) -> None:
    publish(world, targets=role(to("a"), to("b")), a=role(to("c")), b=role(X), c=role())
    assert chosen(world, b"x") == b"x"
    assert asked(world) == ["a", "c", "b"], "depth first, in the order of priority"


@pytest.mark.standard("STD-5.4.4.7-11", "STD-5.2.3.1-1")
def test_an_image_that_nobody_lists_is_not_found(world: World) -> None:
    publish(world, targets=role(to("a"), to("b", "other/*")), a=role(), b=role(X))
    not_found(world)
    not_found(world, "elsewhere/a.img")


@pytest.mark.standard("STD-5.4.4.7-5", "STD-5.1.2.1-4", "STD-5.2.3.2-8")
def test_a_terminating_delegation_ends_the_search(world: World) -> None:
    """CVE-2025-2886: the flag had no effect."""
    publish(world, targets=role(to("a", terminating=True), to("b")), a=role(), b=role(X))
    not_found(world)
    publish(world, targets=role(to("a", "other.img", terminating=True), to("b")), a=role(), b=role(X))
    assert chosen(world, b"x") == b"x", "a terminating delegation of other paths does not"


@pytest.mark.standard("STD-5.4.4.7-5")
def test_amb_11_below_a_terminating_delegation_the_search_goes_on(world: World) -> None:
    publish(world, targets=role(to("a", terminating=True), to("b")), a=role(to("c"), to("d")), b=role(Y))
    publish(world, c=role(), d=role(X))
    assert chosen(world, b"y", b"x") == b"x"


@pytest.mark.standard("STD-5.4.4.7-5")
def test_a_terminating_delegation_deep_down_ends_the_whole_search(world: World) -> None:
    publish(
        world,
        targets=role(to("a"), to("b")),
        a=role(to("c", terminating=True), to("d")),
        b=role(X),
        c=role(),
        d=role(X),
    )
    not_found(world)


@pytest.mark.standard("STD-5.4.4.7-9")
@pytest.mark.parametrize("names", [("a",), ("a", "b"), ("a", "b", "c")])
def test_a_cycle_of_delegations_ends(world: World, names: tuple[str, ...]) -> None:
    circle = {name: role(to(below)) for name, below in zip(names, (*names[1:], names[0]), strict=True)}
    publish(world, targets=role(to("a"), to("last")), last=role(X), **circle)
    assert chosen(world, b"x") == b"x"
    assert asked(world) == [*names, "last"]


@pytest.mark.standard("STD-5.4.4.6-4")
def test_a_role_reached_by_two_delegators_is_checked_with_the_keys_of_each(world: World) -> None:
    """Verified by the keys of one, it is not thereby valid for the other."""
    other_key = new_signer()
    via_b = targets(delegations=delegations([other_key], delegation("c", [other_key], paths=["*.img"])))
    publish(world, targets=role(to("a"), to("b")), a=role(to("c", "never")), b=role(to("c")), c=role(X))
    assert chosen(world, b"x") == b"x"
    with refused(world.primary, BadSignatureError) as refusal:
        publish(world, a=role(to("c")), b=via_b, c=role())
    assert refusal.facts["role"] == "c"
    assert asked(world) == []


@pytest.mark.standard("STD-5.4.4.6-4", "STD-5.4.4.7-2")
def test_a_diamond_is_searched_along_both_ways(world: World) -> None:
    publish(world, targets=role(to("a"), to("b")), a=role(to("c", "never")), b=role(to("c")), c=role(X))
    assert chosen(world, b"x") == b"x"
    publish(world, a=role(to("c")), b=role(to("c")), c=role(), targets=role(to("a"), to("b"), to("last")), last=role(Y))
    assert chosen(world, b"y") == b"y"


@pytest.mark.standard("STD-5.4.4.7-9", "STD-5.2.3.2-12")
def test_chains_of_delegations_are_bounded(world: World) -> None:
    names = [f"r{n}" for n in range(5)]
    chain = {name: role(to(below)) for name, below in pairwise(names)}
    publish(world, targets=role(to("r0")), r4=role(X), **chain)
    world.primary.limits = Limits(delegation_depth=5)
    assert chosen(world, b"x") == b"x"
    with refused(world.primary, DelegationError) as refusal:
        world.primary.limits = Limits(delegation_depth=4)
    assert (refusal.facts["role"], refusal.facts["image"]) == ("r4", "a.img")


@pytest.mark.standard("STD-5.2.3.2-2")
def test_the_number_of_roles_asked_for_one_image_is_bounded(world: World) -> None:
    names = [f"r{n}" for n in range(5)]
    publish(world, targets=role(*map(to, names), to("last")), last=role(X), **dict.fromkeys(names, role()))
    world.primary.limits = Limits(delegations=6)
    assert chosen(world, b"x") == b"x"
    with refused(world.primary, DelegationError) as refusal:
        world.primary.limits = Limits(delegations=5)
    assert refusal.facts["role"] == "last"


@pytest.mark.parametrize("below", [to, to_all])
def test_a_bomb_of_delegations_goes_off_without_harm(world: World, below: object) -> None:
    """Every role delegates to all roles, in groups and on their own: more ways than could ever be followed."""
    names = [f"r{n}" for n in range(6)]
    links = (to_all(*names, agree=1),) if below is to_all else tuple(map(to, names))
    publish(world, targets=role(X, *links), **{name: role(*links) for name in names})
    assert chosen(world, b"x") == b"x"
    with refused(world.primary, DelegationError):
        publish(world, targets=role(*links))


@pytest.mark.standard("STD-5.4.4.7-3", "STD-5.4.4.6-6")
@pytest.mark.parametrize(
    ("fault", "expected"),
    [
        ("not listed by the Snapshot", DelegationError),
        ("missing", UnreachableError),
        ("malformed", FormatError),
        ("another role", FormatError),
        ("signed by a stranger", BadSignatureError),
        ("expired", ExpiredMetadataError),
        ("older than listed", MixAndMatchError),
        ("changed", MixAndMatchError),
        ("longer than listed", EndlessDataError),
    ],
)
def test_a_bad_first_role_does_not_let_the_second_speak(
    world: World, fault: str, expected: type[DelegationError]
) -> None:
    """CVE-2026-6967: delegated files were not checked; and who withholds a file must not change the outcome."""
    publish(world, targets=role(to("a"), to("b")), a=role(), b=role(X))
    assert chosen(world, b"x") == b"x"
    publish(world, targets=role(to("a"), to("b")), a=role(), b=role(X))
    world.primary.cycle()
    images = world.images
    if fault == "not listed by the Snapshot":
        forget_snapshot(world)
    with refused(world.primary, expected) as refusal:
        match fault:
            case "not listed by the Snapshot":
                files = {name: file for name, file in images.snapshot.files.items() if name != "a"}
                images.offer(Role.SNAPSHOT, files=files)
            case "missing":
                images.offer("a", signers=[key("a")])
                del images.files[images.name("a", 3)]
            case "malformed":
                images.list_again("a", b"{}", 3)
                images.files[images.name("a", 3)] = b"{}"
            case "another role":
                raw = images.files[images.name(Role.TIMESTAMP)]
                images.files[images.name("a", 3)] = raw
                images.list_again("a", raw, 3)
            case "signed by a stranger":
                images.offer("a", signers=[new_signer()])
            case "expired":
                images.offer("a", signers=[key("a")], expires=NOW)
            case "older than listed":
                raw = images.files[images.name("a", 2)]
                images.files[images.name("a", 3)] = raw
                images.list_again("a", raw, 3)
            case "changed":
                raw = images.offer("a", signers=[key("a")])
                images.write("a", structs.replace(role(), version=3, expires=FAR - timedelta(days=1)), [key("a")])
                images.files[images.name("a", 3)] = images.files[images.name("a", 3)][: len(raw)]
            case "longer than listed":
                raw = images.offer("a", signers=[key("a")])
                images.files[images.name("a", 3)] = raw + b" "
    if expected is not FormatError:
        assert refusal.facts.get("role", "a") == "a"


@pytest.mark.standard("STD-5.4.4.6-5")
def test_an_older_version_of_a_delegated_role_is_a_rollback(world: World) -> None:
    """The Snapshot's keys are stolen with those of the supplier, and the ECU lost its own Snapshot."""
    publish(world, targets=role(to("a")), a=role(X))
    publish(world, a=role(X))
    assert chosen(world, b"x") == b"x"
    forget_snapshot(world)
    with refused(world.primary, ReplayedMetadataError) as refusal:
        world.images.offer("a", signers=[key("a")], version=1)
    assert (refusal.facts["role"], refusal.facts["expected"], refusal.facts["offered"]) == ("a", 2, 1)


@pytest.mark.standard("STD-5.4.4.3-9")
@pytest.mark.parametrize("recovers", [True, False])
def test_amb_07_new_keys_for_a_supplier_recover_from_versions_pushed_out_of_reach(world: World, recovers: bool) -> None:
    """The supplier's key signed the highest version; the delegator gives the role a new key, and Root the Snapshot."""
    publish(world, targets=role(to("a")), a=role(X))
    assert chosen(world, b"x") == b"x"
    honest = dict(world.images.files)
    world.images.offer("a", signers=[key("a")], version=2**31 - 1)
    world.primary.cycle()
    world.images.files.clear()
    world.images.files.update(honest)
    world.images.rotate(Role.SNAPSHOT, Role.TIMESTAMP)
    if recovers:
        new = new_signer()
        world.images.keyring[new.key.key_id] = new
        below = delegations([new], delegation("a", [new], paths=["*.img"]))
        content = {RoleName("targets"): targets(delegations=below), RoleName("a"): role(X)}
        world.images.publish(Draft(targets=content))
        world.primary.cycle()
    else:
        with pytest.raises(ReplayedMetadataError):
            world.primary.cycle()


def test_a_delegated_file_that_is_listed_unchanged_is_not_fetched_again(world: World) -> None:
    publish(world, targets=role(to("a")), a=role(X))
    assert chosen(world, b"x") == b"x"
    world.images.publish()
    world.primary.cycle()
    assert asked(world) == []


@pytest.mark.standard("STD-5.4.4.6-1")
def test_a_snapshot_may_list_neither_length_nor_hash_of_a_delegated_role(world: World) -> None:
    publish(world, targets=role(to("a")), a=role(X))
    assert chosen(world, b"x") == b"x"
    files = dict(world.images.snapshot.files)
    world.images.offer(Role.SNAPSHOT, files=files | {RoleName("a"): MetadataFile(version=1)})
    world.primary.cycle()
    assert asked(world) == []
    world.images.offer("a", signers=[key("a")], relist=False)
    world.images.offer(Role.SNAPSHOT, files=files | {RoleName("a"): MetadataFile(version=2)})
    world.primary.cycle()
    assert asked(world) == ["a"]
    with refused(world.primary, EndlessDataError):
        world.images.offer("a", signers=[key("a")], relist=False)
        world.images.offer(Role.SNAPSHOT, files=files | {RoleName("a"): MetadataFile(version=3)})
        world.primary.limits = Limits(targets_bytes=len(world.images.files[world.images.name("a")]) - 1)
