"""Delegated roles of an Image repository: who may list which image, and what is left when keys are revoked."""

import pytest
from fleet import Fleet
from links import wait
from signed import EVIL, FRESH, PATH, custom
from world import IMAGES, delegation, keys_of, new_signer

from uptane.formats.profile import Profile
from uptane.metadata.delegations import TARGETS_ROLE
from uptane.metadata.errors import FormatError, ProvisioningError, UptaneError
from uptane.metadata.identifiers import ImagePath, RoleName
from uptane.metadata.targets import Targets

SUPPLIER, DEEPER = RoleName("supplier"), RoleName("deeper")
IMAGE = ImagePath(PATH)
BRAKES = ImagePath("supplier/brakes.img")


@pytest.fixture
def fleet(profile: Profile) -> Fleet:
    """An Image repository that lists nothing yet."""
    return Fleet(profile)


@pytest.mark.standard("STD-5.1.2.1-1")
@pytest.mark.standard("STD-5.2.3.2-12")
def test_delegations_go_two_levels_deep(fleet: Fleet) -> None:
    fleet.grant(SUPPLIER, "supplier/*", keys=3, threshold=2)
    deeper = fleet.grant(DEEPER, "supplier/*", delegator=SUPPLIER)
    image = wait(fleet.images.add_image(BRAKES, FRESH, role=DEEPER))
    published = wait(fleet.images.publish(fleet.now))
    assert set(published.targets) == {TARGETS_ROLE, SUPPLIER, DEEPER}
    assert dict(fleet.targets(DEEPER).images) == {BRAKES: image}
    assert dict(fleet.targets(SUPPLIER).images) == {}
    assert fleet.targets(SUPPLIER).delegations.roles[0].keys == keys_of(deeper)
    assert published.keys_for(SUPPLIER) == fleet.targets().delegations.roles[0].keys


@pytest.mark.standard("STD-5.1.2.1-3")
def test_a_new_delegation_has_the_lowest_priority(fleet: Fleet) -> None:
    for name in ("one", "two", "three"):
        fleet.grant(RoleName(name), "*")
    wait(fleet.images.publish(fleet.now))
    assert [role.name for role in fleet.targets().delegations.roles] == ["one", "two", "three"]


@pytest.mark.standard("STD-5.3.1-5")
@pytest.mark.parametrize(
    ("role", "path"),
    [(SUPPLIER, PATH), (DEEPER, PATH), (DEEPER, "supplier/engine.img"), (DEEPER, "other/brakes.img")],
    ids=["outside", "two levels outside", "outside the second level", "covered by the second level alone"],
)
def test_a_role_without_authority_over_an_image_cannot_list_it(fleet: Fleet, role: RoleName, path: str) -> None:
    fleet.grant(SUPPLIER, "supplier/*")
    fleet.grant(DEEPER, "supplier/brakes.*", "other/*", delegator=SUPPLIER)
    with pytest.raises(ProvisioningError) as caught:
        wait(fleet.images.add_image(ImagePath(path), FRESH, role=role))
    assert caught.value.facts == {"role": role, "image": path}
    assert wait(fleet.image_store.read(path)) is None
    wait(fleet.images.add_image(BRAKES, FRESH, role=role))
    wait(fleet.images.publish(fleet.now))


@pytest.mark.standard("STD-5.3.1-5")
def test_a_role_for_some_hardware_cannot_list_an_image_for_other_hardware(fleet: Fleet) -> None:
    fleet.grant(SUPPLIER, "supplier/*", hardware=("brake-1", "brake-2"))
    with pytest.raises(ProvisioningError):
        wait(fleet.images.add_image(BRAKES, FRESH, role=SUPPLIER, custom=custom(1, ("brake-2", "brake-3"))))
    wait(fleet.images.add_image(BRAKES, FRESH, role=SUPPLIER, custom=custom(1, ("brake-2",))))


