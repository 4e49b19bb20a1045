"""A whole vehicle under RSA and ECDSA keys, thresholds of two of three, and delegations two levels deep."""

import pytest
from fleet import Fleet, Vehicle
from links import wait
from msgspec import structs
from signed import EVIL, FRESH
from world import IMAGES, delegation, image, new_signer

from uptane.formats.profile import Profile
from uptane.metadata.errors import BadSignatureError, RepositoryMismatchError
from uptane.metadata.identifiers import ImagePath, RoleName
from uptane.metadata.keys import KeyType
from uptane.metadata.root import Role, Root
from uptane.metadata.targets import Image, Targets
from uptane.signing.publish import Draft, Publisher, load_published
from uptane.signing.sign import sign
from uptane.signing.signer import KeySigner
from uptane.storage.memory import MemoryPublished

OEM, SUPPLIER = RoleName("chassis"), RoleName("brakes")
PATH = ImagePath("chassis/brakes/abs.img")


class SignedBySuppliers:
    """A fleet whose Image repository delegates to a role that delegates to another, each with three keys."""

    def __init__(self, profile: Profile, kind: KeyType) -> None:
        self.fleet = Fleet(profile, kind, keys=3, threshold=2)
        self.keys: dict[RoleName, list[KeySigner]] = {
            name: [new_signer(kind) for _ in range(3)] for name in (OEM, SUPPLIER)
        }
        images = self.fleet.images
        for signers in self.keys.values():
            images.add_signers(signers)
        for delegator, name, pattern in (
            (RoleName("targets"), OEM, "chassis/*/*"),
            (OEM, SUPPLIER, "chassis/brakes/*"),
        ):
            signers = self.keys[name]
            granted = delegation(name, signers, paths=(pattern,), threshold=2)
            wait(images.delegate(granted, [signer.key for signer in signers], delegator=delegator))
        self.image = self.release(FRESH)
        self.car = Vehicle(self.fleet)

    def release(self, content: bytes) -> Image:
        """The supplier signs an image."""
        added = wait(self.fleet.images.add_image(PATH, content, role=SUPPLIER))
        wait(self.fleet.images.publish(self.fleet.now))
        return added


@pytest.mark.parametrize("kind", [KeyType.RSA, KeyType.ECDSA, KeyType.ED25519])
@pytest.mark.standard("STD-5.4.4.7-1")
@pytest.mark.standard("STD-5.4.4.7-9")
@pytest.mark.standard("STD-5.2.3.2-11")
@pytest.mark.standard("STD-5.4.2.6-2")
def test_an_image_of_a_suppliers_supplier_reaches_the_ecu_under_thresholds_of_two_of_three(
    profile: Profile, kind: KeyType
) -> None:
    made = SignedBySuppliers(profile, kind)
    car, fleet = made.car, made.fleet
    fleet.direct(made.image)
    car.cycle()
    assert car.running() == FRESH
    fleet.rotate_director(*Role)
    fleet.rotate_images(*Role)
    newer = made.release(FRESH + b" 2")
    fleet.direct(newer)
    car.cycle()
    assert car.running() == FRESH + b" 2"
    root = profile.format.decode(Root, fleet.file(IMAGES, Role.ROOT)).payload
    assert {(len(keys.key_ids), keys.threshold) for keys in root.roles.values()} == {(3, 2)}


def offer(made: SignedBySuppliers, forged: Targets, thieves: list[KeySigner]) -> None:
    """A thief of the online keys, and of some of the supplier's, shows the vehicle a repository with this in it."""
    fleet, profile = made.fleet, made.fleet.profile
    genuine, shown = fleet.published(), MemoryPublished()
    wait(shown.publish([], genuine))
    keyring = {signer.key.key_id: signer for signers in fleet.image_keys.values() for signer in signers}
    publisher = Publisher(store=shown, profile=profile, keyring=keyring)
    draft = Draft(signed={SUPPLIER: sign(profile, forged, thieves)})
    wait(publisher.publish(wait(load_published(shown, profile)), draft, fleet.now))
    for name, raw in shown._files.items():
        if genuine.get(name) != raw:
            made.car.links.altered[IMAGES, name] = raw


@pytest.mark.parametrize("kind", [KeyType.RSA, KeyType.ECDSA])
@pytest.mark.standard("STD-5.4.4.6-4")
def test_one_stolen_key_of_a_supplier_is_not_enough(profile: Profile, kind: KeyType) -> None:
    made = SignedBySuppliers(profile, kind)
    fleet = made.fleet
    fleet.direct(made.image)
    made.car.cycle()
    evil = image(PATH, EVIL)
    old = profile.format.decode(Targets, fleet.file(IMAGES, SUPPLIER)).payload
    forged = structs.replace(old, version=old.version + 1, images={evil.file.path: evil})
    with made.car.primary_refuses(BadSignatureError, undo=lambda: fleet.direct(made.release(FRESH))) as errors:
        offer(made, forged, made.keys[SUPPLIER][:1])
        fleet.direct(evil)
    assert errors[0].facts["offered"] == 1
    assert made.car.running() == FRESH


@pytest.mark.standard("STD-5.4.4.7-7")
def test_a_supplier_whose_keys_are_stolen_signs_for_its_own_images_only(profile: Profile) -> None:
    made = SignedBySuppliers(profile, KeyType.ED25519)
    fleet = made.fleet
    fleet.direct(made.image)
    made.car.cycle()
    evil = image("engine/firmware.img", EVIL)
    old = profile.format.decode(Targets, fleet.file(IMAGES, SUPPLIER)).payload
    forged = structs.replace(old, version=old.version + 1, images={evil.file.path: evil})
    with made.car.primary_refuses(RepositoryMismatchError, undo=lambda: fleet.direct(made.release(FRESH))):
        offer(made, forged, made.keys[SUPPLIER])
        fleet.direct(evil)
    assert made.car.running() == FRESH


@pytest.mark.standard("STD-5.2.2-4")
def test_a_suppliers_stolen_keys_are_worth_nothing_once_they_are_revoked(profile: Profile) -> None:
    made = SignedBySuppliers(profile, KeyType.ED25519)
    fleet, stolen = made.fleet, made.keys[SUPPLIER]
    fleet.direct(made.release(EVIL))
    made.car.cycle()
    assert made.car.running() == EVIL
    made.keys[SUPPLIER] = [new_signer() for _ in range(3)]
    fleet.images.add_signers(made.keys[SUPPLIER])
    new = {signer.key.key_id: signer.key for signer in made.keys[SUPPLIER]}
    wait(fleet.images.replace_role_keys(SUPPLIER, new, delegator=OEM))
    wait(fleet.images.publish(fleet.now))
    with made.car.primary_refuses(RepositoryMismatchError, undo=lambda: fleet.direct(made.release(FRESH))):
        pass
    made.car.cycle()
    assert made.car.running() == FRESH
    old = profile.format.decode(Targets, fleet.file(IMAGES, SUPPLIER)).payload
    forged = structs.replace(old, version=old.version + 1, images={PATH: image(PATH, EVIL)})
    with made.car.primary_refuses(BadSignatureError, undo=lambda: fleet.direct(made.release(FRESH))):
        offer(made, forged, stolen)
        fleet.direct(image(PATH, EVIL))
