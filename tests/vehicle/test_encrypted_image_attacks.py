"""What an ECU does with encrypted images that it cannot read, must not read, or that are not what they should be."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from encrypted import (
    BCU,
    FIRMWARE,
    decryption_key,
    encrypted_vehicle,
    form_of,
    host,
    hosted,
    make_known,
    pieces,
    redirect,
    release_encrypted,
)
from fleet import Vehicle
from links import Mirror, Pieces
from msgspec import structs
from signed import FACTORY, FRESH, PATH
from world import PRIMARY, TCU, VIN

from uptane.encryption import wrapping
from uptane.encryption.content import Encryption
from uptane.encryption.keys import EncryptionKey, EncryptionKeyType
from uptane.formats.profile import Profile
from uptane.metadata.attacks import Attack
from uptane.metadata.errors import (
    BadHashError,
    DecryptionError,
    EndlessDataError,
    LengthMismatchError,
    RepositoryMismatchError,
    SecurityError,
    UptaneError,
)
from uptane.metadata.identifiers import EcuIdentifier, ImagePath
from uptane.metadata.targets import WrappedKey
from uptane.vehicle.memory import DECRYPTION_KEY, VerificationKind

X25519, SYMMETRIC = EncryptionKeyType.X25519, EncryptionKeyType.SYMMETRIC
HEAD_UNIT = "head unit.img"


@pytest.fixture(params=[VerificationKind.FULL, VerificationKind.PARTIAL])
def verification(request: pytest.FixtureRequest) -> VerificationKind:
    """A Secondary with full and with partial verification."""
    return VerificationKind(request.param)


@contextmanager
def refused(car: Vehicle, expected: type[SecurityError], undo: Callable[[], object] = bool) -> Iterator[None]:
    """The block has the Director sign for something that the Secondary must not install.

    The Secondary refuses it, runs and trusts what it did, tells the attack in its next report, and then installs a
    genuine release.
    """
    yield
    car.primary.update_cycle()
    car.secondary.verify_metadata()
    slots = dict(getattr(car.tcu.device.slots, "_images", {}))

    def repair() -> None:
        assert getattr(car.tcu.device.slots, "_images", {}) == slots, "nothing of it was kept"
        undo()
        release_encrypted(car.fleet, FRESH)

    with car.secondary_refuses(expected, undo=repair) as errors:
        pass
    assert isinstance(errors[0], expected) and errors[0].attack is Attack.ARBITRARY_SOFTWARE
    assert car.running() == FRESH


def wrapped(secret: bytes, key: EncryptionKey, ecu: EcuIdentifier = TCU, path: str = PATH) -> WrappedKey:
    """A key wrapped as the Director does it."""
    return wrapping.wrap_key(secret, key, wrapping.wrapping_context(VIN, ecu, ImagePath(path)))


@pytest.mark.standard("STD-5.4.3.4-6", "STD-5.4.3.4-7")
@pytest.mark.parametrize("kind", EncryptionKeyType)
def test_an_ecu_with_another_key_installs_nothing(
    profile: Profile, kind: EncryptionKeyType, verification: VerificationKind
) -> None:
    car = encrypted_vehicle(profile, kind, verification=verification)
    make_known(car.fleet, TCU, decryption_key(BCU, kind))
    with refused(car, DecryptionError, undo=lambda: make_known(car.fleet, TCU, decryption_key(TCU, kind))):
        release_encrypted(car.fleet)


@pytest.mark.standard("STD-5.4.3.4-7")
def test_the_wrapped_key_of_another_ecu_is_refused(profile: Profile, verification: VerificationKind) -> None:
    car = encrypted_vehicle(profile, verification=verification)
    car.add_secondary(BCU, decryption_key=decryption_key(BCU))
    make_known(car.fleet, BCU, decryption_key(BCU))
    with refused(car, DecryptionError, undo=lambda: release_encrypted(car.fleet, FRESH, [TCU, BCU])):
        release_encrypted(car.fleet, ecus=[TCU, BCU])
        redirect(car.fleet, wrapped_key=form_of(car.fleet, BCU).wrapped_key)


@pytest.mark.standard("STD-5.4.3.4-7")
def test_a_key_that_was_wrapped_for_another_image_of_the_same_ecu_is_refused(profile: Profile) -> None:
    car = encrypted_vehicle(profile)
    release_encrypted(car.fleet, path="other.img")
    other = form_of(car.fleet).wrapped_key
    with refused(car, DecryptionError):
        release_encrypted(car.fleet)
        redirect(car.fleet, wrapped_key=other)


@pytest.mark.standard("STD-5.4.3.4-6", "STD-5.4.3.4-7")
@pytest.mark.parametrize("kind", EncryptionKeyType)
@pytest.mark.parametrize("at", [0, -1], ids=["the first byte", "the tag"])
def test_an_altered_encrypted_image_that_the_metadata_list_is_refused(
    profile: Profile, kind: EncryptionKeyType, at: int, verification: VerificationKind
) -> None:
    car = encrypted_vehicle(profile, kind, verification=verification)
    with refused(car, DecryptionError):
        release_encrypted(car.fleet)
        data = bytearray(hosted(car.fleet))
        data[at] ^= 1
        redirect(car.fleet, file=host(car.fleet, bytes(data)))


@pytest.mark.standard("STD-5.4.3.4-9", "STD-5.4.3.4-11")
def test_an_encrypted_image_that_hides_other_bytes_than_the_listed_ones_is_refused(
    profile: Profile, verification: VerificationKind
) -> None:
    car = encrypted_vehicle(profile, verification=verification)
    with refused(car, BadHashError):
        release_encrypted(car.fleet)
        secret, nonce = bytes(range(32)), bytes(12)
        running = Encryption(secret, nonce)
        evil = running.update(bytes(len(FIRMWARE))) + running.finish()
        key = wrapped(secret, decryption_key(TCU).encryption_key)
        redirect(car.fleet, file=host(car.fleet, evil), nonce=nonce, wrapped_key=key)


@pytest.mark.standard("STD-5.4.3.4-11")
@pytest.mark.parametrize("length", [0, 15, len(FIRMWARE), len(FIRMWARE) + 15, len(FIRMWARE) + 17])
def test_an_encrypted_image_of_a_length_that_the_image_cannot_have_is_refused(profile: Profile, length: int) -> None:
    car = encrypted_vehicle(profile)
    with refused(car, DecryptionError):
        release_encrypted(car.fleet)
        redirect(car.fleet, file=host(car.fleet, bytes(length)))


@pytest.mark.standard("STD-5.2.3.1.1-7")
def test_a_thief_of_the_directors_keys_does_not_fill_the_disk_of_a_primary(profile: Profile) -> None:
    """The length of an encrypted form is the Director's word alone; both repositories sign for that of the image."""
    car = encrypted_vehicle(profile)
    release_encrypted(car.fleet)
    redirect(car.fleet, file=host(car.fleet, bytes(len(FIRMWARE) + 5000)))
    with car.primary_refuses(EndlessDataError, undo=lambda: release_encrypted(car.fleet, FRESH)):
        pass


