"""What an ECU is made of, apart from its program."""

from dataclasses import dataclass

from world import new_signer

from uptane.signing.signer import KeySigner
from uptane.storage.memory import MemoryEcuStore, MemoryImageSlots
from uptane.vehicle.installation import INSTALLED
from uptane.vehicle.ports import EcuStore, ImageSlots


@dataclass
class Device:
    """What an ECU is made of and what survives its restart: its memory, its flash and its key."""

    store: EcuStore
    slots: ImageSlots
    signer: KeySigner

    def running(self) -> bytes:
        """The image that runs."""
        chunks = self.slots.chunks(INSTALLED)
        assert chunks is not None
        return b"".join(chunks)

    def trusted(self) -> dict[str, bytes]:
        """What it trusts of both repositories, byte for byte."""
        return {name: self.store.read(name) or b"" for name in self.store.names("repository/")}


def new_device() -> Device:
    """A device without any memory."""
    return Device(MemoryEcuStore(), MemoryImageSlots(), new_signer())
