"""The attacks on what the Director publishes, each with its undo."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import replace

from msgspec import structs

from uptane.demonstration import intruder
from uptane.demonstration.console import command
from uptane.demonstration.desk import now
from uptane.demonstration.published import METADATA, PublishedFiles, StolenStore, back_up, is_backed_up, put_back
from uptane.demonstration.settings import Settings
from uptane.demonstration.stack import Stack
from uptane.metadata.errors import UptaneError
from uptane.metadata.identifiers import ImagePath, VehicleIdentifier
from uptane.metadata.root import Role
from uptane.signing.publish import Draft, Publisher, load_published
from uptane.signing.signer import KeySigner


class DirectorAttacks:
    """What an intruder does to the files of a vehicle, without keys or with revoked ones."""

    settings: Settings
    stack: Stack
    _stolen: Mapping[Role, KeySigner] = {}

    def _files(self, vin: str) -> PublishedFiles:
        return self.stack.director(VehicleIdentifier(vin))

    def _vins(self, vin: str | None) -> Sequence[str]:
        return [vin] if vin is not None else self.stack.vehicles()

    @command
    def mitm_arbitrary_package_attack(self, vin: str, target_filepath: str) -> None:
        """3.1: alters the image that the Director hosts, without any key, and removes it from the Image repository."""
        image, here, there = ImagePath(target_filepath), self._files(vin), self.stack.image_repository()
        intruder.check_attackable(image, here, there)
        intruder.hide(there, image)
        intruder.overwrite(here, image, intruder.EVIL_DIRECTOR)

    @command
    def undo_mitm_arbitrary_package_attack(self, vin: str, target_filepath: str) -> None:
        """Undoes it."""
        image, here, there = ImagePath(target_filepath), self._files(vin), self.stack.image_repository()
        intruder.check_attacked(image, here, there)
        intruder.restore(here, image)
        intruder.restore(there, image)

    def _timestamp(self) -> tuple[str, str, str]:
        name = self.settings.profile.metadata_name(Role.TIMESTAMP)
        return METADATA + name, f"backup_{name}", f"current_{name}"

    @command
    def backup_timestamp(self, vin: str) -> None:
        """3.3: copies the present Timestamp, to be replayed later."""
        self._copy_timestamp(vin)

    def _copy_timestamp(self, vin: str) -> None:
        files, (live, backup, _) = self._files(vin), self._timestamp()
        files.change({backup: files.read(live)})

    @command
    def replay_timestamp(self, vin: str) -> None:
        """3.3: puts the copied, by now old, Timestamp in place of the present one."""
        self._replay(vin)

    def _replay(self, vin: str) -> None:
        files, (live, backup, current) = self._files(vin), self._timestamp()
        old = files.read(backup)
        if old is None:
            raise UptaneError(
                "there is no copy of a Timestamp to replay", next_step="Run dd.backup_timestamp(vin) first."
            )
        if files.read(current) is None:
            files.change({current: files.read(live)})
        files.change({live: old})

    @command
    def restore_timestamp(self, vin: str) -> None:
        """Puts the present Timestamp back."""
        self._restore(vin)

    def _restore(self, vin: str) -> None:
        files, (live, backup, current) = self._files(vin), self._timestamp()
        newest = files.read(current)
        if newest is None:
            raise UptaneError("no Timestamp is being replayed", next_step="There is nothing to restore.")
        files.change({live: newest, current: None, backup: None})

    @command
    def prepare_replay_attack_nokeys(self, vin: str) -> None:
        """3.3 in one step: copies the Timestamp and publishes a newer one."""
        self._copy_timestamp(vin)
        self._publish(vin)

    @command
    def replay_attack_nokeys(self, vin: str) -> None:
        """3.3: replays the copied Timestamp."""
        self._replay(vin)

    @command
    def undo_replay_attack_nokeys(self, vin: str) -> None:
        """Undoes it."""
        self._restore(vin)

    def _publish(self, vin: str | None) -> None:
        raise UptaneError("this console cannot publish")

    @command
    def backup_repositories(self, vin: str | None = None) -> None:
        """Copies the published metadata of one vehicle or of all."""
        for name in self._vins(vin):
            self._backup(name)

    def _backup(self, vin: str) -> None:
        files = self._files(vin)
        if is_backed_up(files):
            raise UptaneError(
                f"there is a backup of vehicle {vin} already", next_step="Undo the attack, or restore it, first."
            )
        back_up(files)

    @command
    def restore_repositories(self, vin: str | None = None) -> None:
        """Puts copied metadata back."""
        for name in self._vins(vin):
            self._put_back(name)

    def _put_back(self, vin: str) -> None:
        files = self._files(vin)
        if not is_backed_up(files):
            raise UptaneError(f"there is no backup of vehicle {vin}", next_step="There is nothing to restore.")
        put_back(files)

    @command
    def sign_with_compromised_keys_attack(self, vin: str | None = None) -> None:
        """3.7: publishes Targets, Snapshot and Timestamp of higher versions, signed with the revoked keys."""
        if not self._stolen:
            raise UptaneError("no keys were revoked yet", next_step="Run dd.revoke_compromised_keys() first.")
        for name in self._vins(vin):
            self._backup(name)
            asyncio.run(self._sign_with_stolen_keys(VehicleIdentifier(name)))

    async def _sign_with_stolen_keys(self, vehicle: VehicleIdentifier) -> None:
        profile = self.settings.profile
        store = StolenStore(self._files(vehicle))
        before = await load_published(store, profile)
        if before is None:
            raise UptaneError(f"nothing is published for vehicle {vehicle}")
        root = before.root.payload
        keys = dict(root.keys) | {signer.key.key_id: signer.key for signer in self._stolen.values()}
        roles = dict(root.roles) | {
            role: structs.replace(root.roles[role], key_ids=(signer.key.key_id,), threshold=1)
            for role, signer in self._stolen.items()
        }
        forged = replace(
            before, root=structs.replace(before.root, payload=structs.replace(root, keys=keys, roles=roles))
        )
        content = {name: envelope.payload for name, envelope in before.targets.items()}
        signers = {signer.key.key_id: signer for signer in self._stolen.values()}
        publisher = Publisher(store=store, profile=profile, keyring=signers, vehicle=vehicle)
        await publisher.publish(forged, Draft(targets=content), now())

    @command
    def undo_sign_with_compromised_keys_attack(self, vin: str | None = None) -> None:
        """Puts the metadata back that was there before the attack, for one vehicle or for all that were attacked."""
        attacked = [name for name in self._vins(vin) if is_backed_up(self._files(name))]
        for name in attacked or self._vins(vin):
            self._put_back(name)
