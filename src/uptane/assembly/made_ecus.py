"""An ECU gets its first memory from the files of its factory; imports no server library."""

from datetime import UTC, datetime

from uptane.assembly.device_package import DIRECTOR, IMAGE_REPOSITORY, EcuSettings
from uptane.assembly.vehicle import EcuFolder, new_nonce
from uptane.encryption.keys import DecryptionKey
from uptane.metadata.digests import Digests
from uptane.metadata.errors import ProvisioningError
from uptane.metadata.identifiers import ImagePath
from uptane.metadata.root import Role
from uptane.metadata.targets import ImageFile
from uptane.signing.signer import KeySigner
from uptane.storage.decryption_key_files import DecryptionKeyFolder
from uptane.storage.image_slots import ImageSlotFolder
from uptane.storage.key_files import KeyFolder
from uptane.vehicle.installation_states import RUNNING
from uptane.vehicle.memory import VerificationKind
from uptane.vehicle.ports import EcuStore
from uptane.vehicle.provisioning import Provisioning, provision

FACTORY_IMAGE = ImagePath("factory.img")
ECU_KEY = "ecu"
DECRYPTION_KEY = "decryption"


def disk_and_key(settings: EcuSettings) -> tuple[EcuFolder, KeySigner]:
    """The disk of an ECU, in its folder, and the key with which it signs; each is made when it is missing."""
    disk = EcuFolder(path=settings.folder / "ecu")
    disk.path.mkdir(exist_ok=True, mode=0o700)
    key = KeyFolder(settings.folder / "keys").load_or_generate(ECU_KEY)
    return disk, KeySigner(key, settings.profile.format.key_id_rule)


def decryption_key(settings: EcuSettings) -> DecryptionKey | None:
    """The key with which an ECU reads encrypted images, made when it is missing; None for an ECU that gets none.

    Its public part in `keys/decryption.pub` is for the Director.
    """
    if not settings.encrypted_images:
        return None
    return DecryptionKeyFolder(settings.folder / "keys").load_or_generate(DECRYPTION_KEY)


def provision_from_factory(settings: EcuSettings, store: EcuStore, slots: ImageSlotFolder) -> None:
    """Fills an empty memory, all or nothing (STD-5.4.1); makes the key that decrypts its images, where it has one.

    Raises:
        ProvisioningError, FormatError: a file of the factory is missing or damaged.
    """
    profile, moment = settings.profile, datetime.now(UTC)

    def read(name: str) -> bytes:
        try:
            return (settings.factory / name).read_bytes()
        except FileNotFoundError as error:
            raise ProvisioningError(
                f"the factory left no {name} in {settings.factory}",
                next_step="Copy the whole folder that `uptane vehicle add` made.",
                name=name,
            ) from error

    image = read("image")
    with slots.receive(RUNNING.active) as writer:
        writer.write(image)
        writer.keep()
    full = settings.verification is VerificationKind.FULL
    repositories = (DIRECTOR, IMAGE_REPOSITORY) if full else (DIRECTOR,)
    roles = tuple(Role) if full else (Role.ROOT, Role.TARGETS)
    provision(
        store,
        profile,
        Provisioning(
            vehicle=settings.vehicle,
            ecu=settings.ecu,
            hardware_id=settings.hardware_id,
            repository_map=profile.format.decode_map(read("map")),
            timeserver_key=profile.format.decode_key(read("timeserver-key")),
            roles={
                repository: {
                    role: read(str(settings.role_file(repository, role).relative_to(settings.factory)))
                    for role in roles
                }
                for repository in repositories
            },
            time=moment.replace(microsecond=0),
            counter=int(moment.timestamp() * 1_000_000),
            nonce=new_nonce(),
            installed=ImageFile(path=FACTORY_IMAGE, length=len(image), digests=Digests.of(image, ("sha256", "sha512"))),
            verification=settings.verification,
            decryption_key=decryption_key(settings),
        ),
    )
