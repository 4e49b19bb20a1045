"""Entries of Targets metadata in DER: images and their custom data."""

from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Final

from cryptography.hazmat import asn1

from uptane.formats.der_fields import (
    check_order,
    optional_list,
    read_digests,
    read_extensions,
    read_optional_list,
    refusing,
    write_digests,
    write_extensions,
)
from uptane.formats.der_schema import (
    EncodedImage,
    WireCustom,
    WireDigest,
    WireEcuAssignment,
    WireEncryptedImage,
    WireHash,
    WireImage,
    WireImageFile,
    WireMustMatch,
    WireWrappedKey,
)
from uptane.formats.image_names import are_ordinary
from uptane.metadata.digests import HASH_FUNCTIONS
from uptane.metadata.errors import FormatError
from uptane.metadata.identifiers import EcuIdentifier, HardwareIdentifier, ImagePath
from uptane.metadata.targets import (
    MAX_LENGTH,
    NO_CUSTOM,
    Custom,
    DirectedImages,
    EcuAssignment,
    EncryptedImage,
    Image,
    ImageFile,
    MustMatch,
    WrappedKey,
)

KEPT: Final = 4096
"""Files, encoded files, and custom data, that are kept: the same few images go to one vehicle after the other."""

_NO_MUST_MATCH = MustMatch()


def write_file(file: ImageFile) -> WireImageFile:
    """Name, length and hashes of an image."""
    return WireImageFile(path=file.path, length=file.length, hashes=write_digests(file.digests))


def read_file(entry: WireImageFile) -> ImageFile:
    """The inverse of `write_file`."""
    return ImageFile(path=ImagePath(entry.path), length=entry.length, digests=read_digests(entry.hashes))


@lru_cache(maxsize=KEPT)
def read_encoded_file(raw: bytes) -> ImageFile:
    """Name, length and hashes of an image, from its DER."""
    return read_file(asn1.decode_der(WireImageFile, raw))


def write_images(images: Mapping[ImagePath, Image]) -> list[WireImage]:
    """The images in the order of their names."""
    return [_write_image(path, image) for path, image in sorted(images.items(), key=lambda item: item[0])]


def write_directed_images(images: Mapping[ImagePath, Image]) -> list[EncodedImage]:
    """The images of a Director: it says the same of the same files to one vehicle after the other."""
    if not isinstance(images, DirectedImages):
        images = DirectedImages({path: (image, image.custom.ecus) for path, image in images.items()})
    return [
        EncodedImage(file=_encoded_file(_own_file(path, image)), custom=_write_custom(image.custom, ecus))
        for path, (image, ecus) in sorted(images.parts.items(), key=lambda item: item[0])
    ]


@lru_cache(maxsize=KEPT)
def _encoded_file(file: ImageFile) -> asn1.TLV:
    return asn1.decode_der(asn1.TLV, asn1.encode_der(write_file(file)))


def _own_file(path: ImagePath, image: Image) -> ImageFile:
    if image.file.path != path:
        raise FormatError(f"image {image.file.path!r} is listed under another name: {path!r}", field="images")
    return image.file


def _write_image(path: ImagePath, image: Image) -> WireImage:
    return WireImage(file=write_file(_own_file(path, image)), custom=_write_custom(image.custom, image.custom.ecus))


def read_images(entries: list[WireImage]) -> Mapping[ImagePath, Image]:
    """The inverse of `write_images`: names, order, lengths and hashes are checked, custom data when looked up."""
    files = [entry.file for entry in entries]
    names = [file.path for file in files]
    check_order(names, "images")
    if files and not _are_usual(names, files):
        for file in files:
            read_file(file)
    return LazyImages(dict(zip(names, entries, strict=True)))


def _are_usual(names: list[str], files: list[WireImageFile]) -> bool:
    """Whether each could be read as a value; False where one has to be looked at, be it wrong or only rare."""
    lengths = [file.length for file in files]
    return (
        min(lengths) >= 0
        and max(lengths) <= MAX_LENGTH
        and are_ordinary(names)
        and all(map(_are_both_digests, [file.hashes for file in files]))
    )


def _are_both_digests(digests: list[WireDigest]) -> bool:
    if len(digests) != 2:
        return False
    first, second = digests
    return (
        first.function is WireHash.sha256
        and second.function is WireHash.sha512
        and len(first.value) == HASH_FUNCTIONS["sha256"]
        and len(second.value) == HASH_FUNCTIONS["sha512"]
    )


