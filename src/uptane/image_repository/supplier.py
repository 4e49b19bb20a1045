"""What a supplier signs: the next Targets metadata of a delegated role."""

import hashlib
from collections.abc import Iterable, Mapping
from datetime import datetime

from msgspec import structs

from uptane.metadata.digests import Digests
from uptane.metadata.identifiers import ImagePath
from uptane.metadata.targets import Custom, Image, ImageFile, Targets

FUNCTIONS = ("sha256", "sha512")
"""The hash functions of a supplier's images."""


def described_stream(path: ImagePath, chunks: Iterable[bytes]) -> ImageFile:
    """The name, length and hashes of an image whose bytes come in pieces."""
    length, hashes = 0, [hashlib.new(function) for function in FUNCTIONS]
    for chunk in chunks:
        length += len(chunk)
        for running in hashes:
            running.update(chunk)
    return ImageFile(
        path=path, length=length, digests=Digests(tuple((running.name, running.digest()) for running in hashes))
    )


def next_targets(
    previous: Targets | None, files: Iterable[ImageFile], custom: Custom, expires: datetime, *, carry_over: bool = True
) -> Targets:
    """The next version of a role: what it listed before, with these images added or in place of earlier ones.

    Args:
        previous: what is published of the role; None before its first file.
        files: the images.
        custom: what is said of those that are new or have changed; an image that is as before keeps what was said.
        expires: until when it is valid, UTC in whole seconds.
        carry_over: whether images that are listed now and not among `files` stay listed. Delegations always stay.
    """
    before: Mapping[ImagePath, Image] = {} if previous is None else previous.images
    listed = {file.path: Image(file=file, custom=custom) for file in files}
    for path, image in before.items():
        if (path not in listed and carry_over) or (path in listed and listed[path].file == image.file):
            listed[path] = image
    if previous is None:
        return Targets(version=1, expires=expires, images=listed)
    return structs.replace(previous, version=previous.version + 1, expires=expires, images=listed)
