"""An ECU makes its signed version report, and says in it which attacks it saw."""

import unicodedata
from dataclasses import dataclass

from uptane.formats.profile import Profile
from uptane.metadata.errors import ProvisioningError, SecurityError
from uptane.metadata.extensions import NO_EXTENSIONS, Extensions
from uptane.metadata.version_report import MAX_ATTACKS_BYTES, EcuVersionReport
from uptane.signing.sign import sign
from uptane.signing.signer import Signer
from uptane.vehicle.ecu_state import EcuState
from uptane.vehicle.memory import SEPARATOR, UNSAFE_CLOCK, EcuMemory

MAX_DESCRIPTION_BYTES = 300
"""Bytes of UTF-8 in the description of one attack, so that a report has room for several."""

CLOCK_SAYS_SO = Extensions((("time_source", f'"{UNSAFE_CLOCK}"'.encode()),))
"""In the report of an ECU whose time nobody attested; the value is JSON text, as in every extension."""


LOST = "no image to start from: the one before is not restored yet"
"""What an ECU reports, beside attacks, while there is nothing in its only slot."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedReport:
    """A report on its way.

    Args:
        raw: the signed report.
        nonce: the nonce that goes with it; in it too, where the profile's reports carry one.
        attacks: the descriptions it carries; forgotten once the report was accepted.
    """

    raw: bytes
    nonce: int
    attacks: tuple[str, ...]


def make_report(memory: EcuMemory, signer: Signer, extra_attack: str = "") -> SignedReport:
    """A new signed report with the next counter, which is durable before the report exists (STD-5.4.2.1.2-11).

    Args:
        memory: the ECU's memory.
        signer: the ECU's key.
        extra_attack: a description to report besides those that were noted.
    """
    with memory.lock:
        state = memory.change(counter=memory.state.counter + 1)
        return report_of(memory, signer, state, extra_attack)


def report_of(memory: EcuMemory, signer: Signer, state: EcuState, extra_attack: str = "") -> SignedReport:
    """The signed report of a state whose counter is durable and was not used before."""
    described = (*state.attacks, plain(extra_attack)) if extra_attack else state.attacks
    bare = memory.profile.unsafe_no_report_counter
    report = EcuVersionReport(
        ecu=memory.ecu,
        installed=state.installed,
        attacks_detected=_writable(SEPARATOR.join(described), memory.profile),
        time=state.time,
        previous_time=state.previous_time,
        counter=None if bare else state.counter,
        nonce=None if bare else state.nonce,
        extensions=CLOCK_SAYS_SO if state.time_source == UNSAFE_CLOCK else NO_EXTENSIONS,
    )
    raw = sign(memory.profile, report, [signer])
    return SignedReport(raw=raw, nonce=state.nonce, attacks=state.attacks)


def require_clock_in_reports(memory: EcuMemory) -> None:
    """Raises ProvisioningError where a report has no place to tell that its time is that of a system clock."""
    if memory.profile.unsafe_no_report_counter:
        raise ProvisioningError(
            f"in {memory.profile.name} ECU {memory.ecu} could not report that its time is that of a system clock",
            next_step="Ask a Timeserver.",
            ecu=memory.ecu,
        )


def _writable(text: str, profile: Profile) -> str:
    """The attacks as the profile can carry them: a report must be possible whatever an attacker made us say."""
    return cut(text.encode("ascii", "replace").decode() if profile.ascii_only else text)


def describe(error: SecurityError) -> str:
    """An error as it stands in a report: code, attack, what happened; on one line."""
    attack = f" {error.attack}" if error.attack else ""
    return described(f"{error.code}{attack}: {error.what}")


def described(text: str) -> str:
    """`text` as the description of one attack in a report."""
    return cut(plain(text), MAX_DESCRIPTION_BYTES)


def plain(text: str) -> str:
    """`text` as a report may hold it, whatever an attacker put into it: one printable line in NFC (STD-5.2-2)."""
    return unicodedata.normalize("NFC", "".join(c if c.isprintable() else " " for c in text))


def cut(text: str, limit: int = MAX_ATTACKS_BYTES) -> str:
    """`text`, shortened to at most `limit` bytes of UTF-8."""
    return text.encode()[:limit].decode(errors="ignore")
