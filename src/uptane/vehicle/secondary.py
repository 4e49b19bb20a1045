"""A Secondary: it takes everything from its Primary and believes nothing of it."""

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum

from uptane.metadata.errors import (
    BadSignatureError,
    BadTimeAttestationError,
    RepositoryMismatchError,
    SecurityError,
    UnreachableError,
    UptaneError,
)
from uptane.metadata.targets import Image, ImageFile
from uptane.signing.signer import Signer
from uptane.vehicle.attested_time import AttestedTime, UnsafeSystemClock
from uptane.vehicle.blocks import in_blocks
from uptane.vehicle.decryption import delivered, in_plain, require_separate_keys
from uptane.vehicle.installation import Installer, at_once, slot_of, stored, stored_as, works
from uptane.vehicle.memory import EcuMemory
from uptane.vehicle.ports import ImageSlots, PrimaryLink
from uptane.vehicle.secondary_verification import verification_of
from uptane.vehicle.version_reports import LOST, SignedReport, describe, make_report, require_clock_in_reports


class Outcome(StrEnum):
    """How a Secondary's cycle ended."""

    NO_UPDATE = "no update"
    NO_UPDATE_NEEDED = "no update needed"
    UPDATED = "updated"
    DEFERRED = "deferred"
    ROLLED_BACK = "rolled back"


@dataclass(frozen=True, slots=True, kw_only=True)
class SecondaryResult:
    """What a Secondary's cycle brought.

    Args:
        outcome: how it ended.
        reason: in words.
        image: the image that it shall have, if any.
    """

    outcome: Outcome
    reason: str
    image: Image | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SecondaryWorld:
    """The ways from a Secondary to its Primary, to its own flash memory, and to what it is part of.

    See `primary.World`, also for `may_install` and `confirms`.

    Args:
        unsafe_clock: a clock of its own in place of the attestations of its Primary.
    """

    primary: PrimaryLink
    slots: ImageSlots
    new_nonce: Callable[[], int]
    say: Callable[[str], None] = field(default=lambda line: None)
    may_install: Callable[[Image], bool] = at_once
    unsafe_clock: UnsafeSystemClock | None = None
    confirms: Callable[[ImageFile], bool] = works


