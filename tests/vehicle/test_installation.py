"""Two slots: a new image is written beside the one that runs, tried, and taken back when it does not confirm."""

import pytest
from device import Device
from fleet import Fleet, Vehicle
from signed import EVIL, FACTORY, FRESH, PATH, custom
from world import PRIMARY, TCU

from uptane.formats.profile import Profile
from uptane.metadata.errors import BadHashError, FormatError, ImageRollbackError
from uptane.metadata.identifiers import EcuIdentifier
from uptane.metadata.targets import ImageFile
from uptane.metadata.version_report import EcuVersionReport
from uptane.vehicle.installation import MAX_TRIALS
from uptane.vehicle.installation_states import ONE_SLOT, RUNNING, TWO_SLOTS, Event, Installation, Phase, Table
from uptane.vehicle.memory import EcuMemory, VerificationKind
from uptane.vehicle.secondary import Outcome

SECOND = b"the second image"

TABLES = pytest.mark.parametrize("table", [TWO_SLOTS, ONE_SLOT], ids=["two slots", "one slot"])


class PowerCut(BaseException):
    """Ends the process: nothing catches it."""


def reached_from(start: Phase, table: Table) -> set[Phase]:
    """The states that some events lead to."""
    found = {start}
    while more := {after for (before, _), after in table.items() if before in found} - found:
        found |= more
    return found


@TABLES
def test_every_state_comes_from_the_running_one_and_leads_back_to_it(table: Table) -> None:
    states = {before for before, _ in table} | set(table.values())
    assert reached_from(Phase.RUNNING, table) == states
    for state in states:
        assert Phase.RUNNING in reached_from(state, table)


@TABLES
def test_no_image_is_tried_that_was_not_verified_and_none_is_kept_that_did_not_confirm(table: Table) -> None:
    into_trial = {event for (_, event), after in table.items() if after is Phase.TRIAL}
    assert into_trial <= {Event.VERIFIED, Event.ACTIVATED}
    assert {event for (before, event) in table if before is Phase.TRIAL} == {Event.CONFIRMED, Event.NOT_CONFIRMED}
    assert all(after is not Phase.WRITTEN or event is Event.VERIFIED for (_, event), after in table.items())


@TABLES
@pytest.mark.parametrize("phase", Phase)
@pytest.mark.parametrize("event", Event)
def test_an_event_that_cannot_happen_changes_nothing_silently(table: Table, phase: Phase, event: Event) -> None:
    installation = Installation(phase=phase)
    if (phase, event) in table:
        assert installation.after(event, table).phase is table[phase, event]
    elif event is Event.RESTARTED:
        assert installation.after(event, table) is installation
    else:
        with pytest.raises(LookupError):
            installation.after(event, table)


def test_there_is_no_third_slot() -> None:
    with pytest.raises(FormatError):
        Installation(active="slot-c")


@pytest.fixture(params=[VerificationKind.FULL, VerificationKind.PARTIAL])
def car(profile: Profile, request: pytest.FixtureRequest) -> Vehicle:
    """A vehicle with an update for both ECUs."""
    car = Vehicle(Fleet(profile), verification=request.param)
    car.fleet.release("head unit.img", FRESH, PRIMARY, custom=custom(5))
    car.fleet.release(PATH, FRESH, custom=custom(5))
    return car


def who(car: Vehicle, ecu: str) -> tuple[Device, EcuMemory]:
    """The parts of an ECU, and its memory."""
    return (car.device, car.primary.memory) if ecu == PRIMARY else (car.tcu.device, car.secondary.memory)


ECUS = pytest.mark.parametrize("ecu", [PRIMARY, TCU])


@ECUS
def test_the_image_before_stays_in_the_other_slot(car: Vehicle, ecu: str) -> None:
    car.cycle()
    device, memory = who(car, ecu)
    assert device.running() == FRESH
    assert memory.state.installation == Installation(active="slot-b")
    assert b"".join(device.slots.chunks("slot-a") or ()) == FACTORY


@ECUS
@pytest.mark.standard("STD-5.4.3.5-1", "STD-5.4.2.1.2-7", "STD-5.4.3.6-1")
def test_an_image_that_does_not_confirm_is_taken_back_and_the_report_tells_what_runs(car: Vehicle, ecu: str) -> None:
    device, memory = who(car, ecu)
    tried: list[ImageFile] = []
    device.confirms = lambda file: tried.append(file)  # type: ignore[func-returns-value]
    car.cycle()
    assert [file.length for file in tried] == [len(FRESH)]
    assert device.running() == FACTORY
    assert memory.state.release_counter is None, "what never ran keeps nothing out"
    car.primary.update_cycle()
    told = car.fleet.profile.format.decode(EcuVersionReport, car.fleet.reports(EcuIdentifier(ecu))[0].report).payload
    assert (told.installed.path, told.attacks_detected) == ("factory.img", "")


@ECUS
def test_it_is_tried_a_few_times_and_then_not_until_another_image_comes(car: Vehicle, ecu: str) -> None:
    device, memory = who(car, ecu)
    tried: list[str] = []

    def confirms(file: ImageFile) -> bool:
        tried.append(file.path)
        return file.path == "second.img"

    device.confirms = confirms
    for _ in range(MAX_TRIALS + 2):
        car.cycle()
    assert len(tried) == MAX_TRIALS
    assert device.running() == FACTORY
    car.fleet.release("second.img", SECOND, EcuIdentifier(ecu), custom=custom(6))
    car.cycle()
    assert device.running() == SECOND
    assert memory.state.installation == Installation(active="slot-b")
    assert memory.state.release_counter == 6


