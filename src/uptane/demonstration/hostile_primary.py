"""A Primary in a thief's hands: it verifies nothing and passes on whatever the servers have published."""

from uptane.demonstration.published import METADATA, plain_copy
from uptane.demonstration.stack import DIRECTOR, Stack
from uptane.formats.profile import Profile
from uptane.metadata.identifiers import EcuIdentifier, RepositoryName, VehicleIdentifier
from uptane.metadata.root import Role
from uptane.metadata.targets import Targets
from uptane.vehicle.distribution import pack, place
from uptane.vehicle.ports import PrimaryLink


class HostilePrimary:
    """The way from a Secondary to such a Primary; times and reports still pass through the real one.

    Args:
        profile: the metadata format.
        stack: what the servers stand on.
        vehicle: whose Director metadata is passed on.
        real: the real Primary.
    """

    def __init__(self, profile: Profile, stack: Stack, vehicle: VehicleIdentifier, real: PrimaryLink) -> None:
        self._profile = profile
        self._files = {DIRECTOR: stack.director(vehicle), stack.image_repository_name: stack.image_repository()}
        self._real = real

    def register_secondary(self, ecu: EcuIdentifier, key: bytes) -> None:
        """See `PrimaryLink`."""
        self._real.register_secondary(ecu, key)

    def submit_report(self, vehicle: VehicleIdentifier, ecu: EcuIdentifier, nonce: int, report: bytes) -> None:
        """See `PrimaryLink`."""
        self._real.submit_report(vehicle, ecu, nonce, report)

    def time_attestation(self, ecu: EcuIdentifier) -> bytes:
        """See `PrimaryLink`."""
        return self._real.time_attestation(ecu)

    def metadata(self, ecu: EcuIdentifier) -> bytes:
        """Everything that both repositories have published."""
        return self._packed(*self._files)

    def partial_metadata(self, ecu: EcuIdentifier) -> bytes:
        """Everything that the Director has published, or where no more travels, its Targets."""
        return self._targets() if self._profile.unsafe_partial_without_root else self._packed(DIRECTOR)

    def update_exists(self, ecu: EcuIdentifier) -> bool:
        """Always."""
        return True

    def image(self, ecu: EcuIdentifier) -> tuple[str, bytes] | None:
        """What the Director hosts under the name that it directs."""
        images = self._profile.format.decode(Targets, self._targets()).payload.images
        path = next((path for path, image in images.items() if ecu in image.custom.ecus), None)
        data = None if path is None else plain_copy(self._files[DIRECTOR], path)
        return None if path is None or data is None else (path, data)

    def image_block(self, ecu: EcuIdentifier, name: str, offset: int) -> bytes:
        """See `PrimaryLink`."""
        return self._real.image_block(ecu, name, offset)

    def back_up(self, ecu: EcuIdentifier, name: str, offset: int, block: bytes) -> bool:
        """See `PrimaryLink`."""
        return self._real.back_up(ecu, name, offset, block)

    def backup_block(self, ecu: EcuIdentifier, name: str, offset: int) -> bytes:
        """See `PrimaryLink`."""
        return self._real.backup_block(ecu, name, offset)

    def _targets(self) -> bytes:
        return self._files[DIRECTOR].read(METADATA + self._profile.metadata_name(Role.TARGETS)) or b""

    def _packed(self, *repositories: RepositoryName) -> bytes:
        profile, packed = self._profile, dict[str, bytes]()
        for repository in repositories:
            files = self._files[repository]
            for name in files.names(METADATA):
                raw = files.read(name) if name.endswith(f".{profile.format.extension}") else None
                if raw is not None:
                    packed[place(profile, repository, name.removeprefix(METADATA))] = raw
        return pack(packed)
