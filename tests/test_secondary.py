"""A Secondary in short: what it installs, refuses and reports; also a program, `python tests/test_secondary.py`."""

from typing import TYPE_CHECKING

import pytest

from uptane.formats.profiles import PROFILES
from uptane.metadata.errors import BadHashError, BadSignatureError, FormatError, ImageRollbackError, UnreachableError
from uptane.vehicle.secondary import Outcome

if TYPE_CHECKING:
    from fleet import Vehicle

OLD, NEW = b"firmware 1", b"firmware 2"


@pytest.fixture(params=["der", "json"])
def car(request: pytest.FixtureRequest) -> "Vehicle":
    """A vehicle whose Secondary runs release 1, and whose Primary has verified release 2."""
    # Imported here, because only pytest knows where the tests' support is, and this file is also a program.
    from fleet import Fleet, Vehicle

    car = Vehicle(Fleet(PROFILES[request.param]))
    release(car, OLD, 1)
    car.cycle()
    release(car, NEW, 2)
    car.primary.update_cycle()
    return car


def release(car: "Vehicle", content: bytes, counter: int) -> None:
    """Both repositories sign for an image."""
    from signed import custom

    car.fleet.release("firmware.img", content, custom=custom(counter))


@pytest.mark.standard("STD-5.4.3-1", "STD-5-8", "STD-5.4-6", "STD-5.4.3.6-1", "STD-5.4.3.5-1")
def test_it_takes_time_metadata_and_image_from_its_primary_installs_and_reports(car: "Vehicle") -> None:
    car.link.calls.clear()
    assert car.secondary.update_cycle().outcome is Outcome.UPDATED
    assert car.link.calls == ["time", "metadata", "update?", "image", "report"]
    assert car.running() == NEW
    assert car.secondary.update_cycle().outcome is Outcome.NO_UPDATE_NEEDED
    car.primary.update_cycle()
    assert car.secondary.memory.state.installed.path == "firmware.img"
    assert car.fleet.reports(car.tcu.ecu)[0].counter == car.secondary.memory.state.counter


@pytest.mark.standard("STD-5.4.3.3-5")
def test_it_does_nothing_where_nothing_is_assigned(car: "Vehicle") -> None:
    car.fleet.clear()
    car.primary.update_cycle()
    assert car.secondary.update_cycle().outcome is Outcome.NO_UPDATE
    assert car.running() == OLD


@pytest.mark.standard("STD-5.4.3.4-9", "STD-5.4-1")
def test_it_refuses_an_altered_image_and_keeps_the_old_one(car: "Vehicle") -> None:
    car.link.swapped_image = ("firmware.img", NEW[::-1])
    with pytest.raises(BadHashError):
        car.secondary.update_cycle()
    assert car.running() == OLD
    car.primary.update_cycle()
    assert "E-HASH arbitrary software" in car.fleet.reports(car.tcu.ecu)[0].attacks_detected
    car.link.restore()
    assert car.secondary.update_cycle().outcome is Outcome.UPDATED
    assert car.running() == NEW


@pytest.mark.standard("STD-5.4.3.2-1", "STD-5.4-7")
def test_it_refuses_metadata_that_its_primary_made_up(car: "Vehicle") -> None:
    with car.secondary_refuses(FormatError):
        car.link.swapped_bundle = b"not a bundle"


@pytest.mark.standard("STD-5.4.3.1-1")
def test_it_refuses_a_time_that_the_timeserver_did_not_sign(car: "Vehicle") -> None:
    with car.secondary_refuses(BadSignatureError):
        from world import new_signer

        from uptane.timeserver.timeserver import Timeserver

        nonce = car.secondary.memory.state.nonce
        car.link.swapped_attestation = Timeserver(car.fleet.profile, new_signer()).attest([nonce], car.fleet.now)


@pytest.mark.standard("STD-5.4.3.4-5")
def test_it_never_goes_back_to_an_older_release(car: "Vehicle") -> None:
    car.secondary.update_cycle()
    release(car, OLD, 1)
    car.primary.update_cycle()
    with pytest.raises(ImageRollbackError):
        car.secondary.update_cycle()
    assert car.running() == NEW


@pytest.mark.standard("STD-5.4.4-5", "STD-5.4.2.6-5")
def test_it_knows_after_a_restart_what_it_knew_before(car: "Vehicle") -> None:
    car.secondary.update_cycle()
    before = car.secondary.memory.state
    assert car.tcu.start().memory.state == before
    assert car.secondary.update_cycle().outcome is Outcome.NO_UPDATE_NEEDED


def test_it_goes_on_with_what_it_has_when_its_primary_is_silent(car: "Vehicle") -> None:
    car.link.down = True
    with pytest.raises(UnreachableError):
        car.secondary.update_cycle()
    assert car.running() == OLD
    car.link.restore()
    assert car.secondary.update_cycle().outcome is Outcome.UPDATED


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__]))
