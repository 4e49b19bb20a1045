"""The attacks on the Image repository's published folder, each with its undo."""

import asyncio
import shutil
from dataclasses import replace
from pathlib import Path

from uptane.demonstration import intruder
from uptane.demonstration.console import command
from uptane.demonstration.desk import now
from uptane.demonstration.settings import Settings
from uptane.metadata.digests import Digests
from uptane.metadata.errors import UptaneError
from uptane.metadata.identifiers import ImagePath, RoleName
from uptane.metadata.root import Role
from uptane.metadata.targets import Image, ImageFile
from uptane.signing.publish import Draft, Lifetimes, Publisher, load_published
from uptane.signing.sign import sign
from uptane.signing.signer import KeySigner
from uptane.storage.folders import ImageFolder, PublishedFolder

EVIL = "evil content"


class ImageRepositoryAttacks:
    """What an intruder does to the Image repository, without keys or with those of a supplier."""

    settings: Settings
    _signers: dict[Role, KeySigner]
    _supplier_keys: dict[RoleName, KeySigner]

    def _targets(self) -> Path:
        return self.settings.image_repository / "targets"

    def _director_targets(self) -> list[Path]:
        return sorted(self.settings.director.glob("*/targets"))

    @command
    def mitm_arbitrary_package_attack(self, target_filepath: str) -> None:
        """3.2: alters the image on the Image repository, without any key, and removes it from the Director."""
        image = ImagePath(target_filepath)
        here, there = self._targets(), self._director_targets()
        intruder.check_attackable(image, here)
        intruder.overwrite(here, image, intruder.EVIL_IMAGES)
        for folder in there:
            intruder.hide(folder, image)

    @command
    def undo_mitm_arbitrary_package_attack(self, target_filepath: str) -> None:
        """Undoes it."""
        image = ImagePath(target_filepath)
        folders = [self._targets(), *self._director_targets()]
        intruder.check_attacked(image, *folders)
        for folder in folders:
            intruder.restore(folder, image)

    @command
    def sign_with_stolen_supplier_key_attack(self, role: str, target_filepath: str) -> None:
        """Signs an evil image with the first key of a delegated role, also when that key has been revoked.

        The repository's online keys sign the Snapshot that lists it, as if the thief had forced them to.
        """
        name, path = RoleName(role), ImagePath(target_filepath)
        if name not in self._supplier_keys:
            raise UptaneError(f"there is no role {role} whose key could be stolen", next_step="Delegate to it first.")
        backup = self._backup()
        if backup.exists():
            raise UptaneError("the stolen key was used before", next_step="Undo that attack first.")
        shutil.copytree(self.settings.image_repository / "metadata", backup)
        try:
            asyncio.run(self._sign_as_supplier(name, path))
        except BaseException:
            shutil.rmtree(backup)
            raise

    def _backup(self) -> Path:
        return self.settings.image_repository / "metadata.backup"

    async def _sign_as_supplier(self, name: RoleName, path: ImagePath) -> None:
        profile, folder = self.settings.profile, self.settings.image_repository
        store, data = PublishedFolder(folder / "metadata"), EVIL.encode()
        before = await load_published(store, profile)
        if before is None or name not in before.targets:
            raise UptaneError(f"role {name} has published nothing yet", next_step="Publish first: di.write_to_live().")
        await ImageFolder(folder / "targets").add(path, data)
        file = ImageFile(path=path, length=len(data), digests=Digests.of(data, ("sha256", "sha512")))
        last = before.targets[name].payload
        evil = replace(
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
        backup, metadata = self._backup(), self.settings.image_repository / "metadata"
        if not backup.exists():
            raise UptaneError("no stolen supplier key was used", next_step="There is nothing to undo.")
        metadata.rename(metadata.with_name("metadata.attacked"))
        backup.rename(metadata)
        shutil.rmtree(metadata.with_name("metadata.attacked"))
