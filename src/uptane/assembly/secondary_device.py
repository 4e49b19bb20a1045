"""A Secondary over HTTP to its Primary, from the files of its factory; imports no server library."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from uptane.assembly.device_package import SecondarySettings
from uptane.assembly.made_ecus import disk_and_key, provision_from_factory
from uptane.assembly.vehicle import connect_secondary
from uptane.vehicle.memory import EcuMemory
from uptane.vehicle.secondary import Secondary, SecondaryResult


class SecondaryDevice:
    """A Secondary with its key.

    Args:
        secondary: made from its memory.
        key: its public key, in the vehicle's format.
    """

    def __init__(self, secondary: Secondary, key: bytes) -> None:
        self.secondary = secondary
        self.key = key

    def cycle(self) -> SecondaryResult:
        """Registers with the Primary, which may have been made anew, and runs an update cycle.

        Raises:
            UptaneError: as `Secondary.update_cycle`, or the Primary has another key on record for this ECU.
        """
        self.secondary.primary.register_secondary(self.secondary.memory.ecu, self.key)
        return self.secondary.update_cycle()


@contextmanager
def open_secondary(
    settings: SecondarySettings, say: Callable[[str], None] = lambda line: None
) -> Iterator[SecondaryDevice]:
    """The Secondary in a folder; made from its factory files when it is opened first.

    Raises:
        ProvisioningError, FormatError: the factory's files are incomplete or damaged.
        StorageError: another process runs it.
    """
    disk, signer = disk_and_key(settings)
    with disk.state() as store, disk.slots() as slots:
        if store.read("identity") is None:
            provision_from_factory(settings, store, slots)
        memory = EcuMemory(store, settings.profile)
        secondary = connect_secondary(memory, signer, slots, primary_url=settings.primary, say=say)
        yield SecondaryDevice(secondary, settings.profile.format.encode_key(signer.key))