class LazyImages(Mapping[ImagePath, Image]):
    """Images by name; one becomes a value when it is looked up, or a FormatError where its custom data is wrong."""

    __slots__ = ("_entries",)

    def __init__(self, entries: Mapping[str, WireImage]) -> None:
        self._entries = entries

    def __getitem__(self, path: ImagePath) -> Image:
        entry = self._entries[path]
        with refusing("image"):
            custom = NO_CUSTOM if entry.custom is None else _read_custom(entry.custom)
            return Image(file=read_file(entry.file), custom=custom)

    def __iter__(self) -> Iterator[ImagePath]:
        return map(ImagePath, self._entries)

    def __len__(self) -> int:
        return len(self._entries)

    def __contains__(self, path: object) -> bool:
        return path in self._entries

    def __repr__(self) -> str:
        return f"{type(self).__name__}({len(self)} images)"


def _write_custom(custom: Custom, ecus: Mapping[EcuIdentifier, EcuAssignment]) -> WireCustom | None:
    if not ecus and (custom is NO_CUSTOM or custom == NO_CUSTOM):
        return None
    must_match = custom.must_match
    return WireCustom(
        must_match=_write_must_match(must_match),
        ecus=optional_list([_write_assignment(ecu, ecus[ecu]) for ecu in sorted(ecus)]),
        url=custom.url,
        extensions=write_extensions(custom.extensions),
    )


def _read_custom(entry: WireCustom) -> Custom:
    ecus = read_optional_list(entry.ecus, "ECUs")
    check_order([ecu.ecu for ecu in ecus], "ECUs")
    custom = Custom(
        must_match=_NO_MUST_MATCH if entry.must_match is None else _read_must_match(entry.must_match),
        ecus={EcuIdentifier(ecu.ecu): _read_assignment(ecu) for ecu in ecus},
        url=entry.url,
        extensions=read_extensions(entry.extensions),
    )
    if custom == NO_CUSTOM:
        raise FormatError("empty custom data must be absent", field="custom")
    return custom


@lru_cache(maxsize=KEPT)
def _write_must_match(must_match: MustMatch) -> WireMustMatch | None:
    if must_match == _NO_MUST_MATCH:
        return None
    hardware = must_match.hardware_ids
    return WireMustMatch(
        release_counter=must_match.release_counter,
        hardware_ids=None if hardware is None else list(hardware),
        extensions=write_extensions(must_match.extensions),
    )


def _read_must_match(entry: WireMustMatch) -> MustMatch:
    hardware = entry.hardware_ids
    check_order(hardware or [], "hardware identifiers")
    must_match = MustMatch(
        release_counter=entry.release_counter,
        hardware_ids=None if hardware is None else tuple(HardwareIdentifier(value) for value in hardware),
        extensions=read_extensions(entry.extensions),
    )
    if must_match == _NO_MUST_MATCH:
        raise FormatError("an empty mustMatch must be absent", field="custom")
    return must_match


def _write_assignment(ecu: EcuIdentifier, assignment: EcuAssignment) -> WireEcuAssignment:
    return WireEcuAssignment(
        ecu=ecu,
        hardware_id=assignment.hardware_id,
        encrypted=None if assignment.encrypted is None else _write_encrypted(assignment.encrypted),
        extensions=write_extensions(assignment.extensions),
    )


def _read_assignment(entry: WireEcuAssignment) -> EcuAssignment:
    return EcuAssignment(
        hardware_id=None if entry.hardware_id is None else HardwareIdentifier(entry.hardware_id),
        encrypted=None if entry.encrypted is None else _read_encrypted(entry.encrypted),
        extensions=read_extensions(entry.extensions),
    )


def _write_encrypted(encrypted: EncryptedImage) -> WireEncryptedImage:
    wrapped = encrypted.wrapped_key
    return WireEncryptedImage(
        file=write_file(encrypted.file),
        method=encrypted.method,
        nonce=encrypted.nonce,
        wrapped_key=None if wrapped is None else WireWrappedKey(method=wrapped.method, value=wrapped.value),
        extensions=write_extensions(encrypted.extensions),
    )


def _read_encrypted(entry: WireEncryptedImage) -> EncryptedImage:
    wrapped = entry.wrapped_key
    return EncryptedImage(
        file=read_file(entry.file),
        method=entry.method,
        nonce=entry.nonce,
        wrapped_key=None if wrapped is None else WrappedKey(method=wrapped.method, value=wrapped.value),
        extensions=read_extensions(entry.extensions),
    )
