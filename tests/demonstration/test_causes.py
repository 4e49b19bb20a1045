"""An attack counts as shown when the check refused it that the walkthrough names, not when anything did."""

from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from uptane.demonstration import banners, walkthrough
from uptane.demonstration.banners import Banner
from uptane.demonstration.script import ENCRYPTED_STEPS, PARTIAL_STEPS, STEPS, SUPPLIER_STEPS, Call, Step
from uptane.demonstration.walkthrough import StepResult, sections
from uptane.demonstration.windows import Answer
from uptane.metadata.errors import BadHashError, DecryptionError, ReplayedMetadataError
from uptane.metadata.root import Role

REPLAY = Call("dp.update_cycle", shows=Banner.REPLAY, because="E-ROLLBACK-META timestamp")


def played(monkeypatch: pytest.MonkeyPatch, folder: Path, *causes: str) -> StepResult:
    """A step of one replay, whose window shows the right banner and these causes."""

    class Windowed:
        def __init__(self, kind: str, environment: Mapping[str, str], show: Callable[[str], None]) -> None:
            pass

        def ready(self) -> None:
            pass

        def close(self) -> None:
            pass

        def call(self, name: str, args: tuple[object, ...], kwargs: Mapping[str, object]) -> Answer:
            attacked = name == REPLAY.name
            shown, why = ((Banner.REPLAY,), causes) if attacked else ((), ())
            return Answer(lines=(), banners=shown, causes=why, errors=(), value=None)

    monkeypatch.setattr(walkthrough, "Window", Windowed)
    monkeypatch.setattr(walkthrough, "steps_of", lambda profile: (Step("3.3", "Replay", "", (REPLAY,)),))
    (result,) = sections("der", folder, lambda line: None)
    return result


def test_the_named_check_makes_a_section_pass(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert played(monkeypatch, tmp_path, "E-ROLLBACK-META timestamp").passed


@pytest.mark.parametrize("causes", [("E-ROLLBACK-META snapshot",), ("E-FORMAT",), ()])
def test_an_attack_that_another_check_refuses_fails_its_section(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, causes: tuple[str, ...]
) -> None:
    result = played(monkeypatch, tmp_path, *causes)
    assert (result.seen, result.passed) == (("REPLAY",), False)
    (error,) = result.errors
    assert error.startswith("dp.update_cycle was refused by ") and error.endswith("not by E-ROLLBACK-META timestamp")


def test_every_refusal_of_the_walkthrough_names_its_check() -> None:
    steps = (*STEPS, *PARTIAL_STEPS, *SUPPLIER_STEPS, *ENCRYPTED_STEPS)
    refused = {Banner.DEFENDED, Banner.REPLAY}
    assert [call for step in steps for call in step.calls if (call.shows in refused) != bool(call.because)] == []


def test_a_cause_is_a_code_and_what_it_is_about() -> None:
    replayed = ReplayedMetadataError("it is old", role=Role.TIMESTAMP, repository="director")
    assert banners.cause(replayed) == "[uptane] CAUSE: E-ROLLBACK-META timestamp"
    assert banners.cause(BadHashError("it is another", image="a.img")) == "[uptane] CAUSE: E-HASH a.img"
    assert banners.cause(DecryptionError("no")) == "[uptane] CAUSE: E-DECRYPT"
