"""A release counter does not fall where another role takes an image over: ECUs would never install that."""

import pytest
from fleet import Fleet
from links import wait
from signed import EVIL, FRESH, custom
from suppliers import Supplier, UploadDesk, entry

from uptane.formats.profile import Profile
from uptane.image_repository.release import NewImage
from uptane.metadata.delegations import TARGETS_ROLE
from uptane.metadata.errors import ImageRollbackError
from uptane.metadata.identifiers import ImagePath, RoleName

FIRST, SECOND = RoleName("first"), RoleName("second")
BRAKES = ImagePath("parts/brakes.img")


@pytest.fixture
def fleet(profile: Profile) -> Fleet:
    """The second of two suppliers lists an image in release 7, which the first one may list as well."""
    fleet = Fleet(profile)
    fleet.grant(FIRST, "parts/*")
    fleet.grant(SECOND, "parts/*")
    wait(fleet.images.add_image(BRAKES, FRESH, role=SECOND, custom=custom(7)))
    wait(fleet.images.publish(fleet.now))
    return fleet


@pytest.mark.standard("STD-5.2.3.1.1-4")
@pytest.mark.parametrize("counter", [6, None])
@pytest.mark.parametrize("role", [TARGETS_ROLE, FIRST])
def test_whoever_takes_an_image_over_gives_it_no_lower_release(
    fleet: Fleet, role: RoleName, counter: int | None
) -> None:
    older = NewImage(image=entry(BRAKES, EVIL, counter), chunks=lambda: [EVIL])
    for attempt in (
        fleet.images.add_image(BRAKES, EVIL, role=role, custom=custom(counter)),
        fleet.images.release([older], fleet.now, role=role),
    ):
        with pytest.raises(ImageRollbackError) as refusal:
            wait(attempt)
        assert (refusal.value.facts["expected"], refusal.value.facts["offered"]) == (7, counter)
    wait(fleet.images.add_image(BRAKES, EVIL, role=role, custom=custom(7)))
    wait(fleet.images.publish(fleet.now))
    with pytest.raises(ImageRollbackError):
        wait(fleet.images.add_image(BRAKES, EVIL, role=role, custom=custom(6)))
    wait(fleet.images.add_image(BRAKES, EVIL, role=role, custom=custom(6), unsafe_lower_release=True))


@pytest.mark.standard("STD-5.2.3.1.1-4")
def test_a_supplier_who_uploads_does_not_either(fleet: Fleet) -> None:
    third = RoleName("third")
    supplier = Supplier(fleet, third, fleet.grant(third, "parts/*", at_hand=False))
    wait(fleet.images.publish(fleet.now))
    desk = UploadDesk(fleet)
    desk.refuses(supplier.upload({BRAKES: EVIL}, counter=6), ImageRollbackError)
    desk.receive(supplier.upload({BRAKES: EVIL, "parts/lights.img": FRESH}, counter=7))


def test_a_role_does_not_fall_below_what_it_said_itself_though_nobody_finds_that(fleet: Fleet) -> None:
    """As soon as the first supplier withdraws the image, it is found."""
    wait(fleet.images.add_image(BRAKES, FRESH, role=FIRST, custom=custom(7)))
    wait(fleet.images.add_image(BRAKES, FRESH, role=SECOND, custom=custom(9)))
    with pytest.raises(ImageRollbackError):
        wait(fleet.images.add_image(BRAKES, EVIL, role=SECOND, custom=custom(8)))


def test_what_a_revoked_role_said_is_no_floor(fleet: Fleet) -> None:
    """A thief may have raised it out of reach."""
    wait(fleet.images.add_image(BRAKES, EVIL, role=SECOND, custom=custom(2**53 - 1)))
    wait(fleet.images.publish(fleet.now))
    wait(fleet.images.revoke(SECOND))
    wait(fleet.images.add_image(BRAKES, FRESH, role=FIRST, custom=custom(7)))


@pytest.mark.parametrize(("hardware", "falls"), [(("a",), True), (("b",), False), (("b", "a"), True), (None, True)])
def test_releases_for_other_hardware_are_counted_apart(
    profile: Profile, hardware: tuple[str, ...] | None, falls: bool
) -> None:
    fleet = Fleet(profile)
    fleet.grant(FIRST, "parts/*")
    fleet.grant(SECOND, "parts/*", hardware=("a",))
    wait(fleet.images.add_image(BRAKES, FRESH, role=SECOND, custom=custom(7, ("a",))))
    wait(fleet.images.publish(fleet.now))
    attempt = fleet.images.add_image(BRAKES, FRESH, role=FIRST, custom=custom(1, hardware))
    if falls:
        with pytest.raises(ImageRollbackError):
            wait(attempt)
    else:
        wait(attempt)


def test_delegations_that_no_client_follows_keep_nobody_from_a_release(fleet: Fleet) -> None:
    """Else a supplier could keep the operator from taking his images over."""
    names = [RoleName(f"deep{number}") for number in range(40)]
    for delegator, name in zip((FIRST, *names), names, strict=False):
        fleet.grant(name, "parts/*", delegator=delegator)
    wait(fleet.images.publish(fleet.now))
    wait(fleet.images.add_image(BRAKES, FRESH, custom=custom(1)))