@pytest.mark.standard("STD-5.2.3.1.1-8")
@pytest.mark.parametrize("method", ["aes-128-gcm", "AES-256-GCM", "none", "plain"])
def test_an_unknown_encryption_is_refused(profile: Profile, method: str, verification: VerificationKind) -> None:
    car = encrypted_vehicle(profile, verification=verification)
    with refused(car, DecryptionError):
        release_encrypted(car.fleet)
        redirect(car.fleet, method=method)


@pytest.mark.standard("STD-5.2.3.1.1-8")
@pytest.mark.parametrize("method", ["rsa-oaep", "none", "hpke-x25519-hkdf-sha256-aes-128-gcm"])
def test_an_unknown_wrapping_is_refused(profile: Profile, method: str) -> None:
    car = encrypted_vehicle(profile)
    with refused(car, DecryptionError):
        release_encrypted(car.fleet)
        redirect(car.fleet, wrapped_key=structs.replace(form_of(car.fleet).wrapped_key, method=method))  # type: ignore[type-var]


@pytest.mark.parametrize("nonce", [b"", bytes(11), bytes(16), bytes(12)])
def test_another_nonce_is_refused(profile: Profile, nonce: bytes) -> None:
    car = encrypted_vehicle(profile)
    with refused(car, DecryptionError):
        release_encrypted(car.fleet)
        redirect(car.fleet, nonce=nonce)


