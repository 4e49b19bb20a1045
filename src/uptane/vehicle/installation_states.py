"""The installation of an image as a table: which state follows on which event, with two slots and with one.

`docs/decisions/0014-two-slots-or-a-backup.md` draws it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum

from uptane.metadata.errors import FormatError
from uptane.metadata.targets import ImageFile

SLOTS = ("slot-a", "slot-b")
"""The slots that an ECU can run an image from; one with little storage has the first alone."""


class Phase(StrEnum):
    """What the slots hold."""

    RUNNING = "running"
    """A confirmed image runs. The other slot may hold the one before it, and counts for nothing."""
    WRITING = "writing"
    """A slot is being written and is not valid: the other one, or the only one."""
    WRITTEN = "written"
    """The other slot holds a verified image that was never started."""
    TRIAL = "trial"
    """The new image runs and has not confirmed yet that it works; what ran before it is still there."""
    RESTORING = "restoring"
    """The only slot is not valid, and the image that ran before is to come back from the Primary."""


class Event(StrEnum):
    """What happens to a slot."""

    BEGUN = "begun"
    """Writing begins."""
    VERIFIED = "verified"
    """Every byte was written, and they are the listed ones."""
    FAILED = "failed"
    """They are not, or could not be written."""
    ACTIVATED = "activated"
    """The ECU starts from the other slot."""
    CONFIRMED = "confirmed"
    """The new image says that it works."""
    NOT_CONFIRMED = "not confirmed"
    """It says that it does not, or says nothing in its time."""
    RESTARTED = "restarted"
    """The ECU comes up, perhaps after a power cut."""


Table = Mapping[tuple[Phase, Event], Phase]

TWO_SLOTS: Table = {
    (Phase.RUNNING, Event.BEGUN): Phase.WRITING,
    (Phase.WRITING, Event.VERIFIED): Phase.WRITTEN,
    (Phase.WRITING, Event.FAILED): Phase.RUNNING,
    (Phase.WRITING, Event.RESTARTED): Phase.RUNNING,
    (Phase.WRITTEN, Event.BEGUN): Phase.WRITING,
    (Phase.WRITTEN, Event.FAILED): Phase.RUNNING,
    (Phase.WRITTEN, Event.ACTIVATED): Phase.TRIAL,
    (Phase.TRIAL, Event.CONFIRMED): Phase.RUNNING,
    (Phase.TRIAL, Event.NOT_CONFIRMED): Phase.RUNNING,
}

ONE_SLOT: Table = {
    (Phase.RUNNING, Event.BEGUN): Phase.WRITING,
    (Phase.WRITING, Event.VERIFIED): Phase.TRIAL,
    (Phase.WRITING, Event.FAILED): Phase.RESTORING,
    (Phase.WRITING, Event.RESTARTED): Phase.RESTORING,
    (Phase.TRIAL, Event.CONFIRMED): Phase.RUNNING,
    (Phase.TRIAL, Event.NOT_CONFIRMED): Phase.RESTORING,
    (Phase.RESTORING, Event.BEGUN): Phase.WRITING,
    (Phase.RESTORING, Event.VERIFIED): Phase.RUNNING,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Installation:
    """How far the installation of an image has come, as an ECU remembers it.

    Args:
        phase: the state.
        active: the slot that the ECU starts from.
        candidate: the image that is being written, waits or is tried; None in `RUNNING` and `RESTORING`.
        counter: what the highest release counter becomes when the candidate confirms.
        failed: the image that was started last and has not confirmed.
        failures: how often it was started.
    """

    phase: Phase = Phase.RUNNING
    active: str = SLOTS[0]
    candidate: ImageFile | None = None
    counter: int | None = None
    failed: ImageFile | None = None
    failures: int = 0

    def __post_init__(self) -> None:
        if self.active not in SLOTS:
            raise FormatError(f"there is no slot {self.active!r}", field="active")

    @property
    def spare(self) -> str:
        """The slot that the ECU does not start from."""
        return SLOTS[1 - SLOTS.index(self.active)]

    def after(self, event: Event, table: Table) -> "Installation":
        """The state that follows; the same one where a restart changes nothing.

        Raises:
            LookupError: the event cannot happen in this state.
        """
        phase = table.get((self.phase, event))
        if phase is None and event is not Event.RESTARTED:
            raise LookupError(f"{event} cannot happen in the state {self.phase} of an installation")
        return self if phase is None else replace(self, phase=phase)


RUNNING = Installation()
"""Nothing is being installed; an ECU is made so."""
