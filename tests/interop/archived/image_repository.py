"""`di`: the Image repository's window, with its attacks."""

import shutil

from archived.key_files import load_or_generate_key
from archived.repository import ROLES, Repository
from archived.servers import host_files
from archived.settings import Settings

KEY_NAMES = {"root": "mainroot", "targets": "maintargets", "snapshot": "mainsnapshot", "timestamp": "maintimestamp"}
IMAGES = ("INFO1.0", "TCU1.0", "TCU1.1", "TCU1.2", "BCU1.0", "BCU1.1", "BCU1.2")
EVIL_MIRROR = "EVIL UPDATE: ARBITRARY PACKAGE ATTACK TO BE DELIVERED FROM MITM / bad mirror (no keys compromised)."


class ImageRepositoryWindow:
    """What is typed as `di`.

    Args:
        settings: the demonstration.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._folder = settings.folder / "imagerepo"
        self._hosted = False

    def clean_slate(self) -> None:
        """A new repository with seven images, published and hosted."""
        shutil.rmtree(self._folder, ignore_errors=True)
        keys = {role: load_or_generate_key(self._settings.keys, KEY_NAMES[role]) for role in ROLES}
        self._repository = Repository(self._folder, self._settings.wire, keys)
        targets = self._repository.targets
        for name in ("file1.txt", "infotainment_firmware.txt"):
            (targets / name).write_text(f"Contents of {name}", encoding="utf-8")
        for image in IMAGES:
            (targets / f"{image}.txt").write_text(f"Firmware {image}", encoding="utf-8")
            self._repository.add_target(f"{image}.txt")
        self._repository.write_to_live()
        if not self._hosted:
            host_files(self._folder, self._settings.image_repository)
            self._hosted = True

    def add_target_to_imagerepo(self, target_fname: str, filepath_in_repo: str) -> None:
        """Copies a file of the working directory and lists it."""
        shutil.copyfile(self._settings.folder / target_fname, self._repository.targets / filepath_in_repo)
        self._repository.add_target(filepath_in_repo)

    def write_to_live(self) -> None:
        """Publishes."""
        self._repository.write_to_live()

    def add_target_and_write_to_live(self, filename: str, file_content: str) -> None:
        """Writes a file in the working directory, lists it, and publishes."""
        (self._settings.folder / filename).write_text(file_content, encoding="utf-8")
        self.add_target_to_imagerepo(filename, filename)
        self.write_to_live()

    def mitm_arbitrary_package_attack(self, target_filepath: str) -> None:
        """Attack 3.2: the mirror's bytes change, and no Director hosts the good ones."""
        image = self._repository.targets / target_filepath
        backup = image.with_name(f"backup_{image.name}")
        if not image.exists() or backup.exists():
            raise FileNotFoundError(f"{target_filepath} is not there, or is under attack already")
        image.rename(backup)
        image.write_text(EVIL_MIRROR, encoding="utf-8")
        for vehicle in sorted((self._settings.folder / "director").iterdir()):
            (vehicle / "targets" / target_filepath).unlink(missing_ok=True)

    def undo_mitm_arbitrary_package_attack(self, target_filepath: str) -> None:
        """The mirror is good again; the Directors' copies stay away."""
        image = self._repository.targets / target_filepath
        image.with_name(f"backup_{image.name}").replace(image)

    def revoke_compromised_keys(self) -> None:
        """Recovery 3.6: Root names new keys for the three other roles."""
        self._repository.replace_keys(
            {role: load_or_generate_key(self._settings.keys, f"new_{KEY_NAMES[role]}") for role in ROLES[1:]}
        )
        self._repository.write_to_live()
