"""A Primary in a thief's hands: it verifies nothing and passes on whatever the servers have published."""

from pathlib import Path

from uptane.demonstration.factory import DIRECTOR, IMAGE_REPOSITORY
from uptane.demonstration.settings import Settings
from uptane.metadata.identifiers import EcuIdentifier, RepositoryName, VehicleIdentifier
from uptane.metadata.root import Role
from uptane.metadata.targets import Targets
from uptane.vehicle.distribution import pack, place
from uptane.vehicle.ports import PrimaryLink


class HostilePrimary:
    """The way from a Secondary to such a Primary; times and reports still pass through the real one.

    Args:
        settings: the demonstration.
        vehicle: whose Director metadata is passed on.
        real: the real Primary.
    """

    def __init__(self, settings: Settings, vehicle: VehicleIdentifier, real: PrimaryLink) -> None:
        self._settings = settings
        self._folders = {DIRECTOR: settings.director / vehicle, IMAGE_REPOSITORY: settings.image_repository}
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
        return self._packed(DIRECTOR, IMAGE_REPOSITORY)

    def partial_metadata(self, ecu: EcuIdentifier) -> bytes:
        """Everything that the Director has published, or where no more travels, its Targets."""
        return self._targets() if self._settings.profile.unsafe_partial_without_root else self._packed(DIRECTOR)

    def update_exists(self, ecu: EcuIdentifier) -> bool:
        """Always."""
        return True

    def image(self, ecu: EcuIdentifier) -> tuple[str, bytes] | None:
        """What the Director hosts under the name that it directs."""
        images = self._settings.profile.format.decode(Targets, self._targets()).payload.images
        path = next((path for path, image in images.items() if ecu in image.custom.ecus), None)
        return None if path is None else (path, (self._folders[DIRECTOR] / "targets" / path).read_bytes())

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
        return (self._metadata(DIRECTOR) / self._settings.profile.metadata_name(Role.TARGETS)).read_bytes()

    def _metadata(self, repository: RepositoryName) -> Path:
        return self._folders[repository] / "metadata"

    def _packed(self, *repositories: RepositoryName) -> bytes:
        profile = self._settings.profile
        return pack(
            {
                place(profile, repository, file.name): file.read_bytes()
                for repository in repositories
                for file in self._metadata(repository).glob(f"*.{profile.format.extension}")
            }
        )
