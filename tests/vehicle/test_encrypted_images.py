"""Encrypted images in a vehicle: who can read one, what is installed, and what is told of it."""

from collections.abc import Callable, Iterator

import pytest
from encrypted import (
    BCU,
    FIRMWARE,
    decryption_key,
    encrypted_vehicle,
    form_of,
    hosted,
    make_known,
    pieces,
    release_encrypted,
)
from fleet import Vehicle
from links import wait
from signed import EVIL, FACTORY, PATH
from world import PRIMARY, TCU, VIN

from uptane.encryption.keys import DecryptionKey, EncryptionKeyType
from uptane.formats.profile import Profile
from uptane.metadata.digests import Digests
from uptane.metadata.errors import (
    BadHashError,
    DecryptionError,
    LengthMismatchError,
    ProvisioningError,
    SpoofingError,
    UptaneError,
)
from uptane.metadata.identifiers import ImagePath
from uptane.metadata.targets import Image, ImageFile
from uptane.metadata.version_report import EcuVersionReport
from uptane.vehicle.decryption import delivered, in_plain
from uptane.vehicle.installation import Installer
from uptane.vehicle.memory import DECRYPTION_KEY, EcuMemory, VerificationKind
from uptane.vehicle.secondary import Outcome

X25519, SYMMETRIC = EncryptionKeyType.X25519, EncryptionKeyType.SYMMETRIC
HEAD_UNIT = "head unit.img"


@pytest.fixture(params=VerificationKind)
def verification(request: pytest.FixtureRequest) -> VerificationKind:
    """Every kind of Secondary in turn."""
    return VerificationKind(request.param)


@pytest.fixture(params=EncryptionKeyType)
def key_type(request: pytest.FixtureRequest) -> EncryptionKeyType:
    """Each kind of key in turn."""
    return EncryptionKeyType(request.param)


def stored(car: Vehicle) -> bytes:
    """Everything that lies in the slots of the Primary."""
    return b"".join(getattr(car.device.slots, "_images", {}).values())


def told(car: Vehicle) -> EcuVersionReport:
    """The newest report of the Secondary that the Director has."""
    raw = car.fleet.reports(TCU)[0].report
    return car.fleet.profile.format.decode(EcuVersionReport, raw).payload


def installs_and_reports_in_plain(car: Vehicle) -> None:
    image = release_encrypted(car.fleet)
    car.primary.update_cycle()
    name, data = car.link.image(TCU) or ("", b"")
    assert (name, data) == (form_of(car.fleet).file.path, hosted(car.fleet))
    assert not pieces(FIRMWARE) & pieces(stored(car)), "the Primary holds what it cannot read"
    assert car.secondary.update_cycle().outcome is Outcome.UPDATED
    assert car.running() == FIRMWARE
    car.primary.update_cycle()
    assert (told(car).installed, told(car).attacks_detected) == (image.file, "")
    assert car.secondary.update_cycle().outcome is Outcome.NO_UPDATE_NEEDED


@pytest.mark.standard("STD-5.2.3.1.1-7", "STD-5.2.3.1.1-8", "STD-5.4.3.4-7", "STD-5.4.3.4-9", "STD-5.4.3.4-11")
def test_a_secondary_unwraps_the_key_decrypts_installs_and_reports_the_image_in_plain(
    profile: Profile, verification: VerificationKind
) -> None:
    installs_and_reports_in_plain(encrypted_vehicle(profile, X25519, verification=verification))


@pytest.mark.standard("STD-5.4.3.4-6", "STD-5.4.3.4-9", "STD-5.4.3.4-11")
def test_a_secondary_with_a_symmetric_key_decrypts_with_it(profile: Profile, verification: VerificationKind) -> None:
    car = encrypted_vehicle(profile, SYMMETRIC, verification=verification)
    release_encrypted(car.fleet)
    assert form_of(car.fleet).wrapped_key is None
    installs_and_reports_in_plain(car)


