"""The walkthrough with our windows and those of the archived implementation's peer, in every combination."""

import sqlite3
from contextlib import closing
from dataclasses import replace
from itertools import product
from pathlib import Path

import pytest
from mixed_windows import START, WINDOWS, MixedWindows, archived_peer, ours

from uptane.demonstration.script import STEPS, Step

OURS, PEER = "ours", "peer"
COMBINATIONS = [players for players in product((OURS, PEER), repeat=3) if players != (PEER, PEER, PEER)]
"""Who plays the services, the Primary and the Secondary; the peer alone is tried in a file of its own."""


@pytest.mark.slow
@pytest.mark.parametrize("wire_format", ["pouf1", "pouf1-json"])
@pytest.mark.parametrize("players", COMBINATIONS, ids="-".join)
def test_ten_of_ten(players: tuple[str, str, str], wire_format: str, tmp_path: Path) -> None:
    commands = {
        window: (ours if player == OURS else archived_peer)(window)
        for window, player in zip(WINDOWS, players, strict=True)
    }
    with MixedWindows(commands, wire_format=wire_format, folder=tmp_path) as windows:
        played = windows.play()
        dropped = windows.call("dd.dropped_manifests").value if players[0] == PEER else ""
    told = "\n".join(line for step in played for line in step.lines)
    assert {step.section: step.errors for step in played if step.errors} == {}, told
    assert [(step.section, step.seen) for step in played] == [(step.section, step.expected) for step in played], told
    assert sum(len(step.seen) for step in played) == 10
    assert dropped == ""


@pytest.mark.slow
@pytest.mark.parametrize("wire_format", ["pouf1", "pouf1-json"])
@pytest.mark.parametrize("services", [OURS, PEER])
def test_reports_of_the_other_side_are_kept(services: str, wire_format: str, tmp_path: Path) -> None:
    """Without this a report that is silently dropped would show no banner."""
    mine, theirs = (ours, archived_peer) if services == OURS else (archived_peer, ours)
    commands = {"services": mine("services"), "primary": theirs("primary"), "secondary": theirs("secondary")}
    with MixedWindows(commands, wire_format=wire_format, folder=tmp_path) as windows:
        windows.play()
        windows.call("dp.update_cycle")
        if services == PEER:
            assert windows.call("dd.kept_ecu_manifests", "TCUdemocar").value > 0
            assert windows.call("dd.kept_ecu_manifests", "INFOdemocar").value > 0
            assert windows.call("dd.kept_vehicle_manifests", "democar").value > 0
    if services == OURS:
        with closing(sqlite3.connect(tmp_path / "director" / "inventory.sqlite")) as inventory:
            (reports,) = inventory.execute("SELECT count(*) FROM reports WHERE ecu = 'TCUdemocar'").fetchone()
            (manifest,) = inventory.execute("SELECT manifest FROM vehicles WHERE vehicle = 'democar'").fetchone()
        assert reports > 1
        assert manifest


def partially(step: Step) -> Step:
    """The step with a Secondary that verifies partially."""
    calls = [
        replace(call, kwargs={**call.kwargs, "partial_verifying": True}) if call.name == "ds.clean_slate" else call
        for call in step.calls
    ]
    return replace(step, calls=tuple(calls))


@pytest.mark.slow
@pytest.mark.parametrize("wire_format", ["pouf1", "pouf1-json"])
@pytest.mark.parametrize("services", [OURS, PEER])
def test_a_partial_secondary_takes_the_targets_file_of_an_archived_primary(
    services: str, wire_format: str, tmp_path: Path
) -> None:
    commands = {
        "services": (ours if services == OURS else archived_peer)("services"),
        "primary": archived_peer("primary"),
        "secondary": ours("secondary"),
    }
    with MixedWindows(commands, wire_format=wire_format, folder=tmp_path) as windows:
        played = windows.play((START, *map(partially, STEPS[:2])))
    told = "\n".join(line for step in played for line in step.lines)
    assert [(step.seen, step.errors) for step in played] == [(step.expected, ()) for step in played], told
    assert "Director alone" in told
