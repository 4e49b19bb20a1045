"""Errors cross XML-RPC: what is raised on one side is raised on the other."""

import pytest

from uptane.formats.fault_text import MAX_TEXT, error_from_fault, fault_text
from uptane.metadata.attacks import Attack
from uptane.metadata.errors import (
    BadSignatureError,
    ForeignEcuError,
    UnknownEcuError,
    UnknownVehicleError,
    UptaneError,
)


def family(kind: type[UptaneError]) -> list[type[UptaneError]]:
    ours = [
        child for child in kind.__subclasses__() if child.__module__.startswith("uptane.")
    ]  # and not of another test
    return [kind, *(found for child in ours for found in family(child))]


@pytest.mark.parametrize("kind", family(UptaneError), ids=lambda kind: kind.__name__)
@pytest.mark.parametrize("next_step", ["", "Do this. Then that."])
def test_every_error_comes_back_as_its_own_class_with_its_words(kind: type[UptaneError], next_step: str) -> None:
    sent = kind("the file 'a. b' of x [y] is 3.5 bytes", next_step=next_step)
    received = error_from_fault(fault_text(sent), peer="Director")
    assert type(received) is kind
    assert (received.what, received.next_step, received.attack) == (sent.what, sent.next_step, sent.attack)
    assert received.facts["peer"] == "Director"


def test_the_text_is_what_a_stranger_with_any_library_reads() -> None:
    assert fault_text(BadSignatureError("no key signed it", next_step="Ask again.")) == (
        "E-SIG: no key signed it. [arbitrary software attack]\nAsk again."
    )
    assert fault_text(UnknownVehicleError("no vehicle x", next_step="Add it.")) == (
        "E-UNKNOWN-VEHICLE: no vehicle x.\nAdd it."
    )


def test_two_classes_with_one_code_are_told_apart_by_their_attack() -> None:
    assert type(error_from_fault("E-UNKNOWN-ECU: x.", peer="Director")) is UnknownEcuError
    assert type(error_from_fault("E-UNKNOWN-ECU: x. [replay attack]", peer="Director")) is ForeignEcuError


def test_an_attack_that_only_this_error_had_survives() -> None:
    error = UnknownVehicleError("no vehicle x")
    error.attack = Attack.SPOOFING
    assert error_from_fault(fault_text(error), peer="Director").attack is Attack.SPOOFING


@pytest.mark.parametrize("text", ["", "boom", "E-: x", "Traceback (most recent call last)", "E-SIG", "\n"])
def test_a_fault_of_another_implementation_is_told_in_its_own_words(text: str) -> None:
    error = error_from_fault(text, peer="Primary")
    assert type(error) is UptaneError
    assert text.strip() in str(error)


def test_an_unknown_code_is_kept_as_a_fact() -> None:
    error = error_from_fault("E-NEW-IDEA: no. [time travel attack]", peer="Primary")
    assert type(error) is UptaneError
    assert error.facts["peer_code"] == "E-NEW-IDEA"


def test_a_fault_cannot_steer_the_terminal_or_fill_the_memory() -> None:
    error = error_from_fault("E-SIG: \x1b[2J\x07\u202eevil" + "x" * 1_000_000, peer="Primary")
    assert "\x1b" not in str(error)
    assert "\u202e" not in str(error)
    assert len(str(error)) < MAX_TEXT + 200
