"""`dd`: the Director's window, with its attacks, and what its XML-RPC does."""

import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from archived.director_inventory import DirectorInventory
from archived.key_files import load_or_generate_key
from archived.repository import ROLES, Repository
from archived.servers import host_files, listen
from archived.settings import Settings

KEY_NAMES = {
    "root": "directorroot",
    "targets": "director",
    "snapshot": "directorsnapshot",
    "timestamp": "directortimestamp",
}
KNOWN_VINS = ("111", "112", "113", "democar")
EVIL = "EVIL UPDATE: ARBITRARY PACKAGE ATTACK TO BE DELIVERED FROM MITM (no keys compromised)."


class DirectorWindow:
    """What is typed as `dd`.

    Args:
        settings: the demonstration.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._folder = settings.folder / "director"
        self._repositories: dict[str, Repository] = {}
        self._inventory = DirectorInventory(settings.wire)
        self._hosted = False

    def clean_slate(self) -> None:
        """A repository for each known vehicle, all with the same keys; published, hosted and taking calls."""
        shutil.rmtree(self._folder, ignore_errors=True)
        self._keys = {role: load_or_generate_key(self._settings.keys, KEY_NAMES[role]) for role in ROLES}
        for vin in KNOWN_VINS:
            self._repositories[vin] = Repository(self._folder / vin, self._settings.wire, self._keys)
            self._inventory.register_vehicle(vin)
        self.write_to_live()
        if not self._hosted:
            host_files(self._folder, self._settings.director)
            methods: Mapping[str, Callable[..., Any]] = {
                "submit_vehicle_manifest": self._inventory.register_vehicle_manifest,
                "register_ecu_serial": self._inventory.register_ecu_serial,
            }
            listen([self._settings.director_calls], methods)
            self._hosted = True

    def write_to_live(self, vin_to_update: str | None = None) -> None:
        """Publishes one vehicle's repository, or all."""
        for repository in self._chosen(vin_to_update):
            repository.write_to_live()

    def add_target_to_director(self, target_fname: str, filepath_in_repo: str, vin: str, ecu_serial: str) -> None:
        """Copies a file of the working directory into the vehicle's repository and assigns it to the ECU."""
        repository = self._repositories[vin]
        shutil.copyfile(self._settings.folder / target_fname, repository.targets / filepath_in_repo)
        repository.add_target(filepath_in_repo, {"ecu_serial": ecu_serial})

    def add_target_and_write_to_live(self, filename: str, file_content: str, vin: str, ecu_serial: str) -> None:
        """Writes a file in the working directory, assigns it, and publishes."""
        (self._settings.folder / filename).write_text(file_content, encoding="utf-8")
        self.add_target_to_director(filename, filename, vin, ecu_serial)
        self.write_to_live(vin)

    def clear_vehicle_targets(self, vin: str) -> None:
        """Assigns nothing any more; does not publish."""
        self._repositories[vin].clear_targets()

    def mitm_arbitrary_package_attack(self, vin: str, target_filepath: str) -> None:
        """Attack 3.1: the Director's bytes change, and the Image repository hosts none."""
        ours, theirs = self._images(vin, target_filepath)
        backups = [image.with_name(f"backup_{image.name}") for image in (ours, theirs)]
        if not (ours.exists() or theirs.exists()) or any(backup.exists() for backup in backups):
            raise FileNotFoundError(f"{target_filepath} is not there, or is under attack already")
        for image, backup in zip((ours, theirs), backups, strict=True):
            if image.exists():
                image.rename(backup)
        ours.write_text(EVIL, encoding="utf-8")

    def undo_mitm_arbitrary_package_attack(self, vin: str, target_filepath: str) -> None:
        """Both have their good bytes again."""
        ours, theirs = self._images(vin, target_filepath)
        ours.unlink()
        for image in (ours, theirs):
            backup = image.with_name(f"backup_{image.name}")
            if backup.exists():
                backup.rename(image)

    def backup_timestamp(self, vin: str) -> None:
        """Attack 3.3: the thief keeps a Timestamp."""
        shutil.copyfile(self._repositories[vin].live("timestamp"), self._kept(vin, "backup"))

    def replay_timestamp(self, vin: str) -> None:
        """Puts it in the place of the newer one."""
        live = self._repositories[vin].live("timestamp")
        shutil.copyfile(live, self._kept(vin, "current"))
        shutil.copyfile(self._kept(vin, "backup"), live)

    def restore_timestamp(self, vin: str) -> None:
        """The newer one is back."""
        self._kept(vin, "current").replace(self._repositories[vin].live("timestamp"))
        self._kept(vin, "backup").unlink()

    def revoke_compromised_keys(self) -> None:
        """Recovery 3.6: every vehicle's Root names new keys for the three other roles."""
        new = {role: load_or_generate_key(self._settings.keys, f"new_{KEY_NAMES[role]}") for role in ROLES[1:]}
        for repository in self._repositories.values():
            repository.replace_keys(new)
        self.write_to_live()

    def sign_with_compromised_keys_attack(self, vin: str | None = None) -> None:
        """Attack 3.7: the original keys sign once more."""
        for repository in self._chosen(vin):
            repository.sign_with(self._keys)

    def undo_sign_with_compromised_keys_attack(self, vin: str | None = None) -> None:
        """What the thief published is gone."""
        for repository in self._chosen(vin):
            repository.restore()

    def kept_vehicle_manifests(self, vin: str) -> int:
        """How many vehicle manifests were accepted; the archived window had no such question."""
        return len(self._inventory.vehicle_manifests[vin])

    def kept_ecu_manifests(self, ecu_serial: str) -> int:
        """How many ECU manifests were accepted; the archived window had no such question."""
        return len(self._inventory.ecu_manifests.get(ecu_serial, []))

    def dropped_manifests(self) -> str:
        """Why ECU manifests within vehicle manifests were dropped, one reason a line; empty when none was."""
        return "\n".join(self._inventory.dropped)

    def _chosen(self, vin: str | None) -> list[Repository]:
        return list(self._repositories.values()) if vin is None else [self._repositories[vin]]

    def _images(self, vin: str, path: str) -> tuple[Path, Path]:
        return self._repositories[vin].targets / path, self._settings.folder / "imagerepo" / "targets" / path

    def _kept(self, vin: str, which: str) -> Path:
        return self._folder / vin / self._settings.wire.filename(f"{which}_timestamp")
