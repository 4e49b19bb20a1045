"""Attacks on what a vehicle reports, which only Director and Primary see: replays, other cars' ECUs, shared keys."""

import pytest
from fleet import Vehicle
from links import wait
from signed import signed_manifest, signed_report
from stage import Stage
from world import PRIMARY, TCU

from uptane.formats.profile import Profile
from uptane.metadata.attacks import Attack
from uptane.metadata.errors import (
    BadSignatureError,
    ReplayedReportError,
    SpoofingError,
    UnknownEcuError,
    WrongVehicleError,
)
from uptane.metadata.identifiers import EcuIdentifier, VehicleIdentifier

OTHER, OTHER_PRIMARY, OTHER_TCU = VehicleIdentifier("112"), EcuIdentifier("P112"), EcuIdentifier("S112")
LATER = 10**18
"""A counter that no report has reached."""


def test_uptane_manifest_replay_is_refused(profile: Profile) -> None:
    """The newest one, the one before, and one that was intercepted and never arrived."""
    stage = Stage(profile)
    for raw in stage.car.links.manifests[-2:]:
        stage.refuses_manifest(raw, ReplayedReportError, Attack.REPLAY)
    kept = stage.car.primary.make_manifest()
    stage.car.cycle()
    stage.refuses_manifest(kept, ReplayedReportError, Attack.REPLAY)


def test_uptane_manifest_replay_of_an_ecus_report_is_refused(profile: Profile) -> None:
    """An old report in a new manifest, and an old report at the Primary's door."""
    stage = Stage(profile)
    old = stage.fleet.reports(TCU)[-1].report
    stage.car.cycle()
    stage.car.cycle()
    own = signed_report(profile, stage.car.device.signer, PRIMARY, counter=LATER)
    raw = signed_manifest(profile, stage.car.device.signer, own, old, counter=LATER)
    stage.refuses_manifest(raw, ReplayedReportError, Attack.REPLAY)
    stage.refuses_report(old, ReplayedReportError, Attack.REPLAY)


def test_uptane_manifest_foreign_ecu_is_not_believed(profile: Profile) -> None:
    """In the name of another vehicle, by another vehicle's Primary, and by an ECU that is not the Primary."""
    stage = Stage(profile)
    other = Vehicle(stage.fleet, OTHER, OTHER_PRIMARY, OTHER_TCU)
    other.primary.update_cycle()
    raw = stage.car.primary.make_manifest()
    stage.refuses_manifest(raw, WrongVehicleError, Attack.REPLAY, vehicle=OTHER)
    theirs = signed_report(profile, other.device.signer, OTHER_PRIMARY, counter=LATER)
    raw = signed_manifest(profile, other.device.signer, theirs, counter=LATER, primary=OTHER_PRIMARY)
    stage.refuses_manifest(raw, UnknownEcuError, None, primary=OTHER_PRIMARY)
    mine = signed_report(profile, stage.car.tcu.device.signer, TCU, counter=LATER)
    raw = signed_manifest(profile, stage.car.tcu.device.signer, mine, counter=LATER, primary=TCU)
    stage.refuses_manifest(raw, SpoofingError, Attack.SPOOFING, primary=TCU)


def test_uptane_manifest_foreign_ecu_in_it_leaves_no_trace(profile: Profile) -> None:
    """A genuine report of another vehicle's ECU is set aside; the inventory of that vehicle is what it was."""
    stage = Stage(profile)
    other = Vehicle(stage.fleet, OTHER, OTHER_PRIMARY, OTHER_TCU)
    other.cycle()
    other.primary.update_cycle()
    before = stage.fleet.reports(OTHER_TCU)
    theirs = signed_report(profile, other.tcu.device.signer, OTHER_TCU, counter=LATER)
    own = signed_report(profile, stage.car.device.signer, PRIMARY, counter=10**16)
    raw = signed_manifest(profile, stage.car.device.signer, own, theirs, counter=10**16)
    checked = wait(stage.fleet.director.receive_manifest(stage.car.vin, PRIMARY, raw, stage.fleet.now))
    assert checked.strangers == (OTHER_TCU,)
    assert stage.fleet.reports(OTHER_TCU) == before
    other.cycle()
    other.primary.update_cycle()
    assert len(stage.fleet.reports(OTHER_TCU)) > len(before)


def test_uptane_shared_key_of_a_secondary_is_not_registered_for_a_primary(profile: Profile) -> None:
    """Neither for the Primary of a new vehicle, nor the Primary's key for a Secondary; what is known stays."""
    stage = Stage(profile)
    director, car = stage.fleet.director, stage.car
    new = stage.fleet.add_vehicle("113")
    before = stage.inventory()
    for device, is_primary in ((car.tcu.device, True), (car.device, False), (car.device, True)):
        with pytest.raises(SpoofingError) as refusal:
            wait(
                director.register_ecu(
                    vehicle=new, ecu=EcuIdentifier("P113"), key=device.signer.key, is_primary=is_primary
                )
            )
        assert refusal.value.attack is Attack.SPOOFING
    assert stage.inventory() == before
    stage.release()
    car.cycle()
    assert car.running() == stage.content


def test_uptane_shared_key_of_a_secondary_signs_for_no_vehicle(profile: Profile) -> None:
    stage = Stage(profile)
    own = signed_report(profile, stage.car.device.signer, PRIMARY, counter=LATER)
    raw = signed_manifest(profile, stage.car.tcu.device.signer, own, counter=LATER)
    stage.refuses_manifest(raw, BadSignatureError, Attack.ARBITRARY_SOFTWARE)
    own = signed_report(profile, stage.car.tcu.device.signer, PRIMARY, counter=LATER)
    raw = signed_manifest(profile, stage.car.device.signer, own, counter=LATER)
    stage.refuses_manifest(raw, BadSignatureError, Attack.ARBITRARY_SOFTWARE)