def test_a_role_that_nobody_delegates_to_lists_nothing(fleet: Fleet) -> None:
    for attempt in (
        fleet.images.add_image(BRAKES, FRESH, role=SUPPLIER),
        fleet.images.delegate(delegation(DEEPER, [new_signer()], paths=["*"]), [], delegator=SUPPLIER),
        fleet.images.replace_role_keys(DEEPER, {}, delegator=SUPPLIER),
        fleet.images.replace_role_keys(SUPPLIER, {}),
    ):
        with pytest.raises(ProvisioningError):
            wait(attempt)


def test_one_delegator_names_a_role_once(fleet: Fleet) -> None:
    fleet.grant(SUPPLIER, "supplier/*")
    with pytest.raises(UptaneError) as caught:
        fleet.grant(SUPPLIER, "*")
    assert SUPPLIER in caught.value.what


def test_a_role_of_others_is_not_delegated_to_with_other_keys(fleet: Fleet) -> None:
    """What its owner signed would be refused by every client that comes this way."""
    fleet.grant(SUPPLIER, "supplier/*")
    owners = fleet.grant(DEEPER, "supplier/*", delegator=SUPPLIER)
    for published in (False, True):
        if published:
            wait(fleet.images.publish(fleet.now))
        with pytest.raises(UptaneError, match=f"another role delegates to {DEEPER} with other keys"):
            fleet.grant(DEEPER, "deeper/*")
    wait(fleet.images.delegate(delegation(DEEPER, owners, paths=["deeper/*"]), [owners[0].key]))


@pytest.mark.standard("STD-5.2.3.2-4")
def test_a_delegation_whose_key_is_not_given_is_refused(fleet: Fleet) -> None:
    with pytest.raises(FormatError):
        wait(fleet.images.delegate(delegation(SUPPLIER, [new_signer()], paths=["*"]), []))
    wait(fleet.images.publish(fleet.now))
    assert not fleet.targets().delegations


def test_a_second_delegator_does_not_empty_a_role(fleet: Fleet) -> None:
    signers = fleet.grant(SUPPLIER, "supplier/*")
    fleet.grant(DEEPER, "*/*")
    image = wait(fleet.images.add_image(BRAKES, FRESH, role=SUPPLIER))
    wait(fleet.images.publish(fleet.now))
    second = delegation(SUPPLIER, signers, paths=["*/*"])
    wait(fleet.images.delegate(second, [signers[0].key], delegator=DEEPER))
    wait(fleet.images.publish(fleet.now))
    assert dict(fleet.targets(SUPPLIER).images) == {BRAKES: image}


@pytest.mark.standard("STD-5.2.2-4")
def test_a_role_whose_keys_are_revoked_vouches_for_nothing_until_its_owner_signs_again(fleet: Fleet) -> None:
    old = fleet.grant(SUPPLIER, "supplier/*", keys=3, threshold=2)
    fleet.grant(DEEPER, "supplier/*", delegator=SUPPLIER)
    wait(fleet.images.add_image(BRAKES, EVIL, role=SUPPLIER))
    wait(fleet.images.publish(fleet.now))
    before = fleet.targets(SUPPLIER).version
    new = [new_signer() for _ in range(3)]
    fleet.images.add_signers(new)
    wait(fleet.images.replace_role_keys(SUPPLIER, {signer.key.key_id: signer.key for signer in new}))
    wait(fleet.images.publish(fleet.now))
    assert fleet.targets().delegations.roles[0].keys == keys_of(new, threshold=2)
    assert set(fleet.targets().delegations.keys) == {signer.key.key_id for signer in new}
    emptied = fleet.targets(SUPPLIER)
    assert (emptied.version, dict(emptied.images), bool(emptied.delegations)) == (before + 1, {}, False)
    signed = fleet.profile.format.decode(Targets, fleet.file(IMAGES, SUPPLIER)).signatures
    assert not {entry.key_id for entry in signed} & {signer.key.key_id for signer in old}
    image = wait(fleet.images.add_image(BRAKES, FRESH, role=SUPPLIER))
    wait(fleet.images.publish(fleet.now))
    assert dict(fleet.targets(SUPPLIER).images) == {BRAKES: image}


