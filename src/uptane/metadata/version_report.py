"""ECU version report: what an ECU runs, when, and which attacks it saw (STD-5.4.2.1.2)."""

from datetime import datetime

from msgspec import Struct, structs

from uptane.metadata.errors import FormatError
from uptane.metadata.extensions import NO_EXTENSIONS, Extensions
from uptane.metadata.identifiers import EcuIdentifier, check_lines
from uptane.metadata.root import check_time
from uptane.metadata.targets import ImageFile

MAX_COUNTER = 2**63 - 1
"""The highest report counter; counters start at the provisioning time in microseconds since 1970."""

MAX_NONCE = 2**31 - 1
"""Nonces for the Timeserver have 31 bits."""

MAX_ATTACKS_BYTES = 1024
"""Bytes of the attack indicator; longer descriptions are cut by the writer."""


def check_counter(counter: object, field: str = "counter") -> int:
    """Returns `counter` if it is an integer of 1 to MAX_COUNTER; raises FormatError otherwise."""
    if type(counter) is not int or not 1 <= counter <= MAX_COUNTER:
        raise FormatError(f"{field} must be an integer of 1 to {MAX_COUNTER}", field=field)
    return counter


def check_nonce(nonce: object) -> int:
    """Returns `nonce` if it is an integer of 31 bits; raises FormatError otherwise."""
    if type(nonce) is not int or not 0 <= nonce <= MAX_NONCE:
        raise FormatError(f"a nonce must be an integer of 0 to {MAX_NONCE}", field="nonce")
    return nonce


class EcuVersionReport(Struct, frozen=True, kw_only=True, gc=False):
    """The payload of an ECU version report (M-75 to M-80).

    Args:
        ecu: the ECU that reports.
        installed: name, length and hashes of the image that runs now.
        attacks_detected: the attacks seen since the last report, empty for none (M-77); line ends stand in it only
            where the profile has `unsafe_newlines_in_attacks`.
        time: the latest time the ECU could verify, UTC.
        previous_time: the verified time before that.
        counter: rises with every report of the ECU; None only where the profile has `unsafe_no_report_counter`.
        nonce: the token that the ECU sent, or will send, to the Timeserver; None as `counter` is.
    """

    ecu: EcuIdentifier
    installed: ImageFile
    attacks_detected: str
    time: datetime
    previous_time: datetime
    counter: int | None
    nonce: int | None
    extensions: Extensions = NO_EXTENSIONS

    def __post_init__(self) -> None:
        if self.attacks_detected:
            check_lines("attacks detected", self.attacks_detected, MAX_ATTACKS_BYTES)
        structs.force_setattr(self, "time", check_time(self.time, "time"))
        structs.force_setattr(self, "previous_time", check_time(self.previous_time, "previous time"))
        if self.counter is not None:
            check_counter(self.counter)
        if self.nonce is not None:
            check_nonce(self.nonce)

    def require_freshness(self) -> tuple[int, int]:
        """Counter and nonce, which tell a new report from an old one (STD-5.4.2.1.2-11); FormatError without them."""
        if self.counter is None or self.nonce is None:
            raise FormatError(f"the version report of {self.ecu} lacks its counter or its nonce", field="counter")
        return self.counter, self.nonce

    def require_one_line(self) -> str:
        """The attacks, which are one line of text (STD-5.2-2); FormatError where a line ends in it."""
        if "\n" in self.attacks_detected:
            raise FormatError("attacks detected: a line ends in it", field="attacks detected")
        return self.attacks_detected
