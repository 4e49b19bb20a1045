"""What an intruder without keys does: writes into the published folders, and puts things back on request."""

import re
import shutil
from pathlib import Path

from uptane.metadata.errors import UptaneError
from uptane.metadata.identifiers import ImagePath

BACKUP = "backup_"
EVIL_DIRECTOR = "EVIL UPDATE: ARBITRARY PACKAGE ATTACK TO BE DELIVERED FROM MITM (no keys compromised)."
EVIL_IMAGES = "EVIL UPDATE: ARBITRARY PACKAGE ATTACK TO BE DELIVERED FROM MITM / bad mirror (no keys compromised)."
_HASH = re.compile(r"[0-9a-f]{64,128}\.")


def copies(targets: Path, image: ImagePath) -> list[Path]:
    """Every published file of an image: under its plain name, and under each hash."""
    folder = targets / image.folder if image.folder else targets
    if not folder.is_dir():
        return []
    return sorted(
        path
        for path in folder.iterdir()
        if path.is_file() and (path.name == image.file or (_HASH.sub("", path.name, count=1) == image.file))
    )


def _backups(targets: Path, image: ImagePath) -> list[Path]:
    folder = targets / image.folder if image.folder else targets
    if not folder.is_dir():
        return []
    return sorted(
        path
        for path in folder.iterdir()
        if path.name.startswith(BACKUP) and _HASH.sub("", path.name.removeprefix(BACKUP), count=1) == image.file
    )


def attacked(targets: Path, image: ImagePath) -> bool:
    """Whether an attack on this image is going on in that folder."""
    return bool(_backups(targets, image))


def overwrite(targets: Path, image: ImagePath, evil: str) -> None:
    """Alters every copy of the image, keeping a backup; the length stays, so only the hashes tell."""
    for path in copies(targets, image):
        shutil.copy2(path, path.with_name(BACKUP + path.name))
        length = path.stat().st_size
        path.write_bytes((evil.encode() * (length // len(evil) + 1))[:length])


def hide(targets: Path, image: ImagePath) -> None:
    """Renames every copy of the image, so that the folder no longer offers it."""
    for path in copies(targets, image):
        path.rename(path.with_name(BACKUP + path.name))


def restore(targets: Path, image: ImagePath) -> None:
    """Puts every backup back."""
    for path in _backups(targets, image):
        path.replace(path.with_name(path.name.removeprefix(BACKUP)))


def check_attackable(image: ImagePath, *folders: Path) -> None:
    """Raises UptaneError when no folder has the image, or an attack on it is going on."""
    if any(attacked(folder, image) for folder in folders):
        raise UptaneError(f"an attack on {image} is going on already", next_step="Undo it first.")
    if not any(copies(folder, image) for folder in folders):
        raise UptaneError(f"there is no image {image} to attack", next_step="Add it to both repositories first.")


def check_attacked(image: ImagePath, *folders: Path) -> None:
    """Raises UptaneError when there is nothing to undo."""
    if not any(attacked(folder, image) for folder in folders):
        raise UptaneError(f"no attack on {image} is going on", next_step="There is nothing to undo.")
