"""Installs a verified image: what is written into the slot is judged again while it is copied."""

from uptane.metadata.errors import SecurityError, StorageError
from uptane.metadata.targets import Image, ImageFile
from uptane.vehicle.decryption import delivered, in_plain
from uptane.vehicle.memory import EcuMemory
from uptane.vehicle.ports import ImageSlots
from uptane.verification.match_images import check_fits
from uptane.verification.verify_image import ImageCheck

INSTALLED = "installed"
"""The slot of the image that runs."""


def slot_of(image: Image) -> str:
    """The slot in which an image waits: named by its first hash, so it can only ever hold that image."""
    function, digest = image.file.digests.items[0]
    return f"{function}-{digest.hex()}"


def at_once(image: Image) -> bool:
    """The condition for an installation where there is none: True."""
    return True


def install(memory: EcuMemory, slots: ImageSlots, image: Image) -> None:
    """Copies a stored image into the installed slot and remembers it (STD-5.4.3.5-1).

    The checks of STD-5.4.3.4 run once more on the bytes that are really installed, in plain.

    Raises:
        SecurityError: a check failed; the image that ran before still runs.
        StorageError: it could not be stored.
    """
    check_fits(image, memory.ecu, memory.facts)
    chunks = slots.chunks(slot_of(delivered(image, memory.ecu)))
    if chunks is None:
        raise StorageError(f"image {image.file.path} is not stored", next_step="Run the update cycle again.")
    offered, before = image.custom.must_match.release_counter, memory.state.release_counter
    highest = before if offered is None else max(offered, before or 0)
    check = ImageCheck(image.file)
    with slots.receive(INSTALLED) as writer:
        for chunk in in_plain(memory, image, chunks):
            check.update(chunk)
            writer.write(chunk)
        check.finish()
        memory.change(installing=image.file, installing_counter=highest)
        writer.keep()
    memory.change(installed=image.file, release_counter=highest, installing=None, installing_counter=None)


def remember_counter(memory: EcuMemory, image: Image) -> None:
    """An installed image that is released again, with a higher counter, raises what may be installed after it."""
    offered, before = image.custom.must_match.release_counter, memory.state.release_counter
    if offered is not None and (before is None or offered > before):
        memory.change(release_counter=offered)


def settle(memory: EcuMemory, slots: ImageSlots) -> None:
    """After an installation that was cut off: remembers which image really runs, the one before or the new one."""
    with memory.lock:
        state = memory.state
        if state.installing is None:
            return
        if holds(slots, INSTALLED, state.installing):
            memory.change(
                installed=state.installing,
                release_counter=state.installing_counter,
                installing=None,
                installing_counter=None,
            )
        else:
            memory.change(installing=None, installing_counter=None)


def holds(slots: ImageSlots, name: str, file: ImageFile) -> bool:
    """Whether the slot has exactly that image, every byte of it."""
    chunks = slots.chunks(name)
    if chunks is None:
        return False
    check = ImageCheck(file)
    try:
        for chunk in chunks:
            check.update(chunk)
        check.finish()
    except SecurityError:
        return False
    return True