@pytest.mark.standard("STD-5.4.3.4-6", "STD-5.4.3.4-7", "STD-5.4.3.4-9")
def test_a_primary_decrypts_its_own_image(profile: Profile, key_type: EncryptionKeyType) -> None:
    car = encrypted_vehicle(profile, key_type)
    image = release_encrypted(car.fleet, ecus=[PRIMARY], path=HEAD_UNIT)
    result = car.primary.update_cycle()
    assert result.installed == image.file
    assert [file.path for file in result.fetched] == [form_of(car.fleet, PRIMARY).file.path]
    assert car.device.running() == FIRMWARE
    assert car.primary.update_cycle().installed is None
    report = car.fleet.profile.format.decode(EcuVersionReport, car.fleet.reports(PRIMARY)[0].report).payload
    assert report.installed == image.file


@pytest.mark.standard("STD-5.2.3.1.1-7")
@pytest.mark.parametrize(
    ("altered", "error"),
    [
        (lambda data: bytes([data[0] ^ 1]) + data[1:], BadHashError),
        (lambda data: data[:-1], LengthMismatchError),
        (lambda data: EVIL, LengthMismatchError),
    ],
)
def test_a_primary_refuses_an_encrypted_image_that_is_not_the_listed_one(
    profile: Profile, altered: Callable[[bytes], bytes], error: type[UptaneError]
) -> None:
    car = encrypted_vehicle(profile)
    release_encrypted(car.fleet)
    car.primary.verify_metadata()
    with car.primary_refuses(error):
        car.links.alter_image(form_of(car.fleet).file.path, altered(hosted(car.fleet)))
        assert car.link.image(TCU) is None
    assert car.running() == FIRMWARE


@pytest.mark.standard("STD-5.4.3.4-9")
@pytest.mark.parametrize("flipped", ["sha256", "sha384", "sha512"])
@pytest.mark.parametrize("encrypted", [False, True], ids=["in plain", "encrypted"])
def test_each_listed_hash_must_be_that_of_the_image_in_plain(profile: Profile, flipped: str, encrypted: bool) -> None:
    car = encrypted_vehicle(profile)
    release_encrypted(car.fleet)
    image = car.secondary.verify_metadata() if car.primary.update_cycle() else None
    assert image is not None
    hashes = dict(Digests.of(FIRMWARE, ("sha256", "sha384", "sha512")))
    data = hosted(car.fleet) if encrypted else FIRMWARE
    custom = image.custom if encrypted else Image(file=image.file).custom
    path = ImagePath(PATH)
    memory, slots = car.secondary.memory, car.tcu.device.slots
    installer = Installer(memory, slots)
    for right in (True, False):
        if not right:
            hashes[flipped] = bytes([hashes[flipped][0] ^ 1]) + hashes[flipped][1:]
        file = ImageFile(path=path, length=len(FIRMWARE), digests=Digests(tuple(hashes.items())))
        expected = Image(file=file, custom=custom)
        if right:
            installer.write(expected, in_plain(memory, expected, [data]))
        else:
            with pytest.raises(BadHashError, match=flipped):
                installer.write(expected, in_plain(memory, expected, [data]))
        assert installer.is_written(expected) == right


def test_a_large_image_is_decrypted_piece_by_piece(profile: Profile, key_type: EncryptionKeyType) -> None:
    car = encrypted_vehicle(profile, key_type)
    release_encrypted(car.fleet)
    car.primary.update_cycle()
    image = car.secondary.verify_metadata()
    assert image is not None
    taken: list[int] = []

    def source(data: bytes) -> Iterator[bytes]:
        for at in range(0, len(data), 100):
            taken.append(at)
            yield data[at : at + 100]

    plain = in_plain(car.secondary.memory, image, source(hosted(car.fleet)))
    assert taken == []
    assert len(next(plain)) == 84 and taken == [0], "the last 16 bytes may be the tag"
    assert len(next(plain)) == 100 and taken == [0, 100]


