"""ECUs of a vehicle: what one is made of and what survives its restart, and a Secondary with its way to the Primary."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from links import SecondaryLink
from world import new_signer

from uptane.metadata.identifiers import EcuIdentifier
from uptane.metadata.keys import KeyIdRule
from uptane.metadata.targets import ImageFile
from uptane.signing.signer import KeySigner
from uptane.storage.memory import MemoryEcuStore, MemoryImageSlots
from uptane.vehicle.ecu_state import EcuState
from uptane.vehicle.installation import works
from uptane.vehicle.memory import EcuMemory
from uptane.vehicle.ports import EcuStore, ImageSlots
from uptane.vehicle.secondary import Secondary, SecondaryWorld

if TYPE_CHECKING:
    from fleet import Vehicle


@dataclass
class Device:
    """What an ECU is made of and what survives its restart: its memory, its flash and its key."""

    store: EcuStore
    slots: ImageSlots
    signer: KeySigner
    may_install: bool = True
    confirms: Callable[[ImageFile], bool] = works

    def running(self) -> bytes:
        """The image that runs."""
        chunks = self.slots.chunks(EcuState.decode(self.store.read("state") or b"").installation.active)
        assert chunks is not None
        return b"".join(chunks)

    def trusted(self) -> dict[str, bytes]:
        """What it trusts of both repositories, byte for byte."""
        return {name: self.store.read(name) or b"" for name in self.store.names("repository/")}


def new_device(id_rule: KeyIdRule = KeyIdRule.TUF) -> Device:
    """A device without any memory."""
    return Device(MemoryEcuStore(), MemoryImageSlots(), new_signer(id_rule=id_rule))


class SecondaryEcu:
    """A Secondary in a vehicle, and its way to the Primary."""

    def __init__(self, vehicle: "Vehicle", ecu: EcuIdentifier, device: Device, **made: object) -> None:
        self.ecu, self.device, self._vehicle = ecu, device, vehicle
        vehicle.provision(ecu, device, **made)
        self.link = SecondaryLink(vehicle.primary.secondaries)
        self.secondary = self.start()

    def start(self) -> Secondary:
        """It comes up from its memory."""
        world = SecondaryWorld(
            primary=self.link,
            slots=self.device.slots,
            new_nonce=self._vehicle.new_nonce,
            say=self._vehicle.said.append,
            may_install=lambda image: self.device.may_install,
            confirms=lambda file: self.device.confirms(file),
        )
        memory = EcuMemory(self.device.store, self._vehicle.fleet.profile)
        self.secondary = Secondary(memory, self.device.signer, world)
        return self.secondary

    def register(self) -> None:
        """It makes itself known to Director and Primary, and reports for the first time."""
        key = self._vehicle.fleet.profile.format.encode_key(self.device.signer.key)
        self._vehicle.links.register_ecu(self._vehicle.vin, self.ecu, key, is_primary=False)
        self.link.register_secondary(self.ecu, key)
        self.secondary.send_report()
