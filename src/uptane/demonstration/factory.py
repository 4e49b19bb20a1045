"""Where the demonstration's ECUs are made: they get keys, metadata and a first image, and are registered."""

import secrets
import shutil
import string
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from uptane.assembly.vehicle import EcuFolder, new_nonce
from uptane.demonstration.keys import key_folder, signer
from uptane.demonstration.published import METADATA, PublishedFiles
from uptane.demonstration.settings import Settings
from uptane.demonstration.stack import DIRECTOR, FolderStack, Stack
from uptane.encryption.keys import DecryptionKey
from uptane.formats.profiles import PROFILES, recognised
from uptane.metadata.digests import Digests
from uptane.metadata.errors import ProvisioningError
from uptane.metadata.identifiers import (
    EcuIdentifier,
    HardwareIdentifier,
    ImagePath,
    PathPattern,
    RepositoryName,
    VehicleIdentifier,
)
from uptane.metadata.keys import PublicKey
from uptane.metadata.root import Role
from uptane.metadata.targets import ImageFile
from uptane.signing.signer import KeySigner
from uptane.storage.ecu_state import EcuStateFolder
from uptane.storage.image_slots import ImageSlotFolder
from uptane.vehicle.installation_states import RUNNING
from uptane.vehicle.memory import EcuMemory, VerificationKind
from uptane.vehicle.provisioning import Provisioning, provision

FACTORY_IMAGE = b"Contents of infotainment_firmware.txt"
"""What an ECU runs before its first update: 37 bytes."""


def key_name(kind: str, ecu: EcuIdentifier, default: EcuIdentifier) -> str:
    """The name of an ECU's key file: `primary` or `secondary` for the default ECU, else with its serial."""
    return kind if ecu == default else f"{kind}_{ecu}"


def ecu_signer(settings: Settings, name: str, *, use_new_keys: bool) -> KeySigner:
    """An ECU's own key, made at its first use."""
    if use_new_keys:
        name = f"{name}_{random_text(8)}"
    return signer(settings, name)


def random_text(length: int) -> str:
    """Letters and digits for names of folders."""
    return "".join(secrets.choice(string.ascii_letters + string.digits) for _ in range(length))


def new_folder(settings: Settings, kind: str) -> EcuFolder:
    """A fresh folder such as `temp_primaryAb3dE`."""
    path = settings.folder / f"temp_{kind}{random_text(5)}"
    path.mkdir(parents=True)
    return EcuFolder(path=path)


def remove(folder: EcuFolder) -> None:
    """Removes an ECU's folder."""
    shutil.rmtree(folder.path, ignore_errors=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class MadeEcu:
    """An ECU as it leaves the factory.

    Args:
        memory: what it was provisioned with.
        slots: its images, the first one installed.
        state: the folder that the memory stands on.
    """

    memory: EcuMemory
    slots: ImageSlotFolder
    state: EcuStateFolder

    def close(self) -> None:
        """Lets go of its folders, so that another process can open them."""
        self.state.close()
        self.slots.close()


def make_ecu(
    settings: Settings,
    folder: EcuFolder,
    *,
    vehicle: VehicleIdentifier,
    ecu: EcuIdentifier,
    image_name: str,
    hardware_id: str | None = None,
    verification: VerificationKind = VerificationKind.FULL,
    image_patterns: Sequence[str] = (),
    decryption_key: DecryptionKey | None = None,
    stack: Stack | None = None,
) -> MadeEcu:
    """Provisions an ECU with what is published now (STD-5.4.1-2, -4).

    Raises:
        UnknownVehicleError: the Director has no such vehicle.
        ProvisioningError: the services do not run here, or in another format.
    """
    stack = stack or FolderStack(settings)
    published = published_roles(settings, vehicle, stack)
    file = ImageFile(
        path=ImagePath(image_name), length=len(FACTORY_IMAGE), digests=Digests.of(FACTORY_IMAGE, ("sha256", "sha512"))
    )
    moment = datetime.now(UTC)
    what = Provisioning(
        vehicle=vehicle,
        ecu=ecu,
        repository_map=stack.repository_map(vehicle),
        timeserver_key=_timeserver_key(settings),
        roles=published,
        time=moment.replace(microsecond=0),
        counter=int(moment.timestamp() * 1_000_000),
        nonce=new_nonce(),
        installed=file,
        hardware_id=None if hardware_id is None else HardwareIdentifier(hardware_id),
        verification=verification,
        image_patterns=tuple(PathPattern(text) for text in image_patterns),
        decryption_key=decryption_key,
    )
    slots = folder.slots()
    with slots.receive(RUNNING.active) as writer:
        writer.write(FACTORY_IMAGE)
        writer.keep()
    state = folder.state()
    return MadeEcu(memory=provision(state, settings.profile, what), slots=slots, state=state)


def published_roles(
    settings: Settings, vehicle: VehicleIdentifier, stack: Stack | None = None
) -> dict[RepositoryName, dict[Role, bytes]]:
    """What is published now, for an ECU to begin with.

    Raises:
        UnknownVehicleError: the Director has no such vehicle.
        ProvisioningError: the services do not run here, or in another format.
    """
    stack = stack or FolderStack(settings)
    images, directed = stack.image_repository(), stack.director(vehicle)
    return {DIRECTOR: _roles(settings, directed), stack.image_repository_name: _roles(settings, images)}


def _roles(settings: Settings, files: PublishedFiles) -> dict[Role, bytes]:
    profile = settings.profile
    roles: dict[Role, bytes] = {}
    for role in (Role.ROOT,) if profile.unsafe_root_only_provisioning else Role:
        names = [METADATA + each.metadata_name(role) for each in (profile, *PROFILES.values())]
        raw = next((found for found in map(files.read, names) if found is not None), None)
        if raw is None:
            raise ProvisioningError(f"{names[0]} is missing", next_step="Run clean_slate() in the services window.")
        other = recognised(raw)
        if other is not None and other.name != profile.name:
            raise ProvisioningError(
                f"the services use the format {other.name}, and this console {profile.name}",
                next_step=f"Start this console with UPTANE_DEMO__FORMAT={other.name} in its environment.",
                format=other.name,
            )
        roles[role] = raw
    return roles


def _timeserver_key(settings: Settings) -> PublicKey:
    key = key_folder(settings).public("timeserver")
    if key is None:
        raise ProvisioningError(
            f"the Timeserver's public key is not in {settings.keys}", next_step="Start the services first."
        )
    return key
