"""The plan of a vehicle's Targets, whatever stands in the inventory."""

import pytest
from world import NOW, TCU, VIN, image, new_signer

from uptane.director.planning import assignment_of, plan_targets
from uptane.director.ports import EcuRecord
from uptane.formats.profiles import PROFILES
from uptane.metadata.errors import UptaneError
from uptane.metadata.identifiers import EcuIdentifier, HardwareIdentifier
from uptane.metadata.targets import Targets


def test_two_different_images_of_one_name_are_never_planned() -> None:
    one = assignment_of(VIN, TCU, image("a.img", b"one"))
    for other in (image("a.img", b"other"), image("a.img", b"one", counter=1)):
        with pytest.raises(UptaneError) as refusal:
            plan_targets([one, assignment_of(VIN, EcuIdentifier("other"), other)], [])
        assert refusal.value.facts["image"] == "a.img"


def test_two_ecus_share_one_entry() -> None:
    shared = image("a.img", b"one")
    planned = plan_targets([assignment_of(VIN, ecu, shared) for ecu in (TCU, EcuIdentifier("other"))], [])
    (entry,) = planned.images.values()
    assert set(entry.custom.ecus) == {TCU, "other"}


def test_planned_images_become_values_when_they_are_looked_up() -> None:
    """One image for two ECUs: its entry names both, and it is written like one that was made at once."""
    ecus = [EcuIdentifier("A"), EcuIdentifier("B")]
    given = image("a.img", b"a", counter=2)
    records = [
        EcuRecord(vehicle=VIN, ecu=ecu, key=new_signer().key, is_primary=False, hardware_id=HardwareIdentifier("h"))
        for ecu in ecus
    ]
    planned = plan_targets([assignment_of(VIN, ecu, given) for ecu in ecus], records).images
    assert list(planned) == [given.file.path] and len(planned) == 1
    made = planned[given.file.path]
    assert made.file == given.file and made.custom.must_match == given.custom.must_match
    assert {ecu: entry.hardware_id for ecu, entry in made.custom.ecus.items()} == dict.fromkeys(ecus, "h")
    for profile in (PROFILES["der"], PROFILES["json"]):
        lazy, eager = (
            profile.format.encode(Targets(version=1, expires=NOW, vehicle=VIN, images=images))
            for images in (planned, dict(planned))
        )
        assert lazy == eager
