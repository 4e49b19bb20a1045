"""`dt`: the Timeserver's window."""

import time
from typing import Any

from archived import der
from archived.key_files import load_or_generate_key
from archived.servers import listen
from archived.settings import Settings
from archived.wire_format import DER, JSON

LARGEST_NONCE = 2**31 - 1


class TimeserverWindow:
    """What is typed as `dt`.

    Args:
        settings: the demonstration.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    def listen(self) -> None:
        """Loads or makes the key `timeserver` and takes calls, of both formats."""
        self._key = load_or_generate_key(self._settings.keys, "timeserver")
        methods = {"get_signed_time": self.get_signed_time, "get_signed_time_der": self.get_signed_time_der}
        listen([self._settings.timeserver], methods, allow_none=False)

    def get_signed_time(self, nonces: list[int]) -> Any:
        """The time and these nonces, signed in JSON."""
        return JSON.to_call(JSON.sign(self._time(nonces), self._key))

    def get_signed_time_der(self, nonces: list[int]) -> Any:
        """The time and these nonces, signed in DER."""
        return DER.to_call(DER.sign(self._time(nonces), self._key))

    def _time(self, nonces: list[int]) -> dict[str, Any]:
        if not isinstance(nonces, list) or not all(type(n) is int and 0 <= n <= LARGEST_NONCE for n in nonces):
            raise ValueError("nonces are a list of integers from 0 to 2147483647")
        return {"time": der.date(int(time.time())), "nonces": nonces}
