"""Entries of Targets metadata as JSON: images and their custom data."""

from collections.abc import Callable, Iterator, Mapping
from typing import Final, TypeVar

from msgspec import Raw

from uptane.formats.canonical_json import Json, compact
from uptane.formats.json_bulk import value_of
from uptane.formats.json_fields import Fields, add_extensions, read_digests, write_digests
from uptane.metadata.digests import Digests
from uptane.metadata.errors import FormatError
from uptane.metadata.identifiers import EcuIdentifier, HardwareIdentifier, ImagePath
from uptane.metadata.targets import (
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
"""Texts that are kept, of each kind."""


def write_file(file: ImageFile) -> dict[str, Json]:
    """Length and hashes of an image."""
    return {"length": file.length, "hashes": _write_hashes(file.digests)}


ValueT = TypeVar("ValueT")
TextT = TypeVar("TextT")


def _kept(write: Callable[[ValueT], TextT]) -> Callable[[ValueT], TextT]:
    """`write`, whose results are kept: a Director says the same of the same images to one vehicle after the other.

    The same value is known by its identity, not by its hash, whose computation would cost more than all the rest.
    """
    texts: dict[int, tuple[ValueT, TextT]] = {}

    def written(value: ValueT) -> TextT:
        found = texts.get(id(value))
        if found is not None and found[0] is value:
            return found[1]
        if len(texts) >= KEPT:
            texts.clear()
        text = write(value)
        texts[id(value)] = value, text
        return text

    return written


@_kept
def _write_hashes(digests: Digests) -> Raw:
    return Raw(compact(write_digests(digests)))


def read_file(path: str, value: Json) -> ImageFile:
    """An image from its path and the object with its length and hashes."""
    fields = Fields(value, "image")
    return ImageFile(path=ImagePath(path), length=fields.take("length", int), digests=fields.digests())


def write_images(images: Mapping[ImagePath, Image]) -> dict[str, Json]:
    """The `targets` object."""
    if type(images) is DirectedImages:
        return {str(path): _write_directed(image, ecus) for path, (image, ecus) in images.parts.items()}
    return {str(path): write_image(image) for path, image in images.items()}


def _write_directed(image: Image, ecus: Mapping[EcuIdentifier, EcuAssignment]) -> dict[str, Json]:
    members, custom = _write_for_any(image)
    named: dict[str, Json] = {}
    for ecu, assignment in ecus.items():
        named[str(ecu)] = _write_assignment(assignment)
    return {**members, "custom": {**custom, "ecus": named}}


@_kept
def _write_for_any(image: Image) -> tuple[dict[str, Json], dict[str, Json]]:
    members = write_image(image)
    return members, members.pop("custom", {})


def write_image(image: Image) -> dict[str, Json]:
    """An entry of `targets`."""
    file = image.file
    members: dict[str, Json] = {"length": file.length, "hashes": _write_hashes(file.digests)}
    if image.custom is not NO_CUSTOM and (custom := _write_custom(image.custom)):
        members["custom"] = custom
    return members


def _write_custom(custom: Custom) -> dict[str, Json]:
    members: dict[str, Json] = {}
    must_match = _write_must_match(custom.must_match)
    if must_match is not None:
        members["must_match"] = must_match
    if custom.ecus:
        members["ecus"] = {str(ecu): _write_assignment(assignment) for ecu, assignment in custom.ecus.items()}
    if custom.url is not None:
        members["url"] = custom.url
    return add_extensions(members, custom.extensions) if custom.extensions.items else members


@_kept
def _write_must_match(must_match: MustMatch) -> Raw | None:
    members: dict[str, Json] = {}
    if must_match.release_counter is not None:
        members["release_counter"] = must_match.release_counter
    if must_match.hardware_ids is not None:
        members["hardware_ids"] = [str(hardware) for hardware in must_match.hardware_ids]
    return Raw(compact(members)) if add_extensions(members, must_match.extensions) else None


@_kept
def _write_assignment(assignment: EcuAssignment) -> Raw:
    members: dict[str, Json] = {}
    if assignment.hardware_id is not None:
        members["hardware_id"] = str(assignment.hardware_id)
    if assignment.encrypted is not None:
        members["encrypted_image"] = write_encrypted(assignment.encrypted)
    return Raw(compact(add_extensions(members, assignment.extensions)))


def write_encrypted(encrypted: EncryptedImage) -> dict[str, Json]:
    """The members of an encrypted form of an image."""
    described: dict[str, Json] = write_file(encrypted.file) | {
        "filename": str(encrypted.file.path),
        "method": encrypted.method,
        "nonce": encrypted.nonce.hex(),
    }
    if encrypted.wrapped_key is not None:
        described["wrapped_key"] = {
            "method": encrypted.wrapped_key.method,
            "value": encrypted.wrapped_key.value.hex(),
        }
    return add_extensions(described, encrypted.extensions)


class LazyImages(Mapping[ImagePath, Image]):
    """Entries that become values when they are looked up.

    Names, structure, lengths and hashes were checked before. Custom data that means nothing raises FormatError when it
    is looked up.
    """

    __slots__ = ("_entries",)

    def __init__(self, entries: Mapping[str, Raw]) -> None:
        self._entries = entries

    def __getitem__(self, path: ImagePath) -> Image:
        return read_image(path, value_of(self._entries[path]))

    def __iter__(self) -> Iterator[ImagePath]:
        return map(ImagePath, self._entries)

    def __len__(self) -> int:
        return len(self._entries)

    def __contains__(self, path: object) -> bool:
        return path in self._entries

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Mapping) and dict(self) == dict(other)

    __hash__ = None  # type: ignore[assignment]


