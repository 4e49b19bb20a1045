"""A Director encrypts images for ECUs that need it (STD-5.3.2.1-15)."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from uptane.director.assigning import changed_assignments, put_on_record
from uptane.director.inquiries import require_ecu
from uptane.director.planning import assignment_of
from uptane.director.ports import Assignment, EcuRecord, HostedImages, InventoryDatabase
from uptane.encryption import content, wrapping
from uptane.encryption.keys import KEY_BYTES, EncryptionKey, EncryptionKeyType
from uptane.formats.profile import Profile
from uptane.metadata.digests import Digests
from uptane.metadata.errors import ProvisioningError, UptaneError
from uptane.metadata.identifiers import EcuIdentifier, ImagePath, VehicleIdentifier
from uptane.metadata.targets import EncryptedImage, Image, ImageFile, WrappedKey
from uptane.verification.verify_image import ImageCheck

HASHES = ("sha256", "sha512")
"""What Targets lists of an encrypted form."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageEncryption:
    """What a Director needs to encrypt images.

    Args:
        hosted: gives the images that it hosts for a vehicle.
        random_bytes: random bytes for cryptography, any number of them.
    """

    hosted: Callable[[VehicleIdentifier], HostedImages]
    random_bytes: Callable[[int], bytes]


@dataclass(frozen=True, slots=True, kw_only=True)
class EncryptedForms:
    """One image, encrypted once.

    Args:
        data: the encrypted image.
        file: its name, length and hashes.
        forms: what is said of it to each ECU.
    """

    data: bytes
    file: ImageFile
    forms: Mapping[EcuIdentifier, EncryptedImage]


def encrypt_image(
    vehicle: VehicleIdentifier,
    image: Image,
    data: bytes,
    keys: Mapping[EcuIdentifier, EncryptionKey],
    random_bytes: Callable[[int], bytes],
) -> EncryptedForms:
    """Encrypts an image for one or several ECUs of a vehicle (STD-5.2.3.1.1-7, -8).

    For ECUs with public keys the content key is new and wrapped for each; ECUs with one symmetric key hold it. The
    nonce is new in any case, and the name of the encrypted image tells nothing else.

    Args:
        vehicle: the vehicle.
        image, data: the image and its bytes.
        keys: of every ECU that shall read it.
        random_bytes: as in `ImageEncryption`.

    Raises:
        UptaneError: there is no ECU, or they hold different symmetric keys.
        LengthMismatchError, BadHashError, EndlessDataError: the bytes are not those of the image.
    """
    check = ImageCheck(image.file)
    check.update(data)
    check.finish()
    secret = _shared_key(keys)
    content_key = random_bytes(KEY_BYTES) if secret is None else secret
    nonce = random_bytes(content.NONCE_BYTES)
    running = content.Encryption(content_key, nonce)
    encrypted = running.update(data) + running.finish()
    path = ImagePath(f"encrypted/{nonce.hex()}.img")
    file = ImageFile(path=path, length=len(encrypted), digests=Digests.of(encrypted, HASHES))

    def wrapped_for(ecu: EcuIdentifier) -> WrappedKey | None:
        if secret is not None:
            return None
        context = wrapping.wrapping_context(vehicle, ecu, image.file.path)
        return wrapping.wrap_key(content_key, keys[ecu], context)

    forms = {
        ecu: EncryptedImage(file=file, method=content.METHOD, nonce=nonce, wrapped_key=wrapped_for(ecu)) for ecu in keys
    }
    return EncryptedForms(data=encrypted, file=file, forms=forms)


def _shared_key(keys: Mapping[EcuIdentifier, EncryptionKey]) -> bytes | None:
    """The symmetric key of all of them; None where all have public keys."""
    if not keys:
        raise UptaneError("an image is encrypted for at least one ECU", next_step="Name the ECUs.")
    symmetric = {key.material for key in keys.values() if key.key_type is EncryptionKeyType.SYMMETRIC}
    if not symmetric:
        return None
    if len(symmetric) > 1 or any(key.key_type is not EncryptionKeyType.SYMMETRIC for key in keys.values()):
        raise UptaneError(
            f"ECUs {', '.join(sorted(keys))} cannot share one encrypted form: they do not hold the same symmetric key",
            next_step="Encrypt the image for each of these ECUs in a call of its own.",
            ecus=tuple(sorted(keys)),
        )
    return symmetric.pop()


async def assign_encrypted(
    inventory: InventoryDatabase,
    profile: Profile,
    encryption: ImageEncryption,
    *,
    vehicle: VehicleIdentifier,
    ecus: Sequence[EcuIdentifier],
    image: Image,
    data: bytes,
    install_order: int | None = None,
) -> None:
    """These ECUs shall have this image, and get it encrypted, from the next publication on (STD-5.3.2.1-15).

    It is encrypted once: with a new key that is wrapped for each ECU, or with the symmetric key that all of them hold.
    What goes wrong changes no assignment. If the inventory fails at the very end, an encrypted image stays behind that
    nothing names.

    Args:
        inventory, profile, encryption: of the Director.
        vehicle, ecus, image, install_order: as for `Director.assign`.
        data: the bytes of the image, in plain.

    Raises:
        UnknownVehicleError, UnknownEcuError, FormatError, HardwareMismatchError: as for `Director.assign`.
        UptaneError: see `encrypt_image` and `changed_assignments`, or an ECU got another key meanwhile.
        ProvisioningError: an ECU has no encryption key on record.
        LengthMismatchError, BadHashError, EndlessDataError: the bytes are not those of the image.
        StorageError: the encrypted image could not be stored.
    """
    async with inventory.transaction() as transaction:
        for ecu in ecus:
            await require_ecu(transaction, vehicle, ecu)
        present, records = await transaction.assignments(vehicle), await transaction.ecus(vehicle)
    keys = _keys(records, ecus)
    made = await asyncio.to_thread(encrypt_image, vehicle, image, data, keys, encryption.random_bytes)
    wanted: list[Assignment] = [
        assignment_of(vehicle, ecu, image, install_order, encrypted) for ecu, encrypted in made.forms.items()
    ]
    changed_assignments(profile, image, wanted, present, records)
    await encryption.hosted(vehicle).add(made.file.path, made.data)
    async with inventory.transaction() as transaction:
        if _keys(await transaction.ecus(vehicle), ecus) != keys:
            raise UptaneError(
                "an ECU got another encryption key while an image was encrypted for it", next_step="Try again."
            )
        await put_on_record(transaction, profile, vehicle, image, wanted)


def _keys(records: Sequence[EcuRecord], ecus: Sequence[EcuIdentifier]) -> Mapping[EcuIdentifier, EncryptionKey]:
    known = {record.ecu: record.encryption_key for record in records}
    keys: dict[EcuIdentifier, EncryptionKey] = {}
    for ecu in ecus:
        key = known.get(ecu)
        if key is None:
            raise ProvisioningError(
                f"ECU {ecu} has no encryption key on record, so no image can be encrypted for it",
                next_step="Put its key on record first: uptane vehicle encryption-key VIN ECU FILE.",
                ecu=ecu,
            )
        keys[ecu] = key
    return keys
