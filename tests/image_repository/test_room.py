"""A supplier makes roles below his own, as many as are his share: what others need of the Snapshot stays theirs."""

import pytest
from fleet import Fleet
from links import wait
from signed import EVIL, FRESH
from suppliers import Supplier, UploadDesk
from world import delegation, delegations

from uptane.formats.profile import Profile
from uptane.image_repository.uploads import UploadLimits
from uptane.metadata.delegations import Delegations
from uptane.metadata.errors import DelegationError, EndlessDataError
from uptane.metadata.identifiers import RoleName

SUPPLIER, OTHER = RoleName("supplier"), RoleName("other")
BELOW = [RoleName(f"below{number}") for number in range(4)]
TWO = UploadLimits(roles=100, supplier_roles=2)


@pytest.fixture
def fleet(profile: Profile) -> Fleet:
    """An Image repository that delegates to two suppliers, who keep their keys to themselves."""
    return Fleet(profile)


@pytest.fixture
def suppliers(fleet: Fleet) -> tuple[Supplier, Supplier]:
    """Both of them."""
    both = (
        Supplier(fleet, SUPPLIER, fleet.grant(SUPPLIER, "supplier/*", at_hand=False)),
        Supplier(fleet, OTHER, fleet.grant(OTHER, "other/*", at_hand=False)),
    )
    wait(fleet.images.publish(fleet.now))
    return both


def granted(supplier: Supplier, *names: RoleName, emptied: tuple[RoleName, ...] = ()) -> Delegations:
    """What a supplier delegates to roles that have his own keys; the emptied ones may sign for no image."""
    items = [delegation(name, supplier.signers, paths=[f"{supplier.role}/*"]) for name in names]
    items += [delegation(name, supplier.signers) for name in emptied]
    return delegations(supplier.signers, *items)


def same_keys(supplier: Supplier, role: RoleName) -> Supplier:
    """Who hands in for a role of his."""
    return Supplier(supplier.fleet, role, supplier.signers)


def full(fleet: Fleet, supplier: Supplier, limits: UploadLimits = TWO) -> UploadDesk:
    """A desk where a supplier has handed in for two roles below his own, and delegates to two more."""
    desk = UploadDesk(fleet, limits)
    desk.receive(supplier.upload({}, delegations=granted(supplier, *BELOW)))
    for name in BELOW[:2]:
        desk.receive(same_keys(supplier, name).upload({}))
    return desk


def test_a_supplier_with_too_many_roles_is_refused_another_and_keeps_nobody_else_from_one(
    fleet: Fleet, suppliers: tuple[Supplier, Supplier]
) -> None:
    supplier, other = suppliers
    desk = full(fleet, supplier)
    refusal = desk.refuses(same_keys(supplier, BELOW[2]).upload({"supplier/a.img": EVIL}), EndlessDataError)
    assert (refusal.code, refusal.facts["role"], refusal.facts["expected"]) == ("E-ENDLESS", BELOW[2], 2)
    desk.receive(same_keys(supplier, BELOW[1]).upload({"supplier/a.img": FRESH}, version=2))
    theirs = [RoleName("theirs"), RoleName("deeper")]
    desk.receive(other.upload({}, delegations=granted(other, theirs[0])))
    desk.receive(same_keys(other, theirs[0]).upload({}, delegations=granted(other, theirs[1])))
    desk.receive(same_keys(other, theirs[1]).upload({"other/a.img": FRESH}))


def test_roles_at_every_depth_count_for_the_supplier_at_the_top(
    fleet: Fleet, suppliers: tuple[Supplier, Supplier]
) -> None:
    supplier, desk = suppliers[0], UploadDesk(fleet, TWO)
    desk.receive(supplier.upload({}, delegations=granted(supplier, BELOW[0])))
    for number in (0, 1):
        desk.receive(same_keys(supplier, BELOW[number]).upload({}, delegations=granted(supplier, BELOW[number + 1])))
    desk.refuses(same_keys(supplier, BELOW[2]).upload({}), EndlessDataError)


def test_long_names_are_no_way_to_more_of_the_snapshot_than_a_suppliers_share(
    fleet: Fleet, suppliers: tuple[Supplier, Supplier]
) -> None:
    supplier, other = suppliers
    share = sum(2 * len(name) + 64 for name in BELOW[:2])
    desk = full(fleet, supplier, UploadLimits(roles=100, supplier_roles=10, snapshot_bytes=10 * share))
    desk.refuses(same_keys(supplier, BELOW[2]).upload({}), EndlessDataError)
    desk.receive(other.upload({}))


def test_new_names_in_place_of_old_ones_are_no_way_to_more_roles(
    fleet: Fleet, suppliers: tuple[Supplier, Supplier]
) -> None:
    """Snapshot lists the old ones for ever; he may only take their paths away, and they count on."""
    supplier = suppliers[0]
    desk = full(fleet, supplier)
    refusal = desk.refuses(
        supplier.upload({}, version=2, delegations=granted(supplier, *BELOW[1:])),
        DelegationError,
    )
    assert (refusal.code, refusal.facts["role"]) == ("E-DELEGATION", BELOW[0])
    desk.refuses(supplier.upload({}, version=2), DelegationError)
    desk.receive(supplier.upload({}, version=2, delegations=granted(supplier, BELOW[2], emptied=tuple(BELOW[:2]))))
    desk.refuses(same_keys(supplier, BELOW[2]).upload({}), EndlessDataError)


def test_whoever_was_left_no_path_hands_in_nothing_more_nor_do_those_below_him(
    fleet: Fleet, suppliers: tuple[Supplier, Supplier]
) -> None:
    """A supplier takes the role of a stolen key out of use, and the thief cannot use up his share."""
    supplier, desk = suppliers[0], UploadDesk(fleet)
    desk.receive(supplier.upload({}, delegations=granted(supplier, BELOW[0])))
    thief = same_keys(supplier, BELOW[0])
    desk.receive(thief.upload({}, delegations=granted(supplier, BELOW[1])))
    desk.receive(supplier.upload({}, version=2, delegations=granted(supplier, emptied=(BELOW[0],))))
    desk.refuses(thief.upload({}, version=2, delegations=granted(supplier, BELOW[1], BELOW[2])), DelegationError)
    desk.refuses(same_keys(supplier, BELOW[1]).upload({}), DelegationError)


def test_a_supplier_without_room_cannot_keep_a_role_from_another_by_delegating_to_it_too(
    fleet: Fleet, suppliers: tuple[Supplier, Supplier]
) -> None:
    supplier, other = suppliers
    desk, theirs = full(fleet, supplier), RoleName("theirs")
    both = delegations(
        [*supplier.signers, *other.signers],
        *granted(supplier, *BELOW).delegations,
        *(delegation(name, other.signers, paths=["supplier/*"]) for name in (theirs, OTHER)),
    )
    desk.receive(supplier.upload({}, version=2, delegations=both))
    desk.receive(other.upload({}, delegations=granted(other, theirs)))
    desk.receive(same_keys(other, theirs).upload({"other/a.img": FRESH}))
