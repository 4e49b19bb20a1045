"""Published repositories of any size, made by our own publisher: what both sides read is the same file."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from uptane.formats.profiles import PROFILES
from uptane.metadata.delegations import TARGETS_ROLE
from uptane.metadata.digests import Digests
from uptane.metadata.identifiers import ImagePath
from uptane.metadata.root import NOT_PUBLISHED_YET, Role
from uptane.metadata.targets import Image, ImageFile, Targets
from uptane.signing.publish import Draft, Publisher, new_root
from uptane.signing.signer import KeySigner

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
FUNCTIONS = ("sha256", "sha512")
"""Both hashes of every image, as the Image repository lists them."""


class MemoryFiles:
    """Published files in a dict."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}

    async def read(self, name: str) -> bytes | None:
        """A file, or None."""
        return self.files.get(name)

    async def publish(self, files: Sequence[tuple[str, bytes]], mutable: Mapping[str, bytes]) -> None:
        """Sets all."""
        self.files |= dict(files) | dict(mutable)


@dataclass(frozen=True, slots=True, kw_only=True)
class Repository:
    """A published repository.

    Args:
        signers: the one key of each role.
        files: what it published, and nothing else: values that are kept would cost every later program time.
    """

    signers: Mapping[Role, KeySigner]
    files: Mapping[str, bytes]


def image_path(number: int) -> ImagePath:
    """The name of one image."""
    return ImagePath(f"supplier{number % 10}/firmware-{number:06d}.img")


def image(number: int) -> Image:
    """An entry of Targets metadata."""
    digests = Digests.of(str(number).encode(), FUNCTIONS)
    return Image(file=ImageFile(path=image_path(number), length=1_000 + number, digests=digests))


def new_signers() -> dict[Role, KeySigner]:
    """A fresh Ed25519 key for each role."""
    return {role: KeySigner(Ed25519PrivateKey.generate()) for role in Role}


@lru_cache(maxsize=4)
def repository(format_name: str, images: int) -> Repository:
    """An Image repository that lists so many images."""
    signers, store = new_signers(), MemoryFiles()
    publisher = Publisher(
        store=store,
        profile=PROFILES[format_name],
        keyring={signer.key.key_id: signer for signer in signers.values()},
    )
    listed = {image_path(number): image(number) for number in range(images)}
    targets = Targets(version=1, expires=NOT_PUBLISHED_YET, images=listed)
    root = new_root({role: [signer] for role, signer in signers.items()})
    asyncio.run(publisher.publish(None, Draft(root=root, targets={TARGETS_ROLE: targets}), NOW))
    return Repository(signers=signers, files=store.files)
