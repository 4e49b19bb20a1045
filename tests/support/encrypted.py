"""Vehicles whose ECUs decrypt, and a Director that encrypts for them, also as a confused or bribed operator would."""

import random
from collections.abc import Iterable

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from fleet import Fleet, Vehicle
from links import wait
from msgspec import structs
from signed import PATH
from world import PRIMARY, TCU, VIN

from uptane.director.encrypting import ImageEncryption
from uptane.director.planning import assignment_of, image_of
from uptane.director.ports import Assignment
from uptane.encryption.keys import DecryptionKey, EncryptionKeyType
from uptane.formats.canonical_json import decode_strict
from uptane.formats.json_images import read_encrypted
from uptane.formats.profile import Profile
from uptane.metadata.digests import Digests
from uptane.metadata.identifiers import EcuIdentifier, ImagePath
from uptane.metadata.targets import EncryptedImage, Image, ImageFile
from uptane.vehicle.memory import DECRYPTION_KEY

BCU = EcuIdentifier("BCUdemocar")
FIRMWARE = b"".join(b"confidential line %04d\n" % number for number in range(200))
"""An image of which no 16 bytes come by chance."""


def decryption_key(ecu: EcuIdentifier, kind: EncryptionKeyType = EncryptionKeyType.X25519) -> DecryptionKey:
    """The same key of that kind for the same ECU."""
    secret = f"secret of {ecu}".encode().ljust(32, b".")
    if kind is EncryptionKeyType.SYMMETRIC:
        return DecryptionKey.symmetric(secret)
    return DecryptionKey.of(X25519PrivateKey.from_private_bytes(secret))


def make_known(fleet: Fleet, ecu: EcuIdentifier, key: DecryptionKey) -> None:
    """The operator gives the Director what it needs to encrypt for an ECU."""
    wait(fleet.director.set_encryption_key(VIN, ecu, key.encryption_key))


def encrypting(fleet: Fleet) -> Fleet:
    """The same with a Director that can encrypt."""
    encryption = ImageEncryption(hosted=lambda vin: fleet.hosted, random_bytes=random.Random(1).randbytes)
    fleet.restart_director(encryption=encryption)
    return fleet


def encrypted_vehicle(profile: Profile, kind: EncryptionKeyType = EncryptionKeyType.X25519, **made: object) -> Vehicle:
    """A vehicle whose first Secondary has a key, which the Director knows, and whose Primary has another one."""
    car = Vehicle(encrypting(Fleet(profile)), decryption_key=decryption_key(TCU, kind), **made)  # type: ignore[arg-type]
    own = decryption_key(PRIMARY, kind)
    car.device.store.write({DECRYPTION_KEY: own.encode()})
    car.restart_primary()
    make_known(car.fleet, TCU, decryption_key(TCU, kind))
    make_known(car.fleet, PRIMARY, own)
    car.cycle()
    return car


def release_encrypted(
    fleet: Fleet, content: bytes = FIRMWARE, ecus: Iterable[EcuIdentifier] = (TCU,), path: str = PATH
) -> Image:
    """The Image repository signs for an image, which it does not host, and the Director directs it, encrypted."""
    file = ImageFile(path=ImagePath(path), length=len(content), digests=Digests.of(content, ("sha256", "sha512")))
    image = wait(fleet.images.add_image(file.path, file))
    wait(fleet.images.publish(fleet.now))
    wait(fleet.director.assign_encrypted(VIN, ecus, image, content))
    wait(fleet.director.publish(VIN, fleet.now))
    return image


def assignment(fleet: Fleet, ecu: EcuIdentifier = TCU) -> Assignment:
    """What the Director has on record for an ECU."""

    async def read() -> Assignment:
        async with fleet.inventory.transaction() as transaction:
            return next(each for each in await transaction.assignments(VIN) if each.ecu == ecu)

    return wait(read())


def form_of(fleet: Fleet, ecu: EcuIdentifier = TCU) -> EncryptedImage:
    """The encrypted form that the Director has on record for an ECU."""
    text = assignment(fleet, ecu).encrypted
    assert text is not None
    return read_encrypted(decode_strict(text))


def redirect(fleet: Fleet, ecu: EcuIdentifier = TCU, **changes: object) -> None:
    """The Director signs for another encrypted form of what the ECU is assigned."""
    old = assignment(fleet, ecu)
    form = structs.replace(form_of(fleet, ecu), **changes)  # type: ignore[arg-type]
    new = assignment_of(VIN, ecu, image_of(old.path, old.image), old.install_order, form)

    async def write() -> None:
        async with fleet.inventory.transaction() as transaction:
            await transaction.assign(new)

    wait(write())
    wait(fleet.director.publish(VIN, fleet.now))


def host(fleet: Fleet, data: bytes, name: str = "encrypted/other.img") -> ImageFile:
    """The Director hosts these bytes as an encrypted image."""
    wait(fleet.hosted.add(ImagePath(name), data))
    return ImageFile(path=ImagePath(name), length=len(data), digests=Digests.of(data, ("sha256", "sha512")))


def hosted(fleet: Fleet, ecu: EcuIdentifier = TCU) -> bytes:
    """The encrypted image of an ECU."""
    data = wait(fleet.hosted.read(form_of(fleet, ecu).file.path))
    assert data is not None
    return data


def pieces(content: bytes, size: int = 16) -> set[bytes]:
    """Every run of that many bytes."""
    return {content[at : at + size] for at in range(len(content) - size + 1)}
