"""Installs a verified image: into the slot that does not run, tried before it is trusted, taken back if it fails."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import replace
from itertools import chain

from uptane.metadata.errors import SecurityError, StorageError, UptaneError
from uptane.metadata.targets import Image, ImageFile
from uptane.vehicle.installation_states import ONE_SLOT, TWO_SLOTS, Event, Installation, Phase
from uptane.vehicle.memory import EcuMemory
from uptane.vehicle.ports import ImageSlots
from uptane.verification.match_images import check_fits
from uptane.verification.verify_image import ImageCheck

MAX_TRIALS = 3
"""How often an image that does not confirm is tried before the ECU waits for another one."""


def stored_as(file: ImageFile) -> str:
    """The name under which an image waits: its first hash, so it can only ever hold that image."""
    function, digest = file.digests.items[0]
    return f"{function}-{digest.hex()}"


def slot_of(image: Image) -> str:
    """The name under which an image waits on a Primary."""
    return stored_as(image.file)


def at_once(image: Image) -> bool:
    """The condition for an installation where there is none: True."""
    return True


def works(file: ImageFile) -> bool:
    """What an image says of itself on an ECU that cannot ask it: True."""
    return True


class Installer:
    """The slots of one ECU, and how far the installation in them has come.

    Args:
        memory: the ECU's memory.
        slots: its flash; it runs the image in `memory.state.installation.active`.
        confirms: starts the image in the active slot, and tells whether it says that it works; called again after a
            restart in between, as after a power cut or a crash of the image. An image that does not, or that was
            started MAX_TRIALS times and never said so, is taken back. What it raises is a no.
    """

    def __init__(self, memory: EcuMemory, slots: ImageSlots, confirms: Callable[[ImageFile], bool] = works) -> None:
        self._memory = memory
        self._slots = slots
        self._confirms = confirms
        self._table = ONE_SLOT if memory.storage_limited else TWO_SLOTS
        self.settle()

    @property
    def _now(self) -> Installation:
        return self._memory.state.installation

    @property
    def names(self) -> frozenset[str]:
        """The slots that images run from."""
        now = self._now
        return frozenset({now.active} if self._memory.storage_limited else {now.active, now.spare})

    @property
    def is_lost(self) -> bool:
        """Whether there is no image to start from: only where there is one slot."""
        return self._now.phase is Phase.RESTORING

    def settle(self) -> None:
        """Brings an installation that was cut off to a state that means something, and asks a new image again."""
        with self._memory.lock:
            now = self._now
            after = now.after(Event.RESTARTED, self._table)
            if after is not now:
                self._memory.change(installation=replace(after, candidate=None, counter=None))
            if after.phase is Phase.TRIAL and after.candidate is not None:
                if after.failures < MAX_TRIALS:
                    self._memory.change(installation=_counted(after, after.candidate))
                    self._try(after.candidate)
                else:  # it took the ECU down with it each time
                    self._take_back()

    def write(self, image: Image, chunks: Iterable[bytes]) -> None:
        """Writes an image into the slot that does not run, or over the only one, and verifies every byte of it.

        The checks of STD-5.4.3.4 run on the bytes that are really installed. Until they have passed, the slot is not
        valid.

        Raises:
            SecurityError: a check failed.
            StorageError: it could not be stored.
            UnreachableError: the bytes broke off.
        """
        memory, pieces = self._memory, iter(chunks)
        check_fits(image, memory.ecu, memory.facts)
        self.settle()
        first = next(pieces, b"")  # a line that is down costs the ECU nothing
        if not first:
            ImageCheck(image.file).finish()
        begun = self._now.after(Event.BEGUN, self._table)
        memory.change(installation=replace(begun, candidate=image.file, counter=self._highest(image)))
        self._fill(image.file, chain([first], pieces))
        after = self._now.after(Event.VERIFIED, self._table)
        memory.change(installation=_counted(after, image.file) if after.phase is Phase.TRIAL else after)

    def restore(self, chunks: Iterable[bytes]) -> None:
        """Writes the image that ran before into the only slot; raises as `write` does, and may be tried again."""
        self._receive(self._memory.state.installed, chunks)
        self._memory.change(installation=self._now.after(Event.VERIFIED, self._table))

    def _fill(self, file: ImageFile, chunks: Iterable[bytes]) -> None:
        try:
            self._receive(file, chunks)
        except UptaneError:
            self._fail()
            raise

    def _receive(self, file: ImageFile, chunks: Iterable[bytes]) -> None:
        now, check = self._now, ImageCheck(file)
        if self._memory.storage_limited:
            self._slots.keep_only(frozenset())
        with self._slots.receive(now.active if self._memory.storage_limited else now.spare) as writer:
            for chunk in chunks:
                check.update(chunk)
                writer.write(chunk)
            check.finish()
            writer.keep()

    def _fail(self) -> None:
        failed = replace(self._now.after(Event.FAILED, self._table), candidate=None, counter=None)
        with suppress(StorageError):  # `settle` does the same
            self._memory.change(installation=failed)

    def _highest(self, image: Image) -> int | None:
        offered, before = image.custom.must_match.release_counter, self._memory.state.release_counter
        return before if offered is None else offered  # not lower: `check_fits` has seen to that

    def is_written(self, image: Image) -> bool:
        """Whether the image was written and verified, and waits to be activated."""
        now = self._now
        return now.phase is Phase.WRITTEN and now.candidate == image.file

    def activate(self, image: Image) -> bool:
        """Runs an image that was written, once its bytes were verified again where they are (STD-5.4.3.5-1).

        Returns:
            Whether it confirmed that it works; if not, the image that ran before runs again, or is to be restored.

        Raises:
            SecurityError: it does not fit this ECU any more, or was altered while it waited.
            StorageError: it was not written.
        """
        memory = self._memory
        check_fits(image, memory.ecu, memory.facts)
        if self.is_written(image):
            try:
                verify_stored(self._slots, self._now.spare, image.file)
            except UptaneError:
                self._fail()
                raise
            after = self._now.after(Event.ACTIVATED, self._table)
            counted = _counted(replace(after, active=after.spare, counter=self._highest(image)), image.file)
            memory.change(installation=counted)
        return self._try(image.file)

    def _try(self, candidate: ImageFile) -> bool:
        now = self._now
        if now.phase is not Phase.TRIAL or now.candidate != candidate:
            raise _not_stored(candidate)
        if self._says_that_it_works(candidate):
            done = now.after(Event.CONFIRMED, self._table)
            self._memory.change(
                installed=candidate, release_counter=now.counter, installation=Installation(active=done.active)
            )
            return True
        self._take_back()
        return False

    def _says_that_it_works(self, candidate: ImageFile) -> bool:
        try:
            return self._confirms(candidate)
        except Exception:  # noqa: BLE001 - whatever a new image does, the one before must come back
            return False

    def _take_back(self) -> None:
        now = self._now
        back = now.after(Event.NOT_CONFIRMED, self._table)
        active = now.active if self._memory.storage_limited else now.spare
        self._memory.change(
            installation=Installation(phase=back.phase, active=active, failed=now.failed, failures=now.failures)
        )

    def has_given_up(self, image: Image) -> bool:
        """Whether the image was tried MAX_TRIALS times in vain, with no other image tried or directed since."""
        return self._now.failed == image.file and self._now.failures >= MAX_TRIALS

    def keeps(self, image: Image) -> None:
        """The image that runs is directed: a release counter that rose counts from now on, and old failures do not."""
        state, highest = self._memory.state, self._highest(image)
        if highest != state.release_counter or state.installation.failures:
            clean = replace(state.installation, failed=None, failures=0)
            self._memory.change(release_counter=highest, installation=clean)


def _counted(now: Installation, candidate: ImageFile) -> Installation:
    """The same with one more start of that image on record, before it happens: it may be the ECU's last act."""
    return replace(now, failed=candidate, failures=1 + (now.failures if now.failed == candidate else 0))


def stored(slots: ImageSlots, name: str, file: ImageFile) -> Iterator[bytes]:
    """The bytes of a stored image; raises StorageError where there is none."""
    chunks = slots.chunks(name)
    if chunks is None:
        raise _not_stored(file)
    return chunks


def _not_stored(file: ImageFile) -> StorageError:
    return StorageError(f"image {file.path} is not stored", next_step="Run the update cycle again.")


def verify_stored(slots: ImageSlots, name: str, file: ImageFile) -> None:
    """Reads a stored image; raises SecurityError unless it is exactly that one, StorageError where there is none."""
    check = ImageCheck(file)
    for chunk in stored(slots, name, file):
        check.update(chunk)
    check.finish()


def holds(slots: ImageSlots, name: str, file: ImageFile) -> bool:
    """Whether exactly that image is stored, every byte of it."""
    if slots.chunks(name) is None:
        return False
    try:
        verify_stored(slots, name, file)
    except SecurityError:
        return False
    return True
