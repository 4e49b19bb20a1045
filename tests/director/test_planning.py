"""The plan of a vehicle's Targets, whatever stands in the inventory."""

import pytest
from world import TCU, VIN, image

from uptane.director.planning import assignment_of, plan_targets
from uptane.metadata.errors import UptaneError
from uptane.metadata.identifiers import EcuIdentifier


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