class Secondary:
    """A Secondary, with full verification or with that which its memory is made for.

    Args:
        memory: its provisioned memory.
        signer: its key.
        world: the way to its Primary.

    Raises:
        SpoofingError: it is to decrypt with the key with which it signs.
    """

    def __init__(self, memory: EcuMemory, signer: Signer, world: SecondaryWorld) -> None:
        require_separate_keys(memory, signer.key)
        self.memory = memory
        self._signer = signer
        self._world = world
        self._verification = verification_of(memory)
        self._bundle = b""
        self._time = AttestedTime(memory, world.new_nonce)
        if world.unsafe_clock is not None:
            require_clock_in_reports(memory)
        self._installer = Installer(memory, world.slots, world.confirms)

    @property
    def primary(self) -> PrimaryLink:
        """The way to the Primary."""
        return self._world.primary

    def update_cycle(self) -> SecondaryResult:
        """The six steps of STD-5.4.3; the version report is sent whatever happens (STD-5.4.3.2-2).

        Raises:
            SecurityError: a check failed. It is in the report; the image that ran before still runs.
            UnreachableError: the Primary does not answer, or has nothing verified yet.
        """
        try:
            result = self._update()
        except UptaneError as error:
            if isinstance(error, SecurityError):
                self.memory.note_attack(describe(error))
                if (doubt := self._time.doubt(error)) is not None:
                    self.memory.note_attack(describe(doubt))
            self._try_to_report()
            raise
        self._try_to_report()
        return result

    def _try_to_report(self) -> None:
        """A report that cannot be delivered changes nothing of what the cycle brought; the next one tells it."""
        try:
            self.send_report()
        except UptaneError as error:
            self._world.say(f"The version report was not delivered: {error}")

    def _update(self) -> SecondaryResult:
        self._try_to_restore()
        self.load_time()
        image, installer = self.verify_metadata(), self._installer
        if image is None:
            return SecondaryResult(
                outcome=Outcome.NO_UPDATE,
                reason="No validated targets were found. Either the Director did not instruct this ECU to install "
                "anything, or the target info the Director provided could not be validated.",
            )
        if image.file == self.memory.state.installed and not installer.is_lost:
            installer.keeps(image)
            return SecondaryResult(
                outcome=Outcome.NO_UPDATE_NEEDED,
                reason="We already have installed the firmware that the Director wants us to install. "
                f"Image: {image.file.path!s}",
                image=image,
            )
        if not self._world.primary.update_exists(self.memory.ecu):
            return SecondaryResult(
                outcome=Outcome.NO_UPDATE, reason="Primary reports that there is no update for this ECU.", image=image
            )
        if installer.has_given_up(image):
            return SecondaryResult(
                outcome=Outcome.NO_UPDATE,
                reason=f"It never confirmed that it works, and is not tried again: {image.file.path!s}",
                image=image,
            )
        return self._install_streamed(image) if self.memory.storage_limited else self._install_stored(image)

    def _install_stored(self, image: Image) -> SecondaryResult:
        if not self._installer.is_written(image):
            self.receive_image(image)
        if not self._world.may_install(image):
            return _deferred(image, "verified and stored")
        return self._try(image)

    def _install_streamed(self, image: Image) -> SecondaryResult:
        """Overwrites the only image, of which the Primary keeps a copy (STD-5.4.3.3-8, AMB-14)."""
        if not self._world.may_install(image):
            return _deferred(image, "verified metadata, and the Primary stores the image")
        primary, ecu = self._world.primary, self.memory.ecu
        name = slot_of(delivered(image, ecu))
        chunks = in_plain(self.memory, image, in_blocks(lambda offset: primary.image_block(ecu, name, offset)))
        if not self._installer.is_lost:
            self._back_up()
        try:
            self._installer.write(image, chunks)
        except UptaneError:
            self._try_to_restore()
            raise
        return self._try(image)

    def _try(self, image: Image) -> SecondaryResult:
        if self._installer.activate(image):
            return SecondaryResult(
                outcome=Outcome.UPDATED,
                reason=f"Installed firmware received from Primary that was {self._verification.validated}. "
                f"Image: {image.file.path!s}",
                image=image,
            )
        self._try_to_restore()
        return SecondaryResult(
            outcome=Outcome.ROLLED_BACK,
            reason=f"It did not confirm that it works, and the image before it runs again: {image.file.path!s}",
            image=image,
        )

    def _back_up(self) -> None:
        """Leaves the image that runs with the Primary, unless it is there (STD-5.4.3.3-3)."""
        file, offset = self.memory.state.installed, 0
        primary, ecu, name = self._world.primary, self.memory.ecu, stored_as(file)
        if primary.back_up(ecu, name, 0, b""):
            return
        self.send_report()  # the Primary takes a copy only of what it was told that runs
        for chunk in stored(self._world.slots, self.memory.state.installation.active, file):
            if primary.back_up(ecu, name, offset, chunk):
                return
            offset += len(chunk)
        raise UnreachableError(
            f"the Primary did not keep a copy of {file.path}, and without one it is not overwritten",
            next_step="Has the Primary enough storage?",
        )

    def _try_to_restore(self) -> None:
        """Brings back the image that ran before, if it is gone; should that fail, the next cycle tries again."""
        primary, ecu, name = self._world.primary, self.memory.ecu, stored_as(self.memory.state.installed)
        try:
            self._installer.settle()
            if self._installer.is_lost:
                self._installer.restore(in_blocks(lambda offset: primary.backup_block(ecu, name, offset)))
        except UptaneError as error:
            self._world.say(f"The image that ran before was not restored: {error}")
            if isinstance(error, SecurityError):
                self.memory.note_attack(describe(error))

    def load_time(self) -> None:
        """Step 1: takes over the attested time if it answers our nonce; otherwise the last trusted time stands.

        How far it may lead, and how the Timeserver's key is followed, is said in `AttestedTime`.

        An attestation without our nonce is ordinary: the Primary has not asked again since we reported. One that
        answers our nonce with a time in the past is noted as an attack. After too many cycles without a new time, no
        new metadata is kept (`EcuMemory.keep`).

        Raises:
            BadSignatureError: the attestation is forged. It is noted, and the cycle ends.
        """
        if self._world.unsafe_clock is not None:
            self._time.read(self._world.unsafe_clock)
        elif not self._take_attestation():
            self.memory.miss_time()
            return
        if not self._time.is_leap:
            self._time.keep()

    def _take_attestation(self) -> bool:
        raw, state = self._world.primary.time_attestation(self.memory.ecu), self.memory.state
        try:
            self._time.take(raw, [state.nonce], lambda: self._verification.opened(self._ask()))
        except (BadSignatureError, BadTimeAttestationError) as error:
            is_old = state.nonce not in self._time.answered(raw)
            # A Primary that has not asked since Root took a key away still has an attestation by that key.
            if isinstance(error, BadSignatureError) and not (is_old and self._time.key_is_gone):
                raise
            self._world.say(f"The time stays {state.time:%Y-%m-%dT%H:%M:%SZ}: {error.what}.")
            if not is_old:
                self.memory.note_attack(describe(error))
            return False
        return True

    def _ask(self) -> bytes:
        return self._verification.ask(self._world.primary)

    def verify_metadata(self) -> Image | None:
        """Step 2: verification of what the Primary gave us; our own image, or None."""
        self._bundle = self._ask()
        image = self._verification.verify(self._bundle, self._time.now)
        if self._time.is_leap:
            self._time.keep()
        self._time.was_good()
        return image

    def receive_image(self, image: Image) -> None:
        """Steps 3 and 4: takes the image from the Primary into the slot that does not run, and verifies it there."""
        received = self._world.primary.image(self.memory.ecu)
        if received is None:
            raise UnreachableError(f"requested image {image.file.path} from Primary but received none")
        (name, data), expected = received, delivered(image, self.memory.ecu).file.path
        try:
            if name != expected:
                raise RepositoryMismatchError(
                    f"received image {name!r} from Primary, expected {expected!s}",
                    expected=expected,
                    offered=name,
                )
            self._installer.write(image, in_plain(self.memory, image, [data]))
        except SecurityError:
            self._refuse_if_outdated()
            raise
        self._world.slots.keep_only(self._installer.names)

    def _refuse_if_outdated(self) -> None:
        """An image that differs is no attack where the Primary has finished another cycle since we asked."""
        if self._ask() != self._bundle:
            raise UnreachableError(
                "the Primary has newer metadata and images than this cycle began with",
                next_step="Run the update cycle again.",
            )

    def make_report(self, extra_attack: str = "") -> SignedReport:
        """A new signed version report."""
        self._installer.settle()
        lost = LOST if self._installer.is_lost else ""
        return make_report(self.memory, self._signer, extra_attack or lost)

    def send_report(self, report: SignedReport | None = None) -> None:
        """Step 6: sends a report to the Primary; attacks in it are forgotten once it was accepted."""
        sent = report if report is not None else self.make_report()
        self._world.primary.submit_report(self.memory.vehicle, self.memory.ecu, sent.nonce, sent.raw)
        self.memory.forget_attacks(sent.attacks)


def _deferred(image: Image, done: str) -> SecondaryResult:
    return SecondaryResult(
        outcome=Outcome.DEFERRED,
        reason=f"The conditions for an installation do not hold; {done}: {image.file.path!s}",
        image=image,
    )
