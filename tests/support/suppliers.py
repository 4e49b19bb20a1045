"""Suppliers who sign where their keys are, and the desk of an Image repository where they hand it in."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from datetime import timedelta

import pytest
from fleet import Fleet
from links import wait
from signed import custom

from uptane.image_repository.ports import Turn
from uptane.image_repository.repository import ImageRepository
from uptane.image_repository.uploads import DEFAULT_UPLOAD_LIMITS, Receipt, Upload, UploadLimits
from uptane.metadata.delegations import Delegations
from uptane.metadata.digests import Digests
from uptane.metadata.errors import UptaneError
from uptane.metadata.identifiers import ImagePath, RoleName
from uptane.metadata.root import Role
from uptane.metadata.targets import Image, ImageFile, Targets
from uptane.signing.sign import sign
from uptane.signing.signer import KeySigner
from uptane.storage.memory import MemoryWaiting

NONE = Delegations()


def entry(path: str, content: bytes, counter: int | None = 1, hardware: tuple[str, ...] | None = None) -> Image:
    """What a supplier says of an image."""
    file = ImageFile(path=ImagePath(path), length=len(content), digests=Digests.of(content, ("sha256", "sha512")))
    return Image(file=file, custom=custom(counter, hardware))


class UploadDesk:
    """An Image repository with the Snapshot and Timestamp keys at hand, and no other."""

    def __init__(
        self,
        fleet: Fleet,
        limits: UploadLimits = DEFAULT_UPLOAD_LIMITS,
        *,
        waits: bool = True,
        turn: Turn = nullcontext,
    ) -> None:
        self.fleet = fleet
        self.waiting = MemoryWaiting()
        self.repository = ImageRepository(
            profile=fleet.profile,
            metadata=fleet.image_metadata,
            images=fleet.image_store,
            waiting=self.waiting if waits else None,
            upload_limits=limits,
            turn=turn,
        )
        self.repository.add_signers(fleet.image_keys[Role.SNAPSHOT] + fleet.image_keys[Role.TIMESTAMP])

    def receive(self, upload: Upload) -> Receipt:
        """Somebody hands in an upload."""
        return wait(self.repository.receive(upload, self.fleet.now))

    def everything(self) -> tuple[Mapping[str, bytes], ...]:
        """Every byte that the repository keeps: metadata, images, and what waits for signatures."""
        stores = (self.fleet.image_metadata, self.fleet.image_store, self.waiting)
        return tuple(dict(store._files) for store in stores)

    def refuses(self, upload: Upload, expected: type[UptaneError]) -> UptaneError:
        """Hands in an upload that is refused with exactly this error, and leaves not a trace."""
        before = self.everything()
        with pytest.raises(expected) as caught:
            self.receive(upload)
        assert type(caught.value) is expected, repr(caught.value)
        assert caught.value.what
        assert self.everything() == before
        return caught.value


class Supplier:
    """Whoever holds the keys of a delegated role, and the images it made.

    Args:
        fleet: for the format and the time.
        role: its role.
        signers: the keys it holds.
    """

    def __init__(self, fleet: Fleet, role: RoleName, signers: Sequence[KeySigner]) -> None:
        self.fleet, self.role, self.signers = fleet, role, list(signers)

    def sign(
        self,
        *images: Image,
        version: int = 1,
        signers: Sequence[KeySigner] | None = None,
        days: float = 30,
        delegations: Delegations = NONE,
    ) -> bytes:
        """Targets metadata of the role, signed by the keys it holds unless others are given."""
        targets = Targets(
            version=version,
            expires=self.fleet.now + timedelta(days=days),
            images={image.file.path: image for image in images},
            delegations=delegations,
        )
        return sign(self.fleet.profile, targets, self.signers if signers is None else signers)

    def upload(
        self,
        contents: Mapping[str, bytes],
        *,
        version: int = 1,
        counter: int | None = 1,
        hardware: tuple[str, ...] | None = None,
        **signing: object,
    ) -> Upload:
        """Signed metadata that lists these images, and the images."""
        images = [entry(path, content, counter, hardware) for path, content in contents.items()]
        metadata = self.sign(*images, version=version, **signing)  # type: ignore[arg-type]
        return hand_in(self.role, metadata, contents)


def hand_in(role: str, metadata: bytes, contents: Mapping[str, bytes]) -> Upload:
    """An upload of these bytes, whatever they are."""
    return Upload(
        role=RoleName(role),
        metadata=metadata,
        images={ImagePath(path): _opener(content) for path, content in contents.items()},
    )


class _opener:
    """Opens the bytes of an image, in two pieces."""

    def __init__(self, content: bytes) -> None:
        self._content = content

    def __call__(self) -> Iterable[bytes]:
        return self._pieces()

    def _pieces(self) -> Iterator[bytes]:
        half = len(self._content) // 2
        yield self._content[:half]
        yield self._content[half:]