@pytest.mark.standard("STD-5.4.3.4-8")
def test_no_image_is_decrypted_with_an_asymmetric_key_itself(profile: Profile, verification: VerificationKind) -> None:
    car = encrypted_vehicle(profile, verification=verification)
    with refused(car, DecryptionError):
        release_encrypted(car.fleet)
        running = Encryption(decryption_key(TCU).material, bytes(12))
        data = running.update(FIRMWARE) + running.finish()
        redirect(car.fleet, file=host(car.fleet, data), nonce=bytes(12), wrapped_key=None)


@pytest.mark.standard("STD-5.4.3.4-6")
def test_an_ecu_with_a_symmetric_key_takes_no_wrapped_key(profile: Profile) -> None:
    car = encrypted_vehicle(profile, SYMMETRIC)
    with refused(car, DecryptionError):
        release_encrypted(car.fleet)
        redirect(car.fleet, wrapped_key=wrapped(bytes(32), decryption_key(TCU).encryption_key))


def test_an_ecu_without_a_key_installs_nothing_that_is_encrypted(profile: Profile) -> None:
    car = encrypted_vehicle(profile)
    car.tcu.device.store.write({DECRYPTION_KEY: None})
    car.tcu.start()

    def provide() -> None:
        car.tcu.device.store.write({DECRYPTION_KEY: decryption_key(TCU).encode()})
        car.tcu.start()

    with refused(car, DecryptionError, undo=provide):
        release_encrypted(car.fleet)


@pytest.mark.standard("STD-5.4.3.4-7")
def test_a_primary_that_cannot_decrypt_its_own_image_installs_nothing_and_serves_its_secondaries(
    profile: Profile,
) -> None:
    car = encrypted_vehicle(profile)
    release_encrypted(car.fleet, ecus=[TCU])
    release_encrypted(car.fleet, ecus=[PRIMARY], path=HEAD_UNIT)
    redirect(car.fleet, PRIMARY, wrapped_key=form_of(car.fleet, TCU).wrapped_key)
    car.primary.verify_metadata()
    with car.primary_refuses(DecryptionError, undo=lambda: release_encrypted(car.fleet, FRESH, [PRIMARY], HEAD_UNIT)):
        assert car.device.running() == FACTORY
    assert car.device.running() == FRESH
    assert car.running() == FIRMWARE


@pytest.mark.parametrize(
    ("given", "error"),
    [
        (lambda car: (PATH, FIRMWARE), RepositoryMismatchError),
        (lambda car: (str(form_of(car.fleet).file.path), FIRMWARE), LengthMismatchError),
        (lambda car: (str(form_of(car.fleet).file.path), FIRMWARE + bytes(16)), BadHashError),
        (lambda car: (PATH, hosted(car.fleet)), RepositoryMismatchError),
    ],
    ids=["in plain", "in plain under the other name", "of the right length", "under the plain name"],
)
def test_a_primary_that_hands_over_the_image_in_plain_is_refused(
    profile: Profile,
    verification: VerificationKind,
    given: Callable[[Vehicle], tuple[str, bytes]],
    error: type[UptaneError],
) -> None:
    car = encrypted_vehicle(profile, verification=verification)
    release_encrypted(car.fleet)
    car.primary.update_cycle()
    car.secondary.verify_metadata()
    with car.secondary_refuses(error):
        car.link.swapped_image = given(car)
    assert car.running() == FIRMWARE


def test_an_ecu_that_asks_for_the_image_in_plain_gets_it_encrypted(profile: Profile) -> None:
    car = encrypted_vehicle(profile)
    car.add_secondary(BCU, decryption_key=decryption_key(BCU))
    release_encrypted(car.fleet)
    car.secondary.send_report(car.secondary.make_report("please send the image in plain, E-DECRYPT"))
    car.tcu.device.store.write({DECRYPTION_KEY: None})
    car.primary.update_cycle()
    assert "in plain" in car.fleet.reports(TCU)[0].attacks_detected
    assert car.link.image(TCU) == (form_of(car.fleet).file.path, hosted(car.fleet))
    assert car.primary.secondaries.get_image(BCU) is None


