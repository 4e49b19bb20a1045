"""Attacks that an ECU saw reach the Director, whatever an attacker wrote into them, and only then are forgotten."""

import pytest
from fleet import Fleet, Vehicle
from signed import FRESH, PATH
from world import PRIMARY, TCU

from uptane.formats.profile import Profile
from uptane.metadata.errors import BadHashError, FormatError, RepositoryMismatchError, SecurityError, UnreachableError
from uptane.metadata.version_report import MAX_ATTACKS_BYTES
from uptane.vehicle.version_reports import MAX_DESCRIPTION_BYTES, describe


@pytest.fixture
def car(profile: Profile) -> Vehicle:
    """A vehicle after its first cycle."""
    car = Vehicle(Fleet(profile))
    car.cycle()
    return car


@pytest.mark.standard("STD-5.4.2.1.2-8")
def test_an_attack_is_kept_until_the_director_accepted_the_report_of_it(car: Vehicle) -> None:
    car.primary.memory.note_attack("E-HASH: one")
    car.links.down.add("Director")
    for _ in range(2):
        with pytest.raises(UnreachableError):
            car.primary.update_cycle()
    assert car.primary.memory.state.attacks == ("E-HASH: one",)
    car.restart_primary()
    car.links.restore()
    car.primary.update_cycle()
    assert car.fleet.reports(PRIMARY)[0].attacks_detected == "E-HASH: one"
    car.primary.update_cycle()
    assert car.fleet.reports(PRIMARY)[0].attacks_detected == ""


@pytest.mark.standard("STD-5.4.2.1.2-8")
def test_a_secondary_keeps_an_attack_until_its_primary_accepted_the_report(car: Vehicle) -> None:
    car.secondary.memory.note_attack("E-HASH: one")
    car.link.down = True
    with pytest.raises(UnreachableError):
        car.secondary.send_report()
    assert car.secondary.memory.state.attacks == ("E-HASH: one",)
    car.link.down = False
    car.secondary.send_report()
    car.primary.update_cycle()
    assert car.fleet.reports(TCU)[0].attacks_detected == "E-HASH: one"


@pytest.mark.standard("STD-5.4.2.1.2-8")
def test_an_attack_in_a_report_that_was_replaced_on_its_way_is_told_by_the_primary(car: Vehicle) -> None:
    car.secondary.memory.note_attack("E-HASH: one")
    car.secondary.send_report()
    car.restart_primary()
    car.secondary.send_report()
    car.primary.update_cycle()
    assert car.fleet.reports(TCU)[0].attacks_detected == ""
    assert car.fleet.reports(PRIMARY)[0].attacks_detected == f"{TCU} reported: E-HASH: one"


def test_an_attack_that_the_director_knows_from_the_secondary_is_not_told_again(car: Vehicle) -> None:
    car.secondary.memory.note_attack("E-HASH: one")
    car.secondary.send_report()
    car.primary.update_cycle()
    assert car.fleet.reports(TCU)[0].attacks_detected == "E-HASH: one"
    car.secondary.send_report()
    car.primary.update_cycle()
    assert car.fleet.reports(PRIMARY)[0].attacks_detected == ""


def test_an_attack_that_is_seen_while_the_report_travels_is_not_forgotten(car: Vehicle) -> None:
    car.secondary.memory.note_attack("E-HASH: one")
    report = car.secondary.make_report()
    car.secondary.memory.note_attack("E-HASH: two")
    car.secondary.send_report(report)
    assert car.secondary.memory.state.attacks == ("E-HASH: two",)


def test_the_same_attack_is_told_once(car: Vehicle) -> None:
    for _ in range(3):
        car.primary.memory.note_attack("E-HASH: one")
    assert car.primary.memory.state.attacks == ("E-HASH: one",)
    car.primary.memory.forget_attacks(("E-HASH: another",))
    assert car.primary.memory.state.attacks == ("E-HASH: one",)


def test_the_first_attacks_stay_when_there_is_no_room_for_more(car: Vehicle) -> None:
    for n in range(50):
        car.primary.memory.note_attack(f"E-HASH: 攻撃 {n} " + "…" * 60)
    kept = car.primary.memory.state.attacks
    assert kept[0].startswith("E-HASH: 攻撃 0")
    car.primary.update_cycle()
    told = car.fleet.reports(PRIMARY)[0].attacks_detected
    assert told == "; ".join(kept)
    assert len(told.encode()) <= MAX_ATTACKS_BYTES
    assert car.primary.memory.state.attacks == ()


@pytest.mark.parametrize(
    "text",
    ["e\u0301vil", "line\nbreak\x00\x1b[2J", "right\u202eleft", "\ud800", "\u1100\u1161" * 200, "x" * 5000],
    ids=["not NFC", "controls", "bidi", "surrogate", "jamo", "long"],
)
@pytest.mark.standard("STD-5.2-2")
def test_whatever_an_attacker_wrote_the_ecu_can_still_report(car: Vehicle, text: str) -> None:
    car.primary.memory.note_attack(describe(RepositoryMismatchError(text)))
    car.secondary.memory.note_attack(describe(FormatError(text)))
    car.secondary.send_report()
    car.cycle()
    told = car.fleet.reports(PRIMARY)[0].attacks_detected
    assert told.startswith("E-REPO-MISMATCH arbitrary software: ")
    assert len(told.encode()) <= MAX_DESCRIPTION_BYTES
    assert car.fleet.reports(TCU)[0].attacks_detected.startswith("E-FORMAT: ")
    car.secondary.make_report(extra_attack=text)


@pytest.mark.standard("STD-5.4.4.2-21")
def test_a_description_names_code_attack_and_what_happened() -> None:
    assert (
        describe(BadHashError("image x has another sha256")) == "E-HASH arbitrary software: image x has another sha256"
    )
    assert describe(SecurityError("odd")) == "E-SECURITY: odd"


def test_a_report_carries_an_attack_that_is_told_by_hand(car: Vehicle) -> None:
    car.secondary.memory.note_attack("E-HASH: one")
    car.secondary.send_report(car.secondary.make_report("some attack detected"))
    car.fleet.release(PATH, FRESH)
    car.primary.update_cycle()
    assert car.fleet.reports(TCU)[0].attacks_detected == "E-HASH: one; some attack detected"
