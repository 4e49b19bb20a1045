"""How long a vehicle waits between two update cycles: as its server asks, within bounds that no server can leave.

What the server asks for is not signed, and whoever is in the middle may say anything. So it moves the time of the next
cycle within bounds, and nothing else.
"""

import re
from collections.abc import Callable

POLL_HEADER = "uptane-poll-seconds"
"""The header of the Director's answer to a manifest that says how long to wait, in whole seconds."""

DEFAULT_POLL_SECONDS = 3600
"""Seconds between two cycles, on average, until a server has said something else."""

MIN_POLL_SECONDS = 10
"""Seconds: what a server may ask for at least. Less would empty a battery, and be an attack on other servers."""

MAX_POLL_SECONDS = 86_400
"""Seconds: what a server may ask for at most. A Timestamp is valid for a day, so a longer sleep would hide a freeze."""

FIRST_RETRY_SECONDS = 30
"""Seconds after a cycle that failed; twice as many after the next one, and so on."""

LONGEST_RETRY_SECONDS = 3600
"""Seconds that retries reach at most, unless cycles are further apart anyway."""

JITTER = 0.5
"""By which part of it a wait is shorter or longer at random, so that a fleet does not come all at once."""

_SECONDS = re.compile(r"[0-9]{1,9}")
MAX_DOUBLINGS = 20


class Polling:
    """The waits of one vehicle.

    Args:
        random: gives numbers from 0 up to 1, evenly.
        fixed: seconds to wait on average, whatever a server asks for; None lets it ask.
    """

    def __init__(self, random: Callable[[], float], fixed: float | None = None) -> None:
        self._random = random
        self._fixed = fixed
        self._asked: float = DEFAULT_POLL_SECONDS
        self._failures = 0

    @property
    def interval(self) -> float:
        """Seconds between two good cycles, on average."""
        return self._asked if self._fixed is None else self._fixed

    def heard(self, text: str) -> None:
        """What a server asks for, in whole seconds, is taken to the nearest bound; what is no number is not heard."""
        if _SECONDS.fullmatch(text):
            self._asked = min(max(int(text), MIN_POLL_SECONDS), MAX_POLL_SECONDS)

    def succeeded(self) -> float:
        """A cycle ended well; the seconds to wait."""
        self._failures = 0
        return self._jittered(self.interval)

    def failed(self) -> float:
        """A cycle failed; the seconds to wait, which grow with every failure in a row."""
        doubled = FIRST_RETRY_SECONDS * 2 ** min(self._failures, MAX_DOUBLINGS)
        self._failures += 1
        return self._jittered(min(doubled, max(self.interval, LONGEST_RETRY_SECONDS)))

    def _jittered(self, seconds: float) -> float:
        return seconds * (1 - JITTER + 2 * JITTER * self._random())
