"""A Targets file in canonical JSON, checked in bulk: an entry becomes a value when it is looked up.

What is checked here is what is checked entry by entry elsewhere, with a few passes in C over many entries at once. A
file in which anything is unusual, be it wrong or only rare, is left to the reader that looks at each entry.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Annotated, Any, Final, NoReturn

import msgspec
from msgspec import UNSET, Meta, Raw, UnsetType

from uptane.formats.canonical_json import Json, refuse_numbers
from uptane.formats.image_names import are_ordinary
from uptane.metadata.targets import MAX_LENGTH

AT_ONCE: Final = 256
"""Entries in one pass: together they fit the processor's cache, and no pass needs memory for all of a large file."""

_HEXADECIMAL: Final = b"0123456789abcdef"


class _Hashes(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    sha256: Annotated[str, Meta(min_length=64, max_length=64)] | UnsetType = UNSET
    sha384: Annotated[str, Meta(min_length=96, max_length=96)] | UnsetType = UNSET
    sha512: Annotated[str, Meta(min_length=128, max_length=128)] | UnsetType = UNSET


class _Entry(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    length: Annotated[int, Meta(ge=0, le=MAX_LENGTH)]
    hashes: _Hashes
    custom: dict[str, Any] | UnsetType = UNSET


class _Signed(msgspec.Struct, forbid_unknown_fields=True):
    targets: dict[str, Raw]
    version: int
    expires: str
    type: str = msgspec.field(name="_type")
    delegations: dict[str, Any] | UnsetType = UNSET
    spec_version: str | UnsetType = UNSET
    vin: str | UnsetType = UNSET


_PLACE: Final = {"\0": Raw(b"")}
"""Stands for the images while everything around them is written. A member without a value: nothing else looks so."""


class _File(msgspec.Struct, forbid_unknown_fields=True):
    signatures: list[Any]
    signed: _Signed


@dataclass(frozen=True, slots=True)
class BulkTargets:
    """A file that was checked.

    Args:
        message: the text of `signed`, which is canonical.
        signatures: the entries, not looked at yet.
        members: of `signed` but for the images, as values.
        images: the text of each entry by the name of its image, for `value_of`. Names, structure, lengths, hashes and
            doubled keys are checked; the meaning of custom data is not.
    """

    message: bytes
    signatures: list[Json]
    members: dict[str, Json]
    images: Mapping[str, Raw]


def read_in_bulk(raw: bytes) -> BulkTargets | None:
    """The parts of a Targets file, or None for one that has to be read entry by entry."""
    try:
        file = _FILE.decode(raw)
        images, file.signed.targets = file.signed.targets, _PLACE
        around = _ENCODER.encode(file)
        file.signed.targets = {}
        members = msgspec.to_builtins(file.signed)
        refuse_numbers([file.signatures, members])
        before, after = around.split(_ENCODER.encode(_PLACE))
        if not (raw.startswith(before) and raw.endswith(after)) or b"\\" in before + after:
            return None
        if len(raw) != len(before) + _length_of_usual(images) + len(after):
            return None
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return None
    del members["targets"]
    start = len(b'{"signatures":,"signed":') + len(_ENCODER.encode(file.signatures))
    return BulkTargets(raw[start:-1], file.signatures, members, images)


def value_of(entry: Raw) -> Json:
    """One entry as a value of JSON."""
    return _ANY.decode(entry)


def _length_of_usual(images: Mapping[str, Raw]) -> int:
    """The length of the images' text in canonical form; ValueError where a name or an entry is unusual.

    No text that means the same is as short: a blank, a needless escape or a doubled key makes it longer. So text of
    this length is the canonical one, as its names are in order and its entries are canonical themselves.
    """
    names, texts = list(images), iter(images.values())
    if names != sorted(names):
        raise ValueError("not in order")
    length = len("{}") + max(len(names) - 1, 0) + len('"":') * len(names) + sum(map(len, names))
    for first in range(0, len(names), AT_ONCE):
        if not are_ordinary(names[first : first + AT_ONCE]):
            raise ValueError("an unusual name")
        length += _length_of_entries(list(islice(texts, AT_ONCE)))
    return length


class _Plain:
    """The look of entries without custom data, all with the same hash functions.

    The expression says where everything stands, with any characters in place of the digits of hashes. Those digits
    are hexadecimal exactly if nothing but the rest of the entries is left when all such digits are taken away.
    """

    def __init__(self, **digits: int) -> None:
        def entry(hashes: Mapping[str, str], length: str) -> bytes:
            listed = ",".join(f'"{name}":"{value}"' for name, value in hashes.items())
            return f'{{"hashes":{{{listed}}},"length":{length}}},'.encode()

        slots = {name: f".{{{count}}}" for name, count in digits.items()}
        one = entry(slots, "(?:0|[1-9][0-9]{0,14})").replace(b'{"', rb'\{"').replace(b'"}', rb'"\}')
        self._one = re.compile(one, re.DOTALL)
        self._all = re.compile(b"(?:" + one + b")*", re.DOTALL)
        self._rest = entry(dict.fromkeys(digits, ""), "").translate(None, _HEXADECIMAL)

    def covers(self, text: bytes, count: int) -> bool:
        """Whether the text is that of `count` such entries, each with a comma after it."""
        return (
            self._one.match(text) is not None
            and self._all.fullmatch(text) is not None
            and text.translate(None, _HEXADECIMAL) == self._rest * count
        )


_PLAIN: Final = (_Plain(sha256=64, sha512=128), _Plain(sha256=64), _Plain(sha512=128))


def _length_of_entries(texts: Sequence[Raw]) -> int:
    """The length of the entries, each as it came.

    Raises:
        ValueError: one is not in canonical form, has a length out of range, no known hash, or something unknown.
    """
    text = b",".join((*texts, b""))
    if not any(plain.covers(text, len(texts)) for plain in _PLAIN):
        _check_entries(b"[" + text[:-1] + b"]")
    return len(text) - len(texts)


def _check_entries(text: bytes) -> None:
    entries = _ENTRIES.decode(text)
    refuse_numbers([entry.custom for entry in entries if entry.custom is not UNSET])
    digests = [
        digest
        for entry in entries
        for digest in (entry.hashes.sha256, entry.hashes.sha384, entry.hashes.sha512)
        if digest is not UNSET
    ]
    if (
        _ENCODER.encode(entries) != text
        or b"\\" in text
        or _Hashes() in [entry.hashes for entry in entries]
        or "".join(digests).encode().translate(None, _HEXADECIMAL)
    ):
        raise ValueError("an unusual entry")


def _refuse(number: str) -> NoReturn:
    raise ValueError("a floating-point number")


_FILE: Final = msgspec.json.Decoder(_File, float_hook=_refuse)
_ENTRIES: Final = msgspec.json.Decoder(list[_Entry], float_hook=_refuse)
_ANY: Final = msgspec.json.Decoder(float_hook=_refuse)
_ENCODER: Final = msgspec.json.Encoder(order="sorted")
