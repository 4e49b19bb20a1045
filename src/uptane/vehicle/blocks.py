"""Images between a Primary and Secondaries that cannot hold two: in blocks there, and in blocks to a safe place."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass

from uptane.metadata.errors import EndlessDataError, UnreachableError, UptaneError
from uptane.metadata.identifiers import EcuIdentifier
from uptane.metadata.targets import ImageFile
from uptane.vehicle.installation import holds, stored_as
from uptane.vehicle.memory import EcuMemory
from uptane.vehicle.ports import ImageSlots, ImageWriter
from uptane.verification.verify_image import ImageCheck

MAX_BACKUP_BYTES = 256 * 1024 * 1024
"""Bytes of the image of an ECU that has room for one only."""

MAX_BLOCK = 64 * 1024
"""Bytes that travel at once."""


def in_blocks(ask: Callable[[int], bytes]) -> Iterator[bytes]:
    """All bytes that `ask`, which is given an offset, hands out piece by piece."""
    offset = 0
    while block := ask(offset):
        yield block
        offset += len(block)


class BlockReader:
    """Gives stored images out in blocks to several ECUs; whoever reads on in order costs one reading.

    Args:
        slots: the stored images.
    """

    def __init__(self, slots: ImageSlots) -> None:
        self._slots = slots
        self._open: dict[EcuIdentifier, tuple[str, int, Iterator[bytes]]] = {}

    def block(self, ecu: EcuIdentifier, name: str, offset: int) -> bytes:
        """Some bytes from `offset` on, none at the end; UnreachableError where there is no such image."""
        held = self._open.pop(ecu, None)
        if held is None or held[:2] != (name, offset):
            held = name, offset, self._from(name, offset)
        chunk = next(held[2], b"")
        if chunk:
            self._open[ecu] = name, offset + len(chunk), held[2]
        return chunk

    def forget(self, ecu: EcuIdentifier) -> None:
        """The ECU is gone, and reads no further."""
        self._open.pop(ecu, None)

    def _from(self, name: str, offset: int) -> Iterator[bytes]:
        chunks = self._slots.chunks(name)
        if chunks is None:
            raise UnreachableError(f"the Primary has no image {name}", next_step="Run the update cycle again.")
        return _skipping(chunks, offset)


def _skipping(chunks: Iterator[bytes], offset: int) -> Iterator[bytes]:
    for chunk in chunks:
        if offset < len(chunk):
            yield chunk[offset:]
        offset = max(0, offset - len(chunk))


@dataclass(slots=True)
class _Incoming:
    file: ImageFile
    check: ImageCheck
    writer: ImageWriter
    opened: ExitStack
    received: int = 0


class Backups:
    """The images that storage-limited Secondaries run, kept by their Primary until they run another (AMB-14).

    What an ECU leaves here must be what its last verified report says that it runs, so nobody else can put anything in
    its place.

    Args:
        memory: the Primary's memory.
        slots: the Primary's images.
        running: what an ECU reported last to run; None where it made no report.
    """

    def __init__(
        self, memory: EcuMemory, slots: ImageSlots, running: Callable[[EcuIdentifier], ImageFile | None]
    ) -> None:
        self._memory = memory
        self._slots = slots
        self._running = running
        self._reader = BlockReader(slots)
        self._incoming: dict[EcuIdentifier, _Incoming] = {}

    def names(self) -> frozenset[str]:
        """The stored images that must stay."""
        kept = (self._memory.require(name) for name in self._memory.names("secondary/") if name.endswith("/backup"))
        return frozenset(_place(raw.decode()) for raw in kept)

    def take(self, ecu: EcuIdentifier, name: str, offset: int, block: bytes) -> bool:
        """A block of what the ECU runs; whether all of it is here and verified.

        Raises:
            UnreachableError: the ECU has reported to run something else.
            EndlessDataError: too much.
            UptaneError: blocks are not in their order; begin again at 0.
            SecurityError, StorageError: it is something else, or cannot be stored.
        """
        file = self._running(ecu)
        is_known = file is not None and stored_as(file) == name
        if file is not None and is_known and self._has(ecu, file):
            return True
        if not block:
            return False
        if file is None or not is_known:
            raise UnreachableError(
                f"ECU {ecu} has not reported that it runs the image {name}",
                next_step="Send the version report first.",
                ecu=ecu,
            )
        try:
            return self._append(ecu, file, offset, block)
        except UptaneError:
            self._drop(ecu)
            raise

    def forget(self, ecu: EcuIdentifier) -> None:
        """The ECU is gone: what it has begun to leave or to read is closed."""
        self._drop(ecu)
        self._reader.forget(ecu)

    def _has(self, ecu: EcuIdentifier, file: ImageFile) -> bool:
        name = stored_as(file)
        return self._memory.read(_kept_name(ecu)) == name.encode() and holds(self._slots, _place(name), file)

    def _append(self, ecu: EcuIdentifier, file: ImageFile, offset: int, block: bytes) -> bool:
        if file.length > MAX_BACKUP_BYTES or len(block) > MAX_BLOCK:
            raise EndlessDataError(f"the image of ECU {ecu} has {file.length} bytes, too many to back up", ecu=ecu)
        if offset == 0:
            self._begin(ecu, file)
        incoming = self._incoming.get(ecu)
        if incoming is None or incoming.received != offset or incoming.file != file:
            raise UptaneError(f"the backup of ECU {ecu} does not go on at byte {offset}", next_step="Begin again at 0.")
        incoming.check.update(block)
        incoming.writer.write(block)
        incoming.received += len(block)
        if incoming.received < file.length:
            return False
        incoming.check.finish()
        incoming.writer.keep()
        self._memory.write({_kept_name(ecu): stored_as(file).encode()})
        self._drop(ecu)
        return True

    def _begin(self, ecu: EcuIdentifier, file: ImageFile) -> None:
        self._drop(ecu)
        opened = ExitStack()
        writer = opened.enter_context(self._slots.receive(_place(stored_as(file))))
        self._incoming[ecu] = _Incoming(file, ImageCheck(file), writer, opened)

    def _drop(self, ecu: EcuIdentifier) -> None:
        incoming = self._incoming.pop(ecu, None)
        if incoming is not None:
            incoming.opened.close()

    def block(self, ecu: EcuIdentifier, name: str, offset: int) -> bytes:
        """Some bytes of what the ECU left; UnreachableError where it is something else, or nothing."""
        if self._memory.read(_kept_name(ecu)) != name.encode():
            raise UnreachableError(f"ECU {ecu} has left no image {name} with this Primary", ecu=ecu)
        return self._reader.block(ecu, _place(name), offset)


def _place(name: str) -> str:
    return f"backup-{name}"


def _kept_name(ecu: EcuIdentifier) -> str:
    return f"secondary/{ecu}/backup"