def test_a_mirror_that_lacks_the_encrypted_image_is_not_asked_for_the_plain_one(profile: Profile) -> None:
    car = encrypted_vehicle(profile)
    image = release_encrypted(car.fleet)
    car.links.alter_image(form_of(car.fleet).file.path, None)
    with pytest.raises(UptaneError, match="no mirror"):
        car.primary.update_cycle()
    assert not any(name.endswith(image.file.path) for name in car.links.names)
    assert car.running() == FACTORY


class Tap(Mirror):
    """A mirror on whose line somebody listens."""

    heard: bytearray

    @contextmanager
    def stream(self, name: str, limit: int, start: int = 0) -> Iterator[Pieces | None]:
        with super().stream(name, limit, start) as body:
            if body is not None:
                self.heard += b"".join(body)
        with super().stream(name, limit, start) as body:
            yield body


def listen(car: Vehicle) -> bytearray:
    """Everything that from now on passes between repositories, Primary and Secondaries."""
    heard = bytearray()
    for at, mirror in enumerate(car.links.mirrors):
        car.links.mirrors[at] = Tap(mirror.name, mirror.fleet, mirror.calls, mirror.names, mirror.down)
        car.links.mirrors[at].heard = heard  # type: ignore[attr-defined]
    fetch = car.links.fetch

    def fetched(*asked: object) -> bytes | None:
        raw = fetch(*asked)  # type: ignore[arg-type]
        heard.extend(raw or b"")
        return raw

    car.links.fetch = fetched  # type: ignore[method-assign, assignment]
    car.restart_primary()
    for each in car.secondaries:
        link, image, metadata = each.link, each.link.image, each.link.metadata

        def handed(ecu: EcuIdentifier, image: Callable[..., tuple[str, bytes] | None] = image) -> object:
            found = image(ecu)
            heard.extend(b"" if found is None else found[0].encode() + found[1])
            return found

        def described(ecu: EcuIdentifier, metadata: Callable[..., bytes] = metadata) -> bytes:
            heard.extend(found := metadata(ecu))
            return found

        link.image, link.metadata = handed, described  # type: ignore[method-assign, assignment]
    return heard


def test_th_01_whoever_listens_everywhere_reads_no_piece_of_an_encrypted_image(profile: Profile) -> None:
    car = encrypted_vehicle(profile)
    car.add_secondary(BCU, decryption_key=decryption_key(BCU))
    make_known(car.fleet, BCU, decryption_key(BCU))
    heard = listen(car)
    release_encrypted(car.fleet)
    release_encrypted(car.fleet, ecus=[BCU], path="bcu.img")
    car.cycle()
    assert [each.device.running() for each in car.secondaries] == [FIRMWARE, FIRMWARE]
    mine, other = hosted(car.fleet, TCU), hosted(car.fleet, BCU)
    assert heard.count(mine) == heard.count(other) == 2, "from the repository, and from the Primary"
    assert not pieces(FIRMWARE) & pieces(bytes(heard))
    stores = [*car.fleet.image_store._files.values(), *car.fleet.hosted._files.values()]
    assert not pieces(FIRMWARE) & pieces(b"".join(stores)), "nor can anybody download it"
    assert not pieces(mine) & pieces(other), "two ECUs get different bytes of the same image"
    for ecu in (TCU, BCU):
        for key in (decryption_key(PRIMARY), decryption_key(BCU if ecu == TCU else TCU)):
            form = form_of(car.fleet, ecu)
            assert form.wrapped_key is not None
            for name in (TCU, BCU, PRIMARY):
                context = wrapping.wrapping_context(VIN, name, ImagePath(PATH if ecu == TCU else "bcu.img"))
                with pytest.raises(DecryptionError):
                    wrapping.unwrap_key(form.wrapped_key, key, context)
