"""Short tones that the demonstration makes itself and plays where a player is installed and sound is wanted."""

import math
import os
import shutil
import struct
import subprocess
import tempfile
import wave
from collections.abc import Sequence
from pathlib import Path
from threading import Thread

SOUND_VARIABLE = "UPTANE_DEMO__SOUND"
"""Sound is on where this variable says `1`, `on`, `true` or `yes`."""

PLAYERS: tuple[tuple[str, ...], ...] = (
    ("paplay",),
    ("aplay", "-q"),
    ("mplayer", "-really-quiet"),
    ("afplay",),
    ("ffplay", "-nodisp", "-autoexit", "-loglevel", "quiet"),
)
"""The players that are tried, in this order; the name of the file follows."""

SAMPLES_PER_SECOND = 22_050
LOUDNESS = 0.3
"""Of the loudest possible, 0 to 1."""

FADE_SECONDS = 0.01
"""At both ends of each tone, so that it does not click."""

LONGEST_SECONDS = 5
"""A player that takes longer than this is stopped: the longest sequence has less than one second."""

Tone = tuple[float, float]
"""Frequency in hertz (0 for a pause), and seconds."""


def play(tones: Sequence[Tone]) -> Thread | None:
    """Plays `tones` in the background, if sound is wanted and a player is there; never fails.

    Returns:
        The thread that waits for the player, or None where nothing is played.
    """
    if os.environ.get(SOUND_VARIABLE, "").lower() not in ("1", "on", "true", "yes"):
        return None
    player = next((command for command in PLAYERS if shutil.which(command[0])), None)
    if player is None:
        return None
    thread = Thread(target=_play, args=(player, tuple(tones)), name="uptane-sound")
    thread.start()
    return thread


def wave_of(tones: Sequence[Tone]) -> bytes:
    """The tones as samples: signed, 16 bits, little-endian, one channel."""
    samples: list[int] = []
    for hertz, seconds in tones:
        count = int(seconds * SAMPLES_PER_SECOND)
        fade = max(1, int(FADE_SECONDS * SAMPLES_PER_SECOND))
        for index in range(count):
            strength = LOUDNESS * min(1.0, index / fade, (count - index) / fade)
            samples.append(int(32767 * strength * math.sin(2 * math.pi * hertz * index / SAMPLES_PER_SECOND)))
    return struct.pack(f"<{len(samples)}h", *samples)


def _play(player: tuple[str, ...], tones: tuple[Tone, ...]) -> None:
    try:
        with tempfile.TemporaryDirectory(prefix="uptane-sound-") as folder:
            file = Path(folder, "banner.wav")
            with wave.open(str(file), "wb") as sound:
                sound.setnchannels(1)
                sound.setsampwidth(2)
                sound.setframerate(SAMPLES_PER_SECOND)
                sound.writeframes(wave_of(tones))
            subprocess.run(
                (*player, str(file)),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                timeout=LONGEST_SECONDS,
                check=False,
            )
    except (OSError, subprocess.SubprocessError):
        return  # a demonstration without sound is still one
