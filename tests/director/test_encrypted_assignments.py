"""The Director encrypts an image for those ECUs that it is asked to, hosts it, and names it for nobody else."""

import asyncio

import pytest
from encrypted import (
    BCU,
    FIRMWARE,
    assignment,
    decryption_key,
    encrypting,
    form_of,
    hosted,
    make_known,
    release_encrypted,
)
from fleet import Fleet, Vehicle
from links import wait
from msgspec import structs
from signed import FRESH, PATH, custom
from world import DIRECTOR, PRIMARY, TCU, VIN, new_signer

from uptane.director.encrypting import ImageEncryption, encrypt_image
from uptane.encryption import content, wrapping
from uptane.encryption.keys import DecryptionKey, EncryptionKey, EncryptionKeyType
from uptane.formats.profile import Profile
from uptane.formats.profiles import PROFILES
from uptane.metadata.errors import (
    BadHashError,
    FormatError,
    HardwareMismatchError,
    ProvisioningError,
    SpoofingError,
    StorageError,
    UnknownEcuError,
    UptaneError,
)
from uptane.metadata.identifiers import EcuIdentifier, HardwareIdentifier, ImagePath
from uptane.metadata.root import Role
from uptane.metadata.targets import EncryptedImage, Image, ImageFile, Targets
from uptane.storage.memory import MemoryImages

X25519, SYMMETRIC = EncryptionKeyType.X25519, EncryptionKeyType.SYMMETRIC


@pytest.fixture
def car(profile: Profile) -> Vehicle:
    """A vehicle with two Secondaries, both of whose keys the Director knows."""
    car = Vehicle(encrypting(Fleet(profile)))
    car.add_secondary(BCU)
    for ecu in (TCU, BCU):
        make_known(car.fleet, ecu, decryption_key(ecu))
    car.cycle()
    return car


def directed(fleet: Fleet) -> Targets:
    """The Director's Targets, as published."""
    return fleet.profile.format.decode(Targets, fleet.file(DIRECTOR, Role.TARGETS)).payload


def read(form: EncryptedImage, data: bytes, key: DecryptionKey, ecu: EcuIdentifier = TCU, path: str = PATH) -> bytes:
    """What an ECU reads, step by step."""
    secret = key.material
    if form.wrapped_key is not None:
        context = wrapping.wrapping_context(VIN, ecu, ImagePath(path))
        secret = wrapping.unwrap_key(form.wrapped_key, key, context)
    running = content.Decryption(secret, form.nonce)
    plain = running.update(data)
    running.finish()
    return plain


def nothing_happens(car: Vehicle, expected: type[UptaneError], *ecus: EcuIdentifier, data: bytes = FIRMWARE) -> None:
    """The Director refuses to encrypt an image: nothing is hosted, assigned or published."""
    image = car.fleet.add_image("new.img", FIRMWARE)

    async def records() -> object:
        async with car.fleet.inventory.transaction() as transaction:
            return await transaction.assignments(VIN), await transaction.ecus(VIN)

    before = wait(records()), dict(car.fleet.hosted._files), car.fleet.published(VIN)
    with pytest.raises(UptaneError) as refusal:
        wait(car.fleet.director.assign_encrypted(VIN, ecus, image, data))
    assert type(refusal.value) is expected, repr(refusal.value)
    assert (wait(records()), dict(car.fleet.hosted._files), car.fleet.published(VIN)) == before


@pytest.mark.standard("STD-5.3.2.1-15", "STD-5.3.2-3", "STD-5.2.3.1.1-7", "STD-5.2.3.1.1-8")
def test_targets_name_the_encrypted_image_for_exactly_that_ecu(car: Vehicle) -> None:
    image = release_encrypted(car.fleet)
    car.fleet.direct(image, BCU)
    entry = directed(car.fleet).images[image.file.path]
    assert entry.file == image.file
    form = entry.custom.ecus[TCU].encrypted
    assert form is not None and entry.custom.ecus[BCU].encrypted is None
    data = hosted(car.fleet)
    assert form.file.length == len(data) == len(FIRMWARE) + 16
    assert form.file.digests.matches(data) and {name for name, _ in form.file.digests} == {"sha256", "sha512"}
    assert (form.method, form.wrapped_key and form.wrapped_key.method) == (content.METHOD, wrapping.METHOD)
    assert read(form, data, decryption_key(TCU)) == FIRMWARE
    names = {name.rpartition("/")[0] for name in car.fleet.hosted._files}
    assert names == {"encrypted"} and PATH not in form.file.path