def test_what_a_revoked_role_was_about_to_delegate_is_dropped_with_it(fleet: Fleet) -> None:
    fleet.grant(SUPPLIER, "supplier/*")
    wait(fleet.images.publish(fleet.now))
    fleet.grant(DEEPER, "supplier/*", delegator=SUPPLIER)
    wait(fleet.images.add_image(BRAKES, FRESH, role=DEEPER))
    new = new_signer()
    fleet.images.add_signers([new])
    wait(fleet.images.replace_role_keys(SUPPLIER, {new.key.key_id: new.key}))
    published = wait(fleet.images.publish(fleet.now))
    assert set(published.targets) == {TARGETS_ROLE, SUPPLIER}
    assert not fleet.targets(SUPPLIER).delegations


def test_the_keys_of_one_role_are_revoked_and_those_of_another_stay(fleet: Fleet) -> None:
    fleet.grant(SUPPLIER, "supplier/*")
    kept = fleet.grant(DEEPER, "supplier/*")
    new = new_signer()
    fleet.images.add_signers([new])
    wait(fleet.images.replace_role_keys(SUPPLIER, {new.key.key_id: new.key}))
    wait(fleet.images.publish(fleet.now))
    assert [role.keys for role in fleet.targets().delegations.roles] == [keys_of([new]), keys_of(kept)]


def test_a_threshold_is_not_lowered_when_keys_are_replaced(fleet: Fleet) -> None:
    fleet.grant(SUPPLIER, "supplier/*", keys=3, threshold=2)
    wait(fleet.images.publish(fleet.now))
    one = new_signer()
    with pytest.raises(FormatError) as caught:
        wait(fleet.images.replace_role_keys(SUPPLIER, {one.key.key_id: one.key}))
    assert caught.value.facts["field"] == "threshold"
    wait(fleet.images.publish(fleet.now))
    assert fleet.targets().delegations.roles[0].keys.threshold == 2


@pytest.mark.standard("STD-5.3.1-5")
def test_a_revoked_role_signs_for_nothing_any_more_and_snapshot_does_not_forget_it(fleet: Fleet) -> None:
    fleet.grant(SUPPLIER, "supplier/*")
    kept = fleet.grant(DEEPER, "supplier/*")
    wait(fleet.images.add_image(BRAKES, EVIL, role=SUPPLIER))
    wait(fleet.images.publish(fleet.now))
    wait(fleet.images.revoke(SUPPLIER))
    published = wait(fleet.images.publish(fleet.now))
    assert [role.name for role in fleet.targets().delegations.roles] == [DEEPER]
    assert set(fleet.targets().delegations.keys) == {signer.key.key_id for signer in kept}
    assert SUPPLIER in published.targets, "a Snapshot never forgets a file (STD-5.4.4.5-6)"
    with pytest.raises(ProvisioningError):
        wait(fleet.images.add_image(BRAKES, FRESH, role=SUPPLIER))
    with pytest.raises(ProvisioningError):
        wait(fleet.images.revoke(SUPPLIER))
    wait(fleet.images.add_image(BRAKES, FRESH, role=DEEPER))


def test_one_of_several_that_must_agree_is_not_revoked_alone(fleet: Fleet) -> None:
    members = {SUPPLIER: [new_signer()], DEEPER: [new_signer()]}
    granted = delegation(members, paths=["supplier/*"], group="both", agree=2)
    wait(fleet.images.delegate(granted, [signer.key for held in members.values() for signer in held]))
    with pytest.raises(UptaneError) as caught:
        wait(fleet.images.revoke(SUPPLIER))
    assert (caught.value.facts["role"], "both" in caught.value.what) == (SUPPLIER, True)