def test_a_secondary_says_that_it_rolled_back_and_that_it_gave_up(car: Vehicle) -> None:
    car.tcu.device.confirms = lambda file: False
    car.primary.update_cycle()
    outcomes = [car.secondary.update_cycle() for _ in range(MAX_TRIALS + 1)]
    assert [result.outcome for result in outcomes] == [Outcome.ROLLED_BACK] * MAX_TRIALS + [Outcome.NO_UPDATE]
    assert "not tried again" in outcomes[-1].reason


def test_an_image_that_failed_may_come_again_once_the_one_that_runs_was_directed(car: Vehicle) -> None:
    fleet, device = car.fleet, car.tcu.device
    before = fleet.release("before.img", b"before")
    car.cycle()
    device.confirms = lambda file: False
    image = fleet.release(PATH, FRESH, custom=custom(5))
    for _ in range(MAX_TRIALS):
        car.cycle()
    fleet.direct(before)
    car.cycle()
    assert car.secondary.memory.state.installation.failures == 0
    device.confirms = lambda file: True
    fleet.direct(image)
    car.cycle()
    assert car.running() == FRESH


@ECUS
@pytest.mark.standard("STD-5.4.4-5")
@pytest.mark.parametrize("good", [True, False], ids=["works", "does not work"])
def test_the_power_fails_while_the_new_image_is_tried(car: Vehicle, ecu: str, good: bool) -> None:
    device, _ = who(car, ecu)

    def cut(file: ImageFile) -> bool:
        raise PowerCut

    device.confirms = cut
    with pytest.raises(PowerCut):
        car.cycle()
    assert who(car, ecu)[1].state.installation.phase is Phase.TRIAL
    device.confirms = lambda file: good
    car.restart_primary()
    car.tcu.start()
    assert who(car, ecu)[1].state.installation.phase is Phase.RUNNING
    assert device.running() == (FRESH if good else FACTORY)
    device.confirms = lambda file: True
    car.cycle()
    assert device.running() == FRESH


@ECUS
@pytest.mark.standard("STD-5.4.4-5")
def test_an_image_that_takes_the_ecu_down_with_it_is_taken_back_after_a_few_starts(car: Vehicle, ecu: str) -> None:
    device, memory = who(car, ecu)
    starts: list[str] = []

    def crash(file: ImageFile) -> bool:
        starts.append(file.path)
        raise PowerCut

    device.confirms = crash
    with pytest.raises(PowerCut):
        car.cycle()
    for _ in range(MAX_TRIALS - 1):
        with pytest.raises(PowerCut):
            car.restart_primary() if ecu == PRIMARY else car.tcu.start()
    car.restart_primary()
    car.tcu.start()
    assert len(starts) == MAX_TRIALS
    assert device.running() == FACTORY
    assert who(car, ecu)[1].state.installation.phase is Phase.RUNNING
    car.cycle()
    assert len(starts) == MAX_TRIALS, "it is not started again"
    assert memory.state.release_counter is None


@ECUS
def test_what_an_image_raises_is_a_no(car: Vehicle, ecu: str) -> None:
    device, _ = who(car, ecu)

    def silent(file: ImageFile) -> bool:
        raise TimeoutError("it said nothing in its time")

    device.confirms = silent
    car.cycle()
    assert device.running() == FACTORY


def test_starts_of_another_image_do_not_count(car: Vehicle) -> None:
    car.tcu.device.confirms = lambda file: False
    for number in range(MAX_TRIALS + 1):
        car.fleet.release(f"try {number}.img", b"try %d" % number, custom=custom(5))
        car.cycle()
        assert car.secondary.memory.state.installation.failures == 1


def test_an_image_that_waited_counts_with_the_release_that_it_is_directed_with_when_it_starts(car: Vehicle) -> None:
    car.tcu.device.may_install = False
    car.cycle()
    car.fleet.release(PATH, FRESH, custom=custom(9))
    car.tcu.device.may_install = True
    car.cycle()
    assert (car.running(), car.secondary.memory.state.release_counter) == (FRESH, 9)


def test_what_waits_survives_a_restart_and_is_not_transferred_again(car: Vehicle) -> None:
    car.tcu.device.may_install = False
    car.cycle()
    car.tcu.start()
    car.tcu.device.may_install = True
    assert car.secondary.update_cycle().outcome is Outcome.UPDATED
    assert car.link.calls.count("image") == 1


def test_what_waits_makes_room_for_another_image_that_is_directed_instead(car: Vehicle) -> None:
    car.tcu.device.may_install = False
    car.cycle()
    car.fleet.release("second.img", SECOND, custom=custom(6))
    car.cycle()
    car.tcu.device.may_install = True
    car.cycle()
    assert car.running() == SECOND


@pytest.mark.standard("STD-5.4.3.4-5", "STD-5.4.3.4-9")
def test_bad_bytes_and_lower_releases_leave_the_image_before_where_it_was(car: Vehicle) -> None:
    car.cycle()
    running = car.secondary.memory.state
    lower = car.fleet.add_image("lower.img", b"lower", custom(4))
    with pytest.raises(ImageRollbackError):
        car.secondary._installer.write(lower, [b"lower"])
    assert car.secondary.memory.state == running
    image = car.fleet.add_image("other.img", FRESH[::-1], custom(6))
    with pytest.raises(BadHashError):
        car.secondary._installer.write(image, [EVIL.ljust(len(FRESH))[: len(FRESH)]])
    assert car.secondary.memory.state == running
    assert car.running() == FRESH


def test_a_new_ecu_runs_from_its_first_slot(car: Vehicle) -> None:
    assert car.secondary.memory.state.installation == RUNNING
