"""Whose word counts for an image (5.4.4.7), and when several roles must agree on it (5.4.4.8)."""

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from functools import lru_cache
from itertools import pairwise

import pytest
from world import FAR, IMAGES, NOW, TCU, World, delegation, delegations, image, listed, new_signer, refused, targets

from uptane.metadata.attacks import Attack
from uptane.metadata.delegations import Delegation
from uptane.metadata.errors import (
    BadSignatureError,
    DelegationError,
    EndlessDataError,
    ExpiredMetadataError,
    FormatError,
    ImageNotListedError,
    MixAndMatchError,
    ReplayedMetadataError,
    RepositoryMismatchError,
    UnreachableError,
)
from uptane.metadata.identifiers import HardwareIdentifier, RoleName
from uptane.metadata.keys import KeyType
from uptane.metadata.root import Role
from uptane.metadata.snapshot import MetadataFile
from uptane.metadata.targets import Image, Targets
from uptane.signing.publish import Draft
from uptane.signing.signer import KeySigner
from uptane.verification.limits import Limits
from uptane.verification.match_images import EcuFacts
from uptane.verification.multi_role import agree

pytestmark = pytest.mark.standard("STD-5.4.4.7")


@lru_cache
def key(role: str) -> KeySigner:
    """The key of a delegated role."""
    return new_signer()


def to(role: str, *paths: str, **other: object) -> Delegation:
    """A delegation to one role, of every image in the top folder unless paths are given."""
    return delegation(role, [key(role)], paths=paths or ["*.img"], **other)


def to_all(*roles: str, agree: int | None = None, **other: object) -> Delegation:
    """A multi-role delegation; all must agree unless a number is given."""
    return delegation(
        {role: [key(role)] for role in roles}, paths=["*.img"], group="group", agree=agree or len(roles), **other
    )


def role(*content: Image | Delegation) -> Targets:
    """What a role signs: images and delegations."""
    images = [entry for entry in content if isinstance(entry, Image)]
    below = [entry for entry in content if isinstance(entry, Delegation)]
    signers = {member.name: key(str(member.name)) for entry in below for member in entry.roles}
    return targets(*images, delegations=delegations(list(signers.values()), *below))


def publish(world: World, **roles: Targets) -> None:
    """The Image repository publishes these roles, each signed by its key."""
    world.images.keyring |= {key(name).key.key_id: key(name) for name in roles}
    world.images.publish(Draft(targets={RoleName(name): content for name, content in roles.items()}))


def direct(world: World, content: bytes = b"x", path: str = "a.img") -> None:
    """The Director directs the TCU to an image."""
    world.director.publish_targets(image(path, content, ecus=(TCU,)))


def chosen(world: World, *contents: bytes, path: str = "a.img") -> bytes:
    """Which of these contents both repositories agree on."""
    for content in contents:
        direct(world, content, path)
        try:
            world.primary.cycle()
        except RepositoryMismatchError:
            continue
        return content
    raise AssertionError("none of them")


def not_found(world: World, path: str = "a.img") -> None:
    """The ECU refuses, because nobody with authority lists the image."""
    with refused(world.primary, RepositoryMismatchError) as refusal:
        direct(world, b"x", path)
    assert refusal.error is not None and isinstance(refusal.error.__cause__, ImageNotListedError)
    assert refusal.error.attack is Attack.ARBITRARY_SOFTWARE


def asked(world: World) -> list[str]:
    """The delegated roles in the order in which their files were fetched."""
    prefix, suffix = f"{IMAGES}/", f".{world.profile.format.name}"
    names = [file.removeprefix(prefix).removesuffix(suffix).split(".", 1)[-1] for file in world.primary.fetched]
    return [name for name in names if name not in set(Role) and not name.startswith("director")]


def forget_snapshot(world: World) -> None:
    """The ECU holds no Snapshot and Timestamp, as after a change of their keys."""
    held = world.primary.held[IMAGES]
    files = {name: raw for name, raw in held.files.items() if name not in (Role.SNAPSHOT, Role.TIMESTAMP)}
    world.primary.held[IMAGES] = replace(held, files=files)


X, Y, Z = image("a.img", b"x"), image("a.img", b"y"), image("a.img", b"z")


@pytest.fixture
def world(world: World) -> World:
    """Nothing is directed or listed: each test publishes what it is about."""
    direct_nothing = targets()
    world.director.publish(Draft(targets={RoleName("targets"): direct_nothing}))
    world.primary.cycle()
    return world


