"""Banners: what a window of the walkthrough shows at the end of a cycle, large for people and plain for programs.

Wherever a banner appears, one line names it in plain text (`[uptane] BANNER: DEFENDED`) and the explanation follows.
On a terminal the name stands above that line in block letters on the banner's colour, as far as the window has room.
"""

import os
import sys
from dataclasses import dataclass
from enum import StrEnum
from typing import TextIO

from uptane.demonstration import sounds
from uptane.demonstration.sounds import Tone
from uptane.metadata.errors import SecurityError

PREFIX = "[uptane] BANNER: "
"""What the line that names a banner begins with; the banner's name is the rest of it."""

CAUSE = "[uptane] CAUSE: "
"""What the line begins with that names the check which refused something: the error's code, and the file."""


class Banner(StrEnum):
    """The banners, each with the name it gives itself."""

    UPDATED = "UPDATED"
    DEFENDED = "DEFENDED"
    REPLAY = "REPLAY"
    NO_UPDATE = "NO UPDATE"
    NO_UPDATE_NEEDED = "NO UPDATE NEEDED"
    COMPROMISED = "COMPROMISED"
    FROZEN = "FROZEN"
    HACKED = "HACKED"


@dataclass(frozen=True, slots=True)
class Look:
    """Colours as `rich` names them, and the tones."""

    style: str
    tones: tuple[Tone, ...]


LOOKS = {
    Banner.UPDATED: Look("white on green", ((523, 0.10), (659, 0.10), (784, 0.20))),
    Banner.DEFENDED: Look("white on dark_blue", ((392, 0.12), (392, 0.12), (523, 0.25))),
    Banner.REPLAY: Look("white on black", ((440, 0.10), (349, 0.10), (440, 0.10), (349, 0.20))),
    Banner.NO_UPDATE: Look("white on black", ((330, 0.10),)),
    Banner.NO_UPDATE_NEEDED: Look("white on black", ((330, 0.10), (0, 0.05), (330, 0.10))),
    Banner.COMPROMISED: Look("white on red", ((294, 0.15), (277, 0.15), (262, 0.15), (247, 0.40))),
    Banner.FROZEN: Look("white on dark_cyan", ((1047, 0.08), (1047, 0.08), (1047, 0.08))),
    Banner.HACKED: Look("white on dark_magenta", ((196, 0.20), (185, 0.40))),
}

_LETTERS = {
    "A": (" ### ", "#   #", "#####", "#   #", "#   #"),
    "C": (" ####", "#    ", "#    ", "#    ", " ####"),
    "D": ("#### ", "#   #", "#   #", "#   #", "#### "),
    "E": ("#####", "#    ", "###  ", "#    ", "#####"),
    "F": ("#####", "#    ", "###  ", "#    ", "#    "),
    "H": ("#   #", "#   #", "#####", "#   #", "#   #"),
    "I": ("###", " # ", " # ", " # ", "###"),
    "K": ("#  # ", "# #  ", "##   ", "# #  ", "#  # "),
    "L": ("#    ", "#    ", "#    ", "#    ", "#####"),
    "M": ("#   #", "## ##", "# # #", "#   #", "#   #"),
    "N": ("#   #", "##  #", "# # #", "#  ##", "#   #"),
    "O": (" ### ", "#   #", "#   #", "#   #", " ### "),
    "P": ("#### ", "#   #", "#### ", "#    ", "#    "),
    "R": ("#### ", "#   #", "#### ", "#  # ", "#   #"),
    "S": (" ####", "#    ", " ### ", "    #", "#### "),
    "T": ("#####", "  #  ", "  #  ", "  #  ", "  #  "),
    "U": ("#   #", "#   #", "#   #", "#   #", " ### "),
    "Y": ("#   #", " # # ", "  #  ", "  #  ", "  #  "),
    "Z": ("#####", "   # ", "  #  ", " #   ", "#####"),
}
_WORD_GAP = "   "
_USUAL_COLUMNS = 80


def show(banner: Banner, text: str, *, file: TextIO | None = None) -> None:
    """Shows `banner` and its explanation, and plays its tones where sound is wanted.

    Args:
        banner: which one.
        text: the explanation, of any number of lines.
        file: where to; standard output unless given. Block letters and colours only where it is a terminal.
    """
    out = sys.stdout if file is None else file
    if out.isatty():
        _draw(banner, out)
    print(f"{PREFIX}{banner}", *text.splitlines(), sep="\n", file=out, flush=True)
    sounds.play(LOOKS[banner].tones)


def cause(error: SecurityError) -> str:
    """The line that names the check which failed and the role or image that it failed for: `E-SIG timestamp`."""
    subject = error.facts.get("role", error.facts.get("image", ""))
    return f"{CAUSE}{error.code} {subject}".rstrip()


def try_banners() -> None:
    """Shows every banner."""
    for banner in Banner:
        show(banner, f"This is what {banner} looks like.")


def big_letters(name: str, width: int) -> list[str]:
    """`name` in block letters, as lines of `#` and spaces that are as long as each other.

    Words stand side by side where they fit into `width` columns, and below each other otherwise.

    Returns:
        No lines at all where the longest word does not fit.
    """
    words = [_word(word) for word in name.split()]
    if max(len(word[0]) for word in words) > width:
        return []
    lines = [words[0]]
    for word in words[1:]:
        if len(lines[-1][0]) + len(_WORD_GAP) + len(word[0]) <= width:
            lines[-1] = [left + _WORD_GAP + right for left, right in zip(lines[-1], word, strict=True)]
        else:
            lines.append(word)
    widest = max(len(line[0]) for line in lines)
    rows: list[str] = []
    for line in lines:
        rows += ([""] if rows else []) + line
    return [row.center(widest) for row in rows]


def _word(word: str) -> list[str]:
    return [" ".join(row) for row in zip(*(_LETTERS[letter] for letter in word), strict=True)]


def _columns(out: TextIO) -> int:
    told = os.environ.get("COLUMNS", "")
    if told.isdecimal() and int(told):
        return int(told)
    try:
        return os.get_terminal_size(out.fileno()).columns or _USUAL_COLUMNS
    except OSError:  # a terminal that does not know its size, or a stand-in for one
        return _USUAL_COLUMNS


def _draw(banner: Banner, out: TextIO) -> None:
    from rich.console import Console  # where there is no terminal, its import would be time lost
    from rich.text import Text

    width = _columns(out)
    console = Console(file=out, width=width)
    ink = "█" if console.encoding.startswith("utf") else "#"
    rows = big_letters(banner, width - 2) or [banner]
    if rows != [banner]:
        rows = [row.replace("#", ink) for row in rows]
    for row in ("", *rows, ""):
        console.print(Text(row[:width].center(width), style=f"bold {LOOKS[banner].style}"), no_wrap=True, crop=True)
