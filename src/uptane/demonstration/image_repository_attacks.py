"""The attacks on the Image repository's published files, each with its undo."""

import asyncio

from msgspec import structs

from uptane.demonstration import intruder
from uptane.demonstration.console import command
from uptane.demonstration.desk import now
from uptane.demonstration.published import (
    PublishedFiles,
    StolenStore,
    add_image,
    back_up,
    forget_backup,
    is_backed_up,
    put_back,
)
from uptane.demonstration.settings import Settings
from uptane.demonstration.stack import Stack
from uptane.metadata.errors import UptaneError
from uptane.metadata.identifiers import ImagePath, RoleName
from uptane.metadata.root import Role
from uptane.metadata.targets import Image
from uptane.signing.publish import Draft, Lifetimes, Publisher, load_published
from uptane.signing.sign import sign
from uptane.signing.signer import KeySigner
from uptane.storage.folders import described

EVIL = "evil content"


class ImageRepositoryAttacks:
    """What an intruder does to the Image repository, without keys or with those of a supplier."""

    settings: Settings
    stack: Stack
    _signers: dict[Role, KeySigner]
    _supplier_keys: dict[RoleName, KeySigner]

    def _directed(self) -> list[PublishedFiles]:
        return [self.stack.director(vehicle) for vehicle in self.stack.vehicles()]

    @command
    def mitm_arbitrary_package_attack(self, target_filepath: str) -> None:
        """3.2: alters the image on the Image repository, without any key, and removes it from the Director."""
        image = ImagePath(target_filepath)
        here, there = self.stack.image_repository(), self._directed()
        intruder.check_attackable(image, here)
        intruder.overwrite(here, image, intruder.EVIL_IMAGES)
        for files in there:
            intruder.hide(files, image)

    @command
    def undo_mitm_arbitrary_package_attack(self, target_filepath: str) -> None:
        """Undoes it."""
        image = ImagePath(target_filepath)
        places = [self.stack.image_repository(), *self._directed()]
        intruder.check_attacked(image, *places)
        for files in places:
            intruder.restore(files, image)

    @command
    def sign_with_stolen_supplier_key_attack(self, role: str, target_filepath: str) -> None:
        """Signs an evil image with the first key of a delegated role, also when that key has been revoked.

        The repository's online keys sign the Snapshot that lists it, as if the thief had forced them to.
        """
        name, path = RoleName(role), ImagePath(target_filepath)
        if name not in self._supplier_keys:
            raise UptaneError(f"there is no role {role} whose key could be stolen", next_step="Delegate to it first.")
        files = self.stack.image_repository()
        if is_backed_up(files):
            raise UptaneError("the stolen key was used before", next_step="Undo that attack first.")
        back_up(files)
        try:
            asyncio.run(self._sign_as_supplier(files, name, path))
        except BaseException:
            forget_backup(files)
            raise

    async def _sign_as_supplier(self, files: PublishedFiles, name: RoleName, path: ImagePath) -> None:
        profile, store, data = self.settings.profile, StolenStore(files), EVIL.encode()
        before = await load_published(store, profile)
        if before is None or name not in before.targets:
            raise UptaneError(f"role {name} has published nothing yet", next_step="Publish first: di.write_to_live().")
        file = described(path, data)
        add_image(files, file, data)
        last = before.targets[name].payload
        evil = structs.replace(
            last,
            version=last.version + 1,
            expires=now().replace(microsecond=0) + Lifetimes().targets,
            images=dict(last.images) | {path: Image(file=file)},
        )
        signed = sign(profile, evil, [self._supplier_keys[name]])
        keyring = {signer.key.key_id: signer for signer in self._signers.values()}
        publisher = Publisher(store=store, profile=profile, keyring=keyring)
        await publisher.publish(before, Draft(signed={name: signed}), now())

    @command
    def undo_sign_with_stolen_supplier_key_attack(self) -> None:
        """Puts the metadata back that was there before the attack."""
        files = self.stack.image_repository()
        if not is_backed_up(files):
            raise UptaneError("no stolen supplier key was used", next_step="There is nothing to undo.")
        put_back(files)