@pytest.mark.standard("STD-5.3.2.1-15")
def test_every_encryption_has_a_new_key_and_a_new_nonce(car: Vehicle) -> None:
    seen: list[tuple[bytes, bytes, bytes]] = []
    for _ in range(5):
        release_encrypted(car.fleet)
        form = form_of(car.fleet)
        assert form.wrapped_key is not None
        context = wrapping.wrapping_context(VIN, TCU, ImagePath(PATH))
        seen.append((wrapping.unwrap_key(form.wrapped_key, decryption_key(TCU), context), form.nonce, form.file.path))  # type: ignore[arg-type]
    assert [len(set(column)) for column in zip(*seen, strict=True)] == [5, 5, 5]
    assert len({data for name, data in car.fleet.hosted._files.items()}) == 5


@pytest.mark.standard("STD-5.3.2.1-15")
def test_a_symmetric_key_meets_a_new_nonce_every_time(car: Vehicle) -> None:
    make_known(car.fleet, TCU, decryption_key(TCU, SYMMETRIC))
    nonces = set()
    for _ in range(5):
        release_encrypted(car.fleet)
        form = form_of(car.fleet)
        nonces.add(form.nonce)
        assert form.wrapped_key is None
        assert read(form, hosted(car.fleet), decryption_key(TCU, SYMMETRIC)) == FIRMWARE
    assert len(nonces) == 5


def test_publishing_again_encrypts_nothing_again(car: Vehicle) -> None:
    release_encrypted(car.fleet)
    before, files = directed(car.fleet), dict(car.fleet.hosted._files)
    wait(car.fleet.director.publish(VIN, car.fleet.now))
    car.fleet.restart_director()
    wait(car.fleet.director.publish(VIN, car.fleet.now))
    assert directed(car.fleet).version == before.version
    assert car.fleet.hosted._files == files


@pytest.mark.standard("STD-5.4.1-9")
def test_one_encrypted_image_for_several_ecus_is_read_by_each_of_them_alone(car: Vehicle) -> None:
    release_encrypted(car.fleet, ecus=[TCU, BCU, TCU])
    assert form_of(car.fleet, TCU).file == form_of(car.fleet, BCU).file
    for ecu in (TCU, BCU):
        assert read(form_of(car.fleet, ecu), hosted(car.fleet), decryption_key(ecu), ecu) == FIRMWARE
        with pytest.raises(UptaneError):
            read(form_of(car.fleet, ecu), hosted(car.fleet), decryption_key(PRIMARY), ecu)


def test_an_ecu_without_an_encryption_key_is_told_of(car: Vehicle) -> None:
    nothing_happens(car, ProvisioningError, TCU, PRIMARY)


def test_ecus_with_different_kinds_of_keys_or_symmetric_keys_share_nothing(car: Vehicle) -> None:
    make_known(car.fleet, BCU, decryption_key(BCU, SYMMETRIC))
    nothing_happens(car, UptaneError, TCU, BCU)
    make_known(car.fleet, TCU, decryption_key(TCU, SYMMETRIC))
    nothing_happens(car, UptaneError, TCU, BCU)


def test_nobody_and_strangers_get_no_encrypted_image(car: Vehicle) -> None:
    nothing_happens(car, UptaneError)
    nothing_happens(car, UnknownEcuError, EcuIdentifier("stranger"))


def test_other_bytes_than_those_of_the_image_are_not_encrypted(car: Vehicle) -> None:
    nothing_happens(car, BadHashError, TCU, data=bytes(len(FIRMWARE)))


def test_an_image_for_other_hardware_is_neither_encrypted_nor_hosted(profile: Profile) -> None:
    car = Vehicle(encrypting(Fleet(profile)))
    director = car.fleet.director
    wait(
        director.register_ecu(
            vehicle=VIN, ecu=BCU, key=new_signer().key, is_primary=False, hardware_id=HardwareIdentifier("bcu")
        )
    )
    make_known(car.fleet, BCU, decryption_key(BCU))
    image = car.fleet.add_image(PATH, FIRMWARE, custom(hardware=("tcu",)))
    with pytest.raises(HardwareMismatchError):
        wait(director.assign_encrypted(VIN, [BCU], image, FIRMWARE))
    assert car.fleet.hosted._files == {}


def test_a_disk_that_fails_leaves_every_assignment_as_it_was(car: Vehicle) -> None:
    class Full(MemoryImages):
        async def add(self, *_: object, **__: object) -> ImageFile:
            raise StorageError("the disk is full")

    release_encrypted(car.fleet)
    before = form_of(car.fleet)
    encryption = ImageEncryption(hosted=lambda vin: Full(), random_bytes=lambda size: bytes(size))
    car.fleet.restart_director(encryption=encryption)
    with pytest.raises(StorageError):
        release_encrypted(car.fleet)
    assert form_of(car.fleet) == before
    nothing_happens(car, StorageError, TCU)


