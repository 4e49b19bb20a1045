"""What an intruder without keys does: writes over published files, and puts things back on request."""

import re

from uptane.demonstration.published import TARGETS, PublishedFiles
from uptane.metadata.errors import UptaneError
from uptane.metadata.identifiers import ImagePath

BACKUP = "backup_"
EVIL_DIRECTOR = "EVIL UPDATE: ARBITRARY PACKAGE ATTACK TO BE DELIVERED FROM MITM (no keys compromised)."
EVIL_IMAGES = "EVIL UPDATE: ARBITRARY PACKAGE ATTACK TO BE DELIVERED FROM MITM / bad mirror (no keys compromised)."
_HASH = re.compile(r"[0-9a-f]{64,128}\.")


def copies(files: PublishedFiles, image: ImagePath) -> dict[str, str]:
    """Every published copy of an image, under its plain name and under each hash, with the name of its backup."""
    folder = f"{TARGETS}{image.folder}"
    named = {name: name.removeprefix(folder) for name in files.names(folder)}
    return {name: f"{folder}{BACKUP}{file}" for name, file in named.items() if _is(file, image)}


def _backups(files: PublishedFiles, image: ImagePath) -> dict[str, str]:
    """Every backup of a copy, with the name of the copy."""
    prefix = f"{TARGETS}{image.folder}{BACKUP}"
    named = {
        name: name.removeprefix(prefix) for name in files.names(f"{TARGETS}{image.folder}") if name.startswith(prefix)
    }
    return {name: f"{TARGETS}{image.folder}{file}" for name, file in named.items() if _is(file, image)}


def _is(file: str, image: ImagePath) -> bool:
    return image.file in (file, _HASH.sub("", file, count=1))


def attacked(files: PublishedFiles, image: ImagePath) -> bool:
    """Whether an attack on this image is going on there."""
    return bool(_backups(files, image))


def overwrite(files: PublishedFiles, image: ImagePath, evil: str) -> None:
    """Alters every copy of the image, keeping a backup; the length stays, so only the hashes tell."""
    for name, backup in copies(files, image).items():
        good = files.read(name) or b""
        files.change({backup: good, name: (evil.encode() * (len(good) // len(evil) + 1))[: len(good)]})


def hide(files: PublishedFiles, image: ImagePath) -> None:
    """Renames every copy of the image, so that nobody is given it any more."""
    _rename(files, copies(files, image))


def restore(files: PublishedFiles, image: ImagePath) -> None:
    """Puts every backup back."""
    _rename(files, _backups(files, image))


def _rename(files: PublishedFiles, names: dict[str, str]) -> None:
    for name, other in names.items():
        files.change({other: files.read(name), name: None})


def check_attackable(image: ImagePath, *places: PublishedFiles) -> None:
    """Raises UptaneError when nobody has the image, or an attack on it is going on."""
    if any(attacked(files, image) for files in places):
        raise UptaneError(f"an attack on {image} is going on already", next_step="Undo it first.")
    if not any(copies(files, image) for files in places):
        raise UptaneError(f"there is no image {image} to attack", next_step="Add it to both repositories first.")


def check_attacked(image: ImagePath, *places: PublishedFiles) -> None:
    """Raises UptaneError when there is nothing to undo."""
    if not any(attacked(files, image) for files in places):
        raise UptaneError(f"no attack on {image} is going on", next_step="There is nothing to undo.")
