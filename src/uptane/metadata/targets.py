"""Targets metadata: images with length, hashes and custom data, and delegations (STD-5.2.3)."""

from collections.abc import Iterable, Iterator, Mapping

import msgspec
from msgspec import Struct, structs

from uptane.metadata.delegations import Delegations
from uptane.metadata.digests import Digests
from uptane.metadata.errors import FormatError
from uptane.metadata.extensions import NO_EXTENSIONS, Extensions
from uptane.metadata.identifiers import EcuIdentifier, HardwareIdentifier, ImagePath, check_text
from uptane.metadata.root import Common

MAX_LENGTH = 2**53 - 1
"""The greatest length of an image in bytes: what JSON numbers hold exactly."""

MAX_RELEASE_COUNTER = 2**53 - 1


def check_length(length: object, field_name: str = "length") -> int:
    """Returns `length` if it is an integer of 0 to MAX_LENGTH; raises FormatError otherwise."""
    if type(length) is not int or not 0 <= length <= MAX_LENGTH:
        raise FormatError(f"{field_name} must be an integer of 0 to {MAX_LENGTH}", field=field_name)
    return length


class ImageFile(Struct, frozen=True, kw_only=True, gc=False):
    """The non-custom metadata of an image: name, length in bytes, hashes (M-25 to M-27)."""

    path: ImagePath
    length: int
    digests: Digests

    def __post_init__(self) -> None:
        check_length(self.length)


class WrappedKey(Struct, frozen=True, kw_only=True, gc=False):
    """A symmetric key encrypted for one ECU (M-37).

    Args:
        method: how it is wrapped, as a name of the POUF.
        value: the wrapped key.
    """

    method: str
    value: bytes

    def __post_init__(self) -> None:
        check_text("key wrapping method", self.method, 64)


class EncryptedImage(Struct, frozen=True, kw_only=True, gc=False):
    """The encrypted form of an image for one ECU (M-35 to M-37; AMB-15).

    Args:
        file: name, length and hashes of the encrypted image.
        method: the encryption, as a name of the POUF such as `aes-256-gcm`.
        nonce: the nonce or initialisation vector.
        wrapped_key: the symmetric key, encrypted for the ECU, where it does not hold one already.
    """

    file: ImageFile
    method: str
    nonce: bytes = b""
    wrapped_key: WrappedKey | None = None
    extensions: Extensions = NO_EXTENSIONS

    def __post_init__(self) -> None:
        check_text("encryption method", self.method, 64)


class EcuAssignment(Struct, frozen=True, kw_only=True, gc=False):
    """What the Director says of one ECU that shall install an image (M-34 to M-37, AMB-19)."""

    hardware_id: HardwareIdentifier | None = None
    encrypted: EncryptedImage | None = None
    extensions: Extensions = NO_EXTENSIONS


class MustMatch(Struct, frozen=True, kw_only=True, gc=False):
    """The demarcated custom data that must be equal on both repositories (STD-5.2.3.1.1-2).

    Args:
        release_counter: rises with every release of the image (M-32); None where it is not used.
        hardware_ids: the hardware that the image is for (M-33), sorted; None where it is not used.
        extensions: other fields that must match (M-45).
    """

    release_counter: int | None = None
    hardware_ids: tuple[HardwareIdentifier, ...] | None = None
    extensions: Extensions = NO_EXTENSIONS

    def __post_init__(self) -> None:
        counter = self.release_counter
        if counter is not None and (type(counter) is not int or not 0 <= counter <= MAX_RELEASE_COUNTER):
            raise FormatError(f"release counter must be an integer of 0 to {MAX_RELEASE_COUNTER}", field="custom")
        if self.hardware_ids is not None:
            if not self.hardware_ids or len(set(self.hardware_ids)) != len(self.hardware_ids):
                raise FormatError("hardware identifiers must be one or more different ones", field="custom")
            structs.force_setattr(self, "hardware_ids", tuple(sorted(self.hardware_ids)))


class Custom(Struct, frozen=True, kw_only=True, gc=False):
    """Custom data of an image (STD-5.2.3.1.1).

    Args:
        must_match: what must be equal on both repositories.
        ecus: the ECUs that shall install the image; Director only.
        url: where the image can be had as well (M-38).
        extensions: anything else; not compared.
    """

    must_match: MustMatch = msgspec.field(default_factory=MustMatch)
    ecus: Mapping[EcuIdentifier, EcuAssignment] = msgspec.field(default_factory=dict)
    url: str | None = None
    extensions: Extensions = NO_EXTENSIONS

    def __post_init__(self) -> None:
        if self.url is not None:
            check_text("download URL", self.url, 2048)


NO_CUSTOM = Custom()


class Image(Struct, frozen=True, kw_only=True, gc=False):
    """An entry of Targets metadata: an image, and what is said of it."""

    file: ImageFile
    custom: Custom = NO_CUSTOM


class DirectedImages(Mapping[ImagePath, Image]):
    """What a Director tells one vehicle. An entry becomes a value when it is looked up.

    Args:
        parts: an image as it is given to any vehicle, whose custom data names no ECU, and this vehicle's ECUs for it.
    """

    __slots__ = ("parts",)

    def __init__(self, parts: Mapping[ImagePath, tuple[Image, Mapping[EcuIdentifier, EcuAssignment]]]) -> None:
        self.parts = parts

    def __getitem__(self, path: ImagePath) -> Image:
        image, ecus = self.parts[path]
        return structs.replace(image, custom=structs.replace(image.custom, ecus=ecus))

    def __iter__(self) -> Iterator[ImagePath]:
        return iter(self.parts)

    def __len__(self) -> int:
        return len(self.parts)


def images_with_ecus(
    images: Mapping[ImagePath, Image],
) -> Iterable[tuple[ImagePath, Image, Mapping[EcuIdentifier, EcuAssignment]]]:
    """Each image with the ECUs that shall have it; the custom data of the image itself may name none."""
    if isinstance(images, DirectedImages):
        return ((path, image, ecus) for path, (image, ecus) in images.parts.items())
    return ((path, image, image.custom.ecus) for path, image in images.items())


class Targets(Common, frozen=True, kw_only=True, gc=False):
    """Targets metadata, top-level or delegated, of either repository.

    Args:
        images: the entries by path. May be a lazy mapping: structure, names and duplicates are checked when
            the file is decoded, an entry becomes a value when it is looked up.
        delegations: empty on a Director.
    """

    images: Mapping[ImagePath, Image] = msgspec.field(default_factory=dict)
    delegations: Delegations = msgspec.field(default_factory=Delegations)
