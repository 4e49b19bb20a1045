"""What an ECU needs from the world."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Protocol

from uptane.metadata.identifiers import EcuIdentifier, VehicleIdentifier


class EcuStore(Protocol):
    """The durable memory of one ECU: named values, changed together or not at all.

    Names are relative, with `/` between components, such as `director/timestamp` or `state/counter`.
    """

    def read(self, name: str) -> bytes | None:
        """The value, or None when there is none. Raises StorageError when what is stored is damaged."""
        ...

    def names(self, prefix: str) -> tuple[str, ...]:
        """The names that start with `prefix`, sorted."""
        ...

    def write(self, changes: Mapping[str, bytes | None]) -> None:
        """Sets each name to its value, or removes it for None: all of them or, after an error or a crash, none.

        Raises:
            StorageError: the disk is full or cannot be written; nothing has changed.
        """
        ...


class ImageWriter(Protocol):
    """An image on its way in; what is not kept disappears."""

    def write(self, chunk: bytes) -> None:
        """Appends bytes. Raises StorageError when the disk is full."""
        ...

    def keep(self) -> None:
        """Makes the image durable under its name, replacing an earlier one of that name."""
        ...


class PartialImage(ImageWriter, Protocol):
    """An image on its way in whose bytes outlive a cut: what came so far stays, until it is whole or thrown away."""

    def chunks(self) -> Iterator[bytes]:
        """What came so far, from its first byte; to be read before anything is written. A cut may have altered it."""
        ...

    def restart(self) -> None:
        """Throws away what came so far."""
        ...


class ImageSlots(Protocol):
    """Where an ECU keeps image files. A name is a hash in hexadecimal, or a fixed word such as `installed`."""

    def receive(self, name: str) -> AbstractContextManager[ImageWriter]:
        """Opens a new image; leaving the context without `keep()` drops what was written."""
        ...

    def resume(self, name: str) -> AbstractContextManager[PartialImage]:
        """Opens an image that was cut off, or a new one; leaving the context keeps what came.

        There is one such image at a time: another one that was cut off is thrown away, and so is this one when the
        disk fails or is full.
        """
        ...

    def chunks(self, name: str) -> Iterator[bytes] | None:
        """The bytes of an image in pieces, or None when there is none."""
        ...

    def keep_only(self, names: frozenset[str]) -> None:
        """Removes every image that is not named, also one that was cut off."""
        ...


class ImageBody(Protocol):
    """The bytes of an image from a mirror."""

    @property
    def start(self) -> int:
        """The position in the image of the first of them."""
        ...

    def __iter__(self) -> Iterator[bytes]:
        """The bytes in pieces as they arrive."""
        ...


class ImageSource(Protocol):
    """A mirror that hosts images."""

    def stream(self, name: str, limit: int, start: int = 0) -> AbstractContextManager[ImageBody | None]:
        """The bytes of `targets/NAME`, which has `limit` of them; None where the mirror does not have it.

        Args:
            name: of the image, as it is stored.
            limit: bytes; more are refused.
            start: how many are there already. The body begins there, or at 0 where the mirror cannot continue.

        Raises:
            UnreachableError, EndlessDataError, SlowRetrievalError: on opening or while iterating.
            FormatError, LengthMismatchError: it offers something else than the rest of such an image.
        """
        ...


class ThirdHosts(Protocol):
    """Hosts that are neither repository, and which the vehicle was told that it may fetch images from."""

    def source(self, url: str) -> ImageSource:
        """The image at a URL that the Director gives (M-38); raises UntrustedHostError where it is not followed."""
        ...


class DirectorLink(Protocol):
    """The way to the Director."""

    def submit_manifest(self, vehicle: VehicleIdentifier, primary: EcuIdentifier, manifest: bytes) -> None:
        """Hands in a vehicle version manifest; raises what the Director answers, or UnreachableError."""
        ...

    def register_ecu(self, vehicle: VehicleIdentifier, ecu: EcuIdentifier, key: bytes, *, is_primary: bool) -> None:
        """Registers an ECU's public key, encoded in the format of the ECU; raises what the Director answers."""
        ...


class TimeLink(Protocol):
    """The way to the Timeserver."""

    def attest(self, nonces: Sequence[int]) -> bytes:
        """A signed time attestation over the nonces; UnreachableError."""
        ...


class PrimaryLink(Protocol):
    """The way from a Secondary to its Primary (inventory of the archived methods)."""

    def register_secondary(self, ecu: EcuIdentifier, key: bytes) -> None:
        """Makes the Secondary known, with its public key where the profile has the Primary verify its reports."""
        ...

    def submit_report(self, vehicle: VehicleIdentifier, ecu: EcuIdentifier, nonce: int, report: bytes) -> None:
        """Hands in a signed version report."""
        ...

    def time_attestation(self, ecu: EcuIdentifier) -> bytes:
        """The last time attestation that the Primary verified."""
        ...

    def metadata(self, ecu: EcuIdentifier) -> bytes:
        """The bundle of all metadata that the Secondary needs."""
        ...

    def partial_metadata(self, ecu: EcuIdentifier) -> bytes:
        """What of it partial verification needs; a Targets file alone with `unsafe_partial_without_root`."""
        ...

    def update_exists(self, ecu: EcuIdentifier) -> bool:
        """Whether the Primary holds a verified image for the Secondary."""
        ...

    def image(self, ecu: EcuIdentifier) -> tuple[str, bytes] | None:
        """Name and bytes of the image for the Secondary, or None."""
        ...

    def image_block(self, ecu: EcuIdentifier, name: str, offset: int) -> bytes:
        """Some bytes of the image for the Secondary, from an offset on; none at its end (STD-5.4.2.7-2).

        Args:
            ecu: the Secondary.
            name: of the image, as `installation.stored_as` gives it.
            offset: bytes.
        """
        ...

    def back_up(self, ecu: EcuIdentifier, name: str, offset: int, block: bytes) -> bool:
        """Leaves some bytes of the image that the Secondary runs with the Primary (STD-5.4.3.3-3).

        Returns:
            Whether the Primary has all of it, verified; asked with no bytes, nothing changes.
        """
        ...

    def backup_block(self, ecu: EcuIdentifier, name: str, offset: int) -> bytes:
        """Some bytes of what was left there, from an offset on; none at its end."""
        ...