def read_images(value: Mapping[str, Json]) -> Mapping[ImagePath, Image]:
    """The `targets` object, every entry a value at once."""
    images = (read_image(path, entry) for path, entry in value.items())
    return {image.file.path: image for image in images}


def read_image(path: str, value: Json) -> Image:
    """An entry of `targets`."""
    fields = Fields(value, "image")
    custom = fields.optional("custom", dict)
    file = ImageFile(
        path=ImagePath(path), length=fields.take("length", int), digests=read_digests(fields.take("hashes", dict))
    )
    return Image(file=file, custom=_read_custom(custom) if custom else NO_CUSTOM)


def _read_custom(value: Json) -> Custom:
    fields = Fields(value, "custom")
    must_match, ecus = fields.optional("must_match", dict), fields.optional("ecus", dict)
    return Custom(
        must_match=MustMatch() if must_match is None else _read_must_match(must_match),
        ecus={EcuIdentifier(ecu): _read_assignment(entry) for ecu, entry in (ecus or {}).items()},
        url=fields.optional("url", str),
        extensions=fields.rest(),
    )


def _read_must_match(value: Json) -> MustMatch:
    fields = Fields(value, "must_match")
    hardware = fields.texts("hardware_ids", HardwareIdentifier) if "hardware_ids" in fields.members else None
    return MustMatch(
        release_counter=fields.optional("release_counter", int), hardware_ids=hardware, extensions=fields.rest()
    )


def _read_assignment(value: Json) -> EcuAssignment:
    fields = Fields(value, "ECU")
    hardware = fields.optional("hardware_id", str)
    encrypted = fields.optional("encrypted_image", dict)
    return EcuAssignment(
        hardware_id=None if hardware is None else HardwareIdentifier(hardware),
        encrypted=None if encrypted is None else read_encrypted(encrypted),
        extensions=fields.rest(),
    )


def read_encrypted(value: Json) -> EncryptedImage:
    """The inverse of `write_encrypted`; raises FormatError."""
    fields = Fields(value, "encrypted image")
    wrapped = fields.optional("wrapped_key", dict)
    key = None
    if wrapped is not None:
        described = Fields(wrapped, "wrapped key")
        key = WrappedKey(method=described.take("method", str), value=described.data("value"))
        described.nothing_else()
    path = fields.take("filename", str)
    file = ImageFile(path=ImagePath(path), length=fields.take("length", int), digests=fields.digests())
    method = fields.take("method", str)
    if not method:
        raise FormatError("an encrypted image needs a method", field="method")
    return EncryptedImage(
        file=file, method=method, nonce=fields.data("nonce"), wrapped_key=key, extensions=fields.rest()
    )
