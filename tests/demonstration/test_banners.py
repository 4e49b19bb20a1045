"""The banners on real terminals of every width, on no terminal, and their tones through a real player."""

import fcntl
import io
import os
import pty
import re
import struct
import termios
import threading
import wave
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from uptane.demonstration import sounds
from uptane.demonstration.banners import LOOKS, PREFIX, Banner, big_letters, show, try_banners

_ESCAPES = re.compile(r"\x1b\[[0-9;]*m")


class Terminal:
    """A pseudo terminal: `file` is the side that programs write to."""

    def __init__(self, columns: int, encoding: str) -> None:
        self._screen, side = pty.openpty()
        fcntl.ioctl(side, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
        self.file = os.fdopen(side, "w", encoding=encoding)
        self._seen = bytearray()
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self) -> None:
        while True:
            try:
                chunk = os.read(self._screen, 4096)
            except OSError:  # the other side is closed
                return
            if not chunk:
                return
            self._seen += chunk

    def close(self) -> str:
        """All that was written."""
        self.file.close()
        self._reader.join()
        os.close(self._screen)
        return self._seen.decode().replace("\r\n", "\n")


@contextmanager
def terminal(
    monkeypatch: pytest.MonkeyPatch, columns: int, encoding: str = "utf-8"
) -> Iterator[tuple[Terminal, list[str]]]:
    """A terminal, and a list that holds what was written to it once the block ends."""
    monkeypatch.setenv("TERM", "xterm-256color")
    for name in ("NO_COLOR", "COLUMNS", "LINES", "FORCE_COLOR", "COLORTERM"):
        monkeypatch.delenv(name, raising=False)
    written: list[str] = []
    screen = Terminal(columns, encoding)
    try:
        yield screen, written
    finally:
        written.append(screen.close())


@pytest.mark.parametrize("banner", Banner)
def test_without_a_terminal_a_banner_is_its_plain_line_and_the_explanation(banner: Banner) -> None:
    out = io.StringIO()
    show(banner, "What happened.\nAnd why.", file=out)
    assert out.getvalue() == f"[uptane] BANNER: {banner}\nWhat happened.\nAnd why.\n"


@pytest.mark.parametrize("columns", [1, 5, 20, 37, 80, 200])
@pytest.mark.parametrize("banner", Banner)
def test_a_terminal_of_any_width_shows_the_banner_and_its_plain_line(
    banner: Banner, columns: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    with terminal(monkeypatch, columns) as (screen, written):
        show(banner, "What happened.", file=screen.file)
    lines = _ESCAPES.sub("", written[0]).splitlines()
    assert lines[-2:] == [PREFIX + banner, "What happened."]
    assert max(len(line) for line in lines[:-2]) <= columns


def test_a_banner_never_clears_the_screen_or_moves_about_on_it(monkeypatch: pytest.MonkeyPatch) -> None:
    with terminal(monkeypatch, 80) as (screen, written):
        for banner in Banner:
            show(banner, "", file=screen.file)
    assert "\x1b" not in _ESCAPES.sub("", written[0])


def test_the_colours_tell_the_outcome(monkeypatch: pytest.MonkeyPatch) -> None:
    written_by: dict[Banner, str] = {}
    for banner in (Banner.UPDATED, Banner.COMPROMISED, Banner.REPLAY):
        with terminal(monkeypatch, 80) as (screen, written):
            show(banner, "", file=screen.file)
        written_by[banner] = written[0]
    white_on = {name: f"\x1b[1;37;{code}m" for name, code in (("green", 42), ("red", 41), ("black", 40))}
    assert white_on["green"] in written_by[Banner.UPDATED]
    assert white_on["red"] in written_by[Banner.COMPROMISED]
    assert white_on["black"] in written_by[Banner.REPLAY]


def test_a_terminal_that_knows_only_ascii_gets_ascii(monkeypatch: pytest.MonkeyPatch) -> None:
    with terminal(monkeypatch, 80, encoding="ascii") as (screen, written):
        show(Banner.UPDATED, "", file=screen.file)
    assert "#####" in written[0]


def test_words_stand_side_by_side_only_where_there_is_room() -> None:
    assert len(big_letters("NO UPDATE", 80)) == 5
    assert len(big_letters("NO UPDATE", 40)) == 11
    assert big_letters("NO UPDATE", 20) == []


def test_all_banners_can_be_tried(capsys: pytest.CaptureFixture[str]) -> None:
    try_banners()
    named = [line.removeprefix(PREFIX) for line in capsys.readouterr().out.splitlines() if line.startswith(PREFIX)]
    assert named == list(Banner)


def test_each_banner_has_tones_of_its_own() -> None:
    assert len({look.tones for look in LOOKS.values()}) == len(Banner)


@pytest.fixture
def player(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A player, the only one installed, that keeps what it is told to play."""
    program = tmp_path / "bin" / "aplay"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\n/bin/cp "$2" {tmp_path}/played.wav\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(program.parent))
    return tmp_path / "played.wav"


def test_where_sound_is_on_the_player_gets_the_tones(player: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(sounds.SOUND_VARIABLE, "on")
    thread = sounds.play(LOOKS[Banner.UPDATED].tones)
    assert thread is not None
    thread.join()
    with wave.open(str(player)) as played:
        assert played.readframes(played.getnframes()) == sounds.wave_of(LOOKS[Banner.UPDATED].tones)


def test_where_sound_is_not_asked_for_no_player_starts(player: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(sounds.SOUND_VARIABLE, raising=False)
    assert sounds.play(LOOKS[Banner.UPDATED].tones) is None


def test_without_a_player_there_is_silence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(sounds.SOUND_VARIABLE, "on")
    monkeypatch.setenv("PATH", str(tmp_path))
    assert sounds.play(LOOKS[Banner.UPDATED].tones) is None


def test_a_player_that_cannot_start_disturbs_nobody(player: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(sounds.SOUND_VARIABLE, "on")
    (player.parent / "bin" / "aplay").write_text("not a program")
    thread = sounds.play(LOOKS[Banner.UPDATED].tones)
    assert thread is not None
    thread.join()
    assert not player.exists()
