"""Which role a client would ask for an image, and what it finds: the walk of clients, made without their files."""

from collections.abc import Mapping

import pytest
from delegating import X, Y, Z, key, role, to, to_all
from hypothesis import given, settings
from hypothesis import strategies as st
from links import wait
from world import NOW, new_signer

from uptane.formats.profiles import PROFILES
from uptane.image_repository.authority import Contents, delegations_by_role, found_by_clients, has_authority
from uptane.metadata.delegations import TARGETS_ROLE, Delegation
from uptane.metadata.errors import DelegationError
from uptane.metadata.identifiers import HardwareIdentifier, ImagePath, RoleName
from uptane.metadata.root import Role
from uptane.metadata.targets import Image, Targets
from uptane.signing.publish import Draft, Publisher, new_root
from uptane.storage.image_catalog import VerifiedImageCatalog
from uptane.storage.memory import MemoryPublished
from uptane.verification.limits import Limits
from uptane.verification.trusted import Held

PATH = ImagePath("a.img")
ROOT_KEYS = {each: [new_signer()] for each in Role}


def contents(**roles: Targets) -> Contents:
    """What each role signs."""
    return {RoleName(name): content for name, content in roles.items()}


def asked(found: Contents, name: str) -> bool:
    return has_authority(found, RoleName(name), PATH, None)


def found_in(found: Contents) -> Image | None:
    return found_by_clients(found, PATH, None)


@pytest.mark.standard("STD-5.3.1-5")
def test_every_member_of_a_group_is_asked_and_so_is_whoever_it_delegates_to() -> None:
    found = contents(targets=role(to_all("a", "b", "c")), b=role(to("below")), a=role(), c=role())
    assert [asked(found, name) for name in ("targets", "a", "b", "c", "below", "other")] == [True] * 5 + [False]


@pytest.mark.standard("STD-5.4.4.7-8")
@pytest.mark.parametrize("group", [True, False])
def test_a_terminating_delegation_ends_the_search_but_within_a_group_that_of_its_member_only(group: bool) -> None:
    first = to_all("a", "b") if group else to("a")
    found = contents(targets=role(first, to("late")), a=role(to("below", terminating=True)), b=role(), below=role())
    assert asked(found, "below") and asked(found, "late") is group
    ended = contents(targets=role(to_all("a", "b", terminating=True), to("late")), a=role(), b=role())
    assert asked(ended, "b") and not asked(ended, "late")


def test_what_does_not_cover_the_image_is_passed_by() -> None:
    elsewhere, other_hardware = to("a", "other/*", terminating=True), to("b", hardware=("x",), terminating=True)
    found = contents(targets=role(elsewhere, other_hardware, to("c")))
    for hardware, expected in ((None, (False, True, False)), ("x", (False, True, False)), ("y", (False, False, True))):
        ids = None if hardware is None else (HardwareIdentifier(hardware),)
        assert tuple(has_authority(found, RoleName(name), PATH, ids) for name in ("a", "b", "c")) == expected


def test_cycles_end_and_what_no_client_would_follow_is_refused() -> None:
    found = contents(targets=role(to("a")), a=role(to("b")), b=role(to("a")))
    assert asked(found, "b") and not asked(found, "other") and found_in(found) is None
    for few in (Limits(delegations=1), Limits(delegation_depth=1)):
        assert has_authority(found, RoleName("a"), PATH, None, few)
        with pytest.raises(DelegationError):
            has_authority(found, RoleName("b"), PATH, None, few)
        listed = contents(targets=role(to("a")), a=role(to("b")), b=role(X))
        assert found_by_clients(listed, PATH, None) == X
        assert found_by_clients(listed, PATH, None, few) is None


def test_the_first_role_with_authority_counts_and_a_group_where_it_agrees() -> None:
    assert found_in(contents(targets=role(X, to("a")), a=role(Y))) == X
    assert found_in(contents(targets=role(to("a"), to("b"), to("c")), b=role(Y), c=role(Z))) == Y
    assert found_in(contents(targets=role(to("a", terminating=True), to("b")), a=role(), b=role(Y))) is None
    for below, expected in (((X, X), X), ((X, Y), Z)):
        group = contents(targets=role(to_all("a", "b"), to("c")), a=role(below[0]), b=role(below[1]), c=role(Z))
        assert found_in(group) == expected


def test_what_one_member_of_a_group_passed_is_passed_again_by_the_next_and_behind_the_group() -> None:
    same, way = role(to("way")), {"way": role(to("below")), "below": role(X)}
    assert found_in(contents(targets=role(to_all("a", "b")), a=same, b=same, **way)) == X
    assert found_in(contents(targets=role(to_all("a", "b"), to("c")), a=role(Y), b=same, c=same, **way)) == X


NAMES = ("a", "b", "c", "d")


@st.composite
def somebody_signs(draw: st.DrawFn) -> Targets:
    """One of three images or none, and delegations to others, each at most once and at most one group."""
    others = draw(st.lists(st.sampled_from(NAMES), unique=True, max_size=4))
    size = draw(st.sampled_from([0, 2])) if len(others) > 1 else 0
    terminating = st.booleans()
    items: list[Image | Delegation] = [to(name, terminating=draw(terminating)) for name in others[size:]]
    if size:
        items.insert(
            draw(st.integers(0, len(items))),
            to_all(*others[:size], agree=draw(st.integers(1, size)), terminating=draw(terminating)),
        )
    listed = draw(st.sampled_from([None, X, Y, Z]))
    return role(*([] if listed is None else [listed]), *items)


@given(st.fixed_dictionaries({RoleName(name): somebody_signs() for name in (TARGETS_ROLE, *NAMES)}))
@settings(max_examples=60)
def test_whatever_is_delegated_the_same_is_found_as_a_client_finds(every: Mapping[RoleName, Targets]) -> None:
    found = {name: every[name] for name in delegations_by_role(every)}
    store, keys = MemoryPublished(), [key(name) for name in NAMES]
    signers = [*keys, *(signer for held in ROOT_KEYS.values() for signer in held)]
    publisher = Publisher(
        store=store, profile=PROFILES["json"], keyring={signer.key.key_id: signer for signer in signers}
    )
    published = wait(publisher.publish(None, Draft(root=new_root(ROOT_KEYS), targets=found), NOW))
    client = VerifiedImageCatalog(published=store, profile=PROFILES["json"], held=Held(root=published.root.raw))
    assert found_in(found) == wait(client.look_up({PATH: None}, NOW)).get(PATH)