def test_a_key_that_changes_while_an_image_is_encrypted_for_it_is_noticed(car: Vehicle) -> None:
    class Busy(MemoryImages):
        async def add(self, *args: object, **others: object) -> ImageFile:
            key = decryption_key(PRIMARY).encryption_key
            await car.fleet.director.set_encryption_key(VIN, TCU, key)
            return await super().add(*args, **others)  # type: ignore[arg-type]

    encryption = ImageEncryption(hosted=lambda vin: Busy(), random_bytes=lambda size: bytes(size))
    car.fleet.restart_director(encryption=encryption)
    with pytest.raises(UptaneError, match="another encryption key"):
        release_encrypted(car.fleet)
    assert directed(car.fleet).images == {}
    wait(car.fleet.director.publish(VIN, car.fleet.now))
    assert dict(directed(car.fleet).images) == {}


def test_a_director_without_the_means_encrypts_nothing(car: Vehicle) -> None:
    car.fleet.restart_director(encryption=None)
    nothing_happens(car, ProvisioningError, TCU)


@pytest.mark.parametrize("name", ["pouf1", "pouf1-json"])
def test_a_format_that_carries_no_encrypted_images_refuses_them_before_anything_is_written(name: str) -> None:
    car = Vehicle(encrypting(Fleet(PROFILES[name])))
    make_known(car.fleet, TCU, decryption_key(TCU))
    nothing_happens(car, FormatError, TCU)


@pytest.mark.standard("STD-5.4.1-8")
def test_the_signing_key_of_an_ecu_is_not_taken_as_its_encryption_key(car: Vehicle) -> None:
    same = EncryptionKey.symmetric(car.tcu.device.signer.key.material)
    with pytest.raises(SpoofingError):
        wait(car.fleet.director.set_encryption_key(VIN, TCU, same))
    assert wait(car.fleet.director.ecu(TCU)).encryption_key == decryption_key(TCU).encryption_key
    with pytest.raises(UnknownEcuError):
        wait(car.fleet.director.set_encryption_key(VIN, EcuIdentifier("stranger"), same))


def test_reports_and_registration_leave_the_encryption_key_as_it_is(car: Vehicle) -> None:
    car.cycle()
    car.cycle()
    car.tcu.register()
    assert wait(car.fleet.director.ecu(TCU)).encryption_key == decryption_key(TCU).encryption_key


def test_another_ecus_new_image_of_that_name_does_not_make_an_ecus_encrypted_one_plain(car: Vehicle) -> None:
    release_encrypted(car.fleet)
    before = form_of(car.fleet)
    newer = car.fleet.add_image(PATH, FRESH)
    with pytest.raises(UptaneError, match="in plain"):
        wait(car.fleet.director.assign(VIN, BCU, newer))
    with pytest.raises(UptaneError, match="in plain"):
        wait(car.fleet.director.assign_encrypted(VIN, [BCU], newer, FRESH))
    assert form_of(car.fleet) == before
    wait(car.fleet.director.assign_encrypted(VIN, [TCU, BCU], newer, FRESH))
    assert form_of(car.fleet) != before


def test_the_same_image_for_another_ecu_leaves_the_encrypted_form_as_it_is(car: Vehicle) -> None:
    image = release_encrypted(car.fleet)
    before = form_of(car.fleet)
    car.fleet.direct(structs.replace(image, custom=custom()), BCU)
    assert form_of(car.fleet) == before
    assert assignment(car.fleet, BCU).encrypted is None


def test_many_images_are_encrypted_at_the_same_time(car: Vehicle) -> None:
    images = [(ecu, car.fleet.add_image(f"{ecu}.img", FIRMWARE + ecu.encode())) for ecu in (TCU, BCU)]

    async def together() -> None:
        director = car.fleet.director
        await asyncio.gather(
            *(director.assign_encrypted(VIN, [ecu], image, FIRMWARE + ecu.encode()) for ecu, image in images)
        )

    wait(together())
    for ecu, _ in images:
        assert read(form_of(car.fleet, ecu), hosted(car.fleet, ecu), decryption_key(ecu), ecu, f"{ecu}.img")


def test_a_secret_random_source_is_all_that_an_encryption_depends_on(car: Vehicle) -> None:
    image = Image(file=car.fleet.add_image(PATH, FIRMWARE).file)
    keys = {TCU: decryption_key(TCU, SYMMETRIC).encryption_key}
    made = [encrypt_image(VIN, image, FIRMWARE, keys, lambda size: b"\x07" * size) for _ in range(2)]
    assert made[0] == made[1] and made[0].forms[TCU].nonce == b"\x07" * 12
