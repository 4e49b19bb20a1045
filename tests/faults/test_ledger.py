"""What `make faults` counts as a violation."""

from faults.ledger import Ledger
from uptane.metadata.identifiers import VehicleIdentifier

CAR = VehicleIdentifier("car")


def test_one_version_with_two_contents_is_a_violation_whoever_sees_it() -> None:
    ledger = Ledger()
    for raw in (b"one", b"one", b"another"):
        ledger.saw("everybody", "repo/targets", 7, raw)
    ledger.saw("everybody", "repo/targets", 8, b"another")
    ledger.saw("car", "director/targets", 7, b"another")
    assert ledger.violations == ["repo/targets 7 of everybody was published twice, with different bytes"]
    assert ledger.versions == 3


def test_what_was_acknowledged_and_what_was_only_sent_are_told_apart() -> None:
    ledger = Ledger()
    for raw, acknowledged in ((b"1", True), (b"2", False)):
        ledger.manifest(CAR, raw, acknowledged=acknowledged)
    assert [(sent.raw, sent.acknowledged) for sent in ledger.manifests[CAR]] == [(b"1", True), (b"2", False)]
    assert (ledger.counts["manifests acknowledged"], ledger.counts["manifests without an answer"]) == (1, 1)


def test_an_assignment_whose_answer_was_lost_is_nothing_to_count_on() -> None:
    ledger = Ledger()
    ledger.assigned(CAR, "a.img")
    assert ledger.assignments == {CAR: "a.img"}
    ledger.assigned(CAR, None)
    assert ledger.assignments == {}
