"""A verified image waits until the vehicle is in a state to install it."""

import pytest
from fleet import Fleet, Vehicle
from signed import EVIL, FACTORY, FRESH, PATH
from world import PRIMARY, TCU

from uptane.formats.profile import Profile
from uptane.metadata.errors import BadHashError, LengthMismatchError
from uptane.vehicle.installation_states import SLOTS
from uptane.vehicle.memory import VerificationKind
from uptane.vehicle.secondary import Outcome

HEAD_UNIT = "head unit.img"


@pytest.fixture(params=[VerificationKind.FULL, VerificationKind.PARTIAL])
def car(profile: Profile, request: pytest.FixtureRequest) -> Vehicle:
    """A vehicle on its way, with an update for both ECUs."""
    car = Vehicle(Fleet(profile), verification=request.param)
    car.device.may_install = car.tcu.device.may_install = False
    car.fleet.release(PATH, FRESH)
    car.fleet.release(HEAD_UNIT, FRESH, PRIMARY)
    return car


@pytest.mark.standard("STD-5.4.3.5-2", "STD-5.4.3.5-3")
def test_a_secondary_that_may_not_install_yet_keeps_what_it_verified_and_reports_no_attack(car: Vehicle) -> None:
    car.primary.update_cycle()
    for _ in range(2):
        result = car.secondary.update_cycle()
        assert result.outcome is Outcome.DEFERRED and result.image is not None
        assert car.running() == FACTORY
        assert b"".join(car.tcu.device.slots.chunks(SLOTS[1]) or ()) == FRESH
    assert car.link.calls.count("image") == 1, "what is stored is not transferred again"
    car.primary.update_cycle()
    assert car.fleet.reports(TCU)[0].attacks_detected == ""
    car.tcu.device.may_install = True
    assert car.secondary.update_cycle().outcome is Outcome.UPDATED
    assert car.running() == FRESH


@pytest.mark.standard("STD-5.4.3.5-2", "STD-5.4.3.5-3")
def test_a_primary_that_may_not_install_yet_serves_its_secondaries_and_installs_later(car: Vehicle) -> None:
    car.tcu.device.may_install = True
    for _ in range(2):
        assert car.primary.update_cycle().installed is None
        assert car.device.running() == FACTORY
    assert any(HEAD_UNIT in line and "waits" in line for line in car.said)
    assert car.secondary.update_cycle().outcome is Outcome.UPDATED
    car.device.may_install = True
    installed = car.primary.update_cycle().installed
    assert installed is not None and installed.path == HEAD_UNIT
    assert car.device.running() == FRESH


@pytest.mark.standard("STD-5.4.3.5-1")
def test_an_image_that_was_altered_while_it_waited_is_not_installed(car: Vehicle) -> None:
    car.primary.update_cycle()
    image = car.secondary.update_cycle().image
    assert image is not None
    with car.tcu.device.slots.receive(SLOTS[1]) as writer:
        writer.write(EVIL)
        writer.keep()
    car.tcu.device.may_install = True
    with pytest.raises((BadHashError, LengthMismatchError)):
        car.secondary.update_cycle()
    assert car.running() == FACTORY
    assert car.secondary.update_cycle().outcome is Outcome.UPDATED
    assert car.running() == FRESH