@pytest.mark.parametrize("verification", [VerificationKind.FULL, VerificationKind.PARTIAL])
def test_an_encrypted_image_waits_in_plain_on_its_own_ecu_and_is_verified_again_before_it_runs(
    profile: Profile, verification: VerificationKind
) -> None:
    car = encrypted_vehicle(profile, verification=verification)
    car.tcu.device.may_install = False
    image = release_encrypted(car.fleet)
    car.primary.update_cycle()
    assert car.secondary.update_cycle().outcome is Outcome.DEFERRED
    slots = getattr(car.tcu.device.slots, "_images", {})
    (spare,) = [name for name, data in slots.items() if data == FIRMWARE]
    slots[spare] = FIRMWARE[:-1] + b"!"
    car.tcu.device.may_install = True
    with pytest.raises(BadHashError):
        car.secondary.update_cycle()
    assert car.running() == FACTORY
    assert car.secondary.update_cycle().outcome is Outcome.UPDATED
    assert car.secondary.memory.state.installed == image.file and car.running() == FIRMWARE


def test_a_decryption_that_the_power_cuts_is_done_again(profile: Profile) -> None:
    car = encrypted_vehicle(profile)
    release_encrypted(car.fleet)
    car.primary.update_cycle()
    name, data = car.link.image(TCU) or ("", b"")
    car.link.swapped_image = name, data[: len(data) // 2]
    with pytest.raises(LengthMismatchError):
        car.secondary.update_cycle()
    car.tcu.start()
    assert car.running() == FACTORY
    car.link.restore()
    assert car.secondary.update_cycle().outcome is Outcome.UPDATED
    assert car.running() == FIRMWARE


def test_an_ecu_whose_primary_keeps_a_copy_of_its_image_is_not_made_with_a_decryption_key(profile: Profile) -> None:
    car = encrypted_vehicle(profile)
    with pytest.raises(ProvisioningError, match="copy in plain"):
        car.add_secondary(BCU, decryption_key=decryption_key(BCU), storage_limited=True)


def test_an_ecu_with_room_for_one_image_overwrites_nothing_for_an_encrypted_one(profile: Profile) -> None:
    car = encrypted_vehicle(profile)
    car.add_secondary(BCU, storage_limited=True)
    car.cycle()
    make_known(car.fleet, BCU, decryption_key(BCU))
    release_encrypted(car.fleet, ecus=[BCU])
    car.primary.update_cycle()
    before = dict(getattr(car.secondaries[1].device.slots, "_images", {}))
    with pytest.raises(DecryptionError, match="no key"):
        car.secondaries[1].secondary.update_cycle()
    assert getattr(car.secondaries[1].device.slots, "_images", {}) == before
    assert car.secondaries[1].device.running() == FACTORY


def test_after_a_restart_an_ecu_decrypts_as_before(profile: Profile, key_type: EncryptionKeyType) -> None:
    car = encrypted_vehicle(profile, key_type)
    release_encrypted(car.fleet)
    car.primary.update_cycle()
    car.restart_primary()
    car.tcu.start()
    assert car.secondary.update_cycle().outcome is Outcome.UPDATED
    assert car.running() == FIRMWARE


@pytest.mark.standard("STD-5.4.1-9")
def test_ecus_that_share_a_key_share_one_encrypted_image(profile: Profile) -> None:
    car = encrypted_vehicle(profile, SYMMETRIC)
    car.add_secondary(BCU, decryption_key=decryption_key(TCU, SYMMETRIC))
    make_known(car.fleet, BCU, decryption_key(TCU, SYMMETRIC))
    release_encrypted(car.fleet, ecus=[TCU, BCU])
    assert form_of(car.fleet) == form_of(car.fleet, BCU)
    car.cycle()
    assert [each.device.running() for each in car.secondaries] == [FIRMWARE, FIRMWARE]


def test_an_image_that_is_encrypted_once_for_all_has_its_key_wrapped_for_each(profile: Profile) -> None:
    car = encrypted_vehicle(profile)
    car.add_secondary(BCU, decryption_key=decryption_key(BCU))
    make_known(car.fleet, BCU, decryption_key(BCU))
    release_encrypted(car.fleet, ecus=[TCU, BCU, PRIMARY])
    forms = [form_of(car.fleet, ecu) for ecu in (TCU, BCU, PRIMARY)]
    assert len({form.file for form in forms}) == 1 and len({form.wrapped_key for form in forms}) == 3
    car.cycle()
    assert [each.device.running() for each in car.secondaries] == [FIRMWARE, FIRMWARE]
    assert car.device.running() == FIRMWARE
    names = {name for name in car.links.names if "encrypted/" in name}
    assert len(names) == 1


@pytest.mark.standard("STD-5.4.1-8")
def test_an_ecu_that_would_decrypt_with_its_signing_key_does_not_start(profile: Profile) -> None:
    car = encrypted_vehicle(profile)
    same = DecryptionKey.symmetric(car.tcu.device.signer.key.material)
    car.tcu.device.store.write({DECRYPTION_KEY: same.encode()})
    with pytest.raises(SpoofingError):
        car.tcu.start()
    car.device.store.write({DECRYPTION_KEY: DecryptionKey.symmetric(car.device.signer.key.material).encode()})
    with pytest.raises(SpoofingError):
        car.restart_primary()


@pytest.mark.parametrize("key_type", EncryptionKeyType)
def test_the_secret_is_in_no_line_report_or_text(profile: Profile, key_type: EncryptionKeyType) -> None:
    car = encrypted_vehicle(profile, key_type)
    secrets = [decryption_key(ecu, key_type).material for ecu in (TCU, PRIMARY)]
    release_encrypted(car.fleet)
    car.primary.update_cycle()
    car.tcu.device.store.write({DECRYPTION_KEY: decryption_key(BCU, key_type).encode()})
    car.tcu.start()
    with pytest.raises(DecryptionError) as refusal:
        car.secondary.update_cycle()
    car.primary.update_cycle()
    memory = EcuMemory(car.tcu.device.store, profile)
    records = [wait(car.fleet.director.ecu(ecu)) for ecu in (TCU, PRIMARY)]
    provisioned = car.fleet.provisioning(VIN, TCU, 1)
    texts = [*car.said, repr(refusal.value), str(refusal.value), repr(refusal.value.facts), repr(memory), repr(records)]
    texts += [repr(provisioned), repr(vars(memory)), repr(memory.state)]
    sent = [*car.links.manifests, *(report.report for report in car.fleet.reports(TCU)), car.link.metadata(TCU)]
    sent += [*car.fleet.published(VIN).values()]
    for secret in [*secrets, decryption_key(BCU, key_type).material]:
        for text in texts:
            assert secret.hex() not in text and secret.decode() not in text
        for raw in sent:
            assert secret not in raw and secret.hex().encode() not in raw


def test_amb_15_both_repositories_describe_the_image_in_plain_and_only_the_director_its_encrypted_form(
    profile: Profile,
) -> None:
    car = encrypted_vehicle(profile)
    image = release_encrypted(car.fleet)
    assert car.fleet.targets().images[image.file.path].file == image.file
    form = form_of(car.fleet)
    for raw in car.fleet.published().values():
        assert form.file.path.encode() not in raw and b"aes-256-gcm" not in raw
    car.primary.update_cycle()
    directed = car.primary.verify_metadata().images[TCU]
    assert directed.file == image.file and delivered(directed, TCU).file == form.file
    assert delivered(directed, BCU).file == image.file


def test_amb_15_an_image_that_is_encrypted_once_on_the_image_repository_is_an_ordinary_image(profile: Profile) -> None:
    car = encrypted_vehicle(profile)
    release_encrypted(car.fleet)
    data = hosted(car.fleet)
    car.fleet.release(PATH, data)
    car.cycle()
    assert car.running() == data


def test_an_ecu_without_an_encrypted_form_gets_the_same_image_in_plain(profile: Profile) -> None:
    car = encrypted_vehicle(profile)
    car.add_secondary(BCU)
    image = release_encrypted(car.fleet)
    wait(car.fleet.images.store_image(image.file.path, FIRMWARE))
    car.fleet.direct(image, BCU)
    car.cycle()
    assert [each.device.running() for each in car.secondaries] == [FIRMWARE, FIRMWARE]
    assert form_of(car.fleet).file.path != image.file.path