@pytest.mark.standard("STD-5.4.4.7-1")
@pytest.mark.standard("STD-5.4.4.7-9")
@pytest.mark.parametrize("level", [0, 1, 2, 3])
def test_an_image_is_found_at_every_level(world: World, level: int) -> None:
    names = ["targets", "first", "second", "third"]
    content = {name: role(to(below)) for name, below in pairwise(names)}
    content["third"] = role()
    content[names[level]] = role(X) if level == 3 else replace(content[names[level]], images=role(X).images)
    publish(world, **content)
    assert chosen(world, b"x") == b"x"
    assert asked(world) == names[1 : level + 1]
    held = world.primary.held[IMAGES].files
    assert all(held[name] == world.images.files[world.images.name(name)] for name in names[: level + 1])


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


@pytest.mark.standard("STD-5.4.4.7-6")
@pytest.mark.parametrize(("order", "winner"), [(("a", "b"), b"x"), (("b", "a"), b"y")])
def test_the_first_delegation_in_the_list_wins(world: World, order: Sequence[str], winner: bytes) -> None:
    publish(world, targets=role(*map(to, order)), a=role(X), b=role(Y))
    assert chosen(world, b"x", b"y") == winner
    assert asked(world) in ([], [order[0]])


@pytest.mark.standard("STD-5.4.4.7-10")
def test_a_delegation_that_finds_nothing_gives_way_to_the_next(world: World) -> None:
    publish(world, targets=role(to("a"), to("b")), a=role(to("c")), b=role(X), c=role())
    assert chosen(world, b"x") == b"x"
    assert asked(world) == ["a", "c", "b"], "depth first, in the order of priority"


@pytest.mark.standard("STD-5.4.4.7-11")
def test_an_image_that_nobody_lists_is_not_found(world: World) -> None:
    publish(world, targets=role(to("a"), to("b", "other/*")), a=role(), b=role(X))
    not_found(world)
    not_found(world, "elsewhere/a.img")


@pytest.mark.standard("STD-5.4.4.7-5")
def test_a_terminating_delegation_ends_the_search(world: World) -> None:
    """CVE-2025-2886: the flag had no effect."""
    publish(world, targets=role(to("a", terminating=True), to("b")), a=role(), b=role(X))
    not_found(world)
    publish(world, targets=role(to("a", "other.img", terminating=True), to("b")), a=role(), b=role(X))
    assert chosen(world, b"x") == b"x", "a terminating delegation of other paths does not"


@pytest.mark.standard("STD-5.4.4.7-5")
def test_below_a_terminating_delegation_the_search_goes_on(world: World) -> None:
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


@pytest.mark.standard("STD-5.4.4.6-4")
def test_a_diamond_is_searched_along_both_ways(world: World) -> None:
    publish(world, targets=role(to("a"), to("b")), a=role(to("c", "never")), b=role(to("c")), c=role(X))
    assert chosen(world, b"x") == b"x"
    publish(world, a=role(to("c")), b=role(to("c")), c=role(), targets=role(to("a"), to("b"), to("last")), last=role(Y))
    assert chosen(world, b"y") == b"y"


def test_chains_of_delegations_are_bounded(world: World) -> None:
    names = [f"r{n}" for n in range(5)]
    chain = {name: role(to(below)) for name, below in pairwise(names)}
    publish(world, targets=role(to("r0")), r4=role(X), **chain)
    world.primary.limits = Limits(delegation_depth=5)
    assert chosen(world, b"x") == b"x"
    with refused(world.primary, DelegationError) as refusal:
        world.primary.limits = Limits(delegation_depth=4)
    assert (refusal.facts["role"], refusal.facts["image"]) == ("r4", "a.img")


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


@pytest.mark.standard("STD-5.4.4.7-3")
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
                images.write("a", replace(role(), version=3, expires=FAR - timedelta(days=1)), [key("a")])
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


@pytest.mark.parametrize("recovers", [True, False])
def test_new_keys_for_a_supplier_recover_from_versions_pushed_out_of_reach(world: World, recovers: bool) -> None:
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


@pytest.mark.standard("STD-5.4.4.7-7")
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


@pytest.mark.standard("STD-5.4.4.7-7")
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


def test_hashed_bins_divide_the_images_among_them(world: World) -> None:
    digest = hashlib.sha256(b"a.img").hexdigest()
    right = delegation("right", [key("right")], path_hash_prefixes=(digest[:2],))
    wrong = delegation("wrong", [key("wrong")], path_hash_prefixes=(("0" if digest[0] != "0" else "1") + digest[1:],))
    publish(world, targets=role(wrong, right), wrong=role(Y), right=role(X))
    assert chosen(world, b"y", b"x") == b"x"


@pytest.mark.standard("STD-5.4.4.8-6")
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
def test_enough_roles_of_a_group_must_say_the_same(
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


@pytest.mark.standard("STD-5.4.4.7-8")
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
