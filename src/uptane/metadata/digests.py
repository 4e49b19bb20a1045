"""Hashes of files: at least one, each with its function, every one of which must match."""

import hashlib
from collections.abc import Iterable, Iterator, Mapping

from msgspec import Struct, structs

from uptane.metadata.errors import FormatError

HASH_FUNCTIONS: Mapping[str, int] = {"sha256": 32, "sha384": 48, "sha512": 64}
"""The functions in use, with the length of their digests in bytes. Others are refused, never ignored."""


# `hashlib.new` looks every name up in OpenSSL; these are there already.
_MAKERS = {"sha256": hashlib.sha256, "sha384": hashlib.sha384, "sha512": hashlib.sha512}


def digest_of(function: str, data: bytes) -> bytes:
    """The digest of some bytes; ValueError for a function that this Python does not know."""
    make = _MAKERS.get(function)
    return make(data).digest() if make is not None else hashlib.new(function, data).digest()


def check_digest(function: str, digest: bytes) -> None:
    """Raises FormatError for an unknown function, or a digest of wrong length."""
    if HASH_FUNCTIONS.get(function) != len(digest):
        raise FormatError(
            f"not a hash of a supported function ({', '.join(HASH_FUNCTIONS)}): {function!r}, {len(digest)} bytes",
            field="hashes",
        )


class Digests(Struct, frozen=True, gc=False):
    """One or more digests of the same bytes, sorted by the name of their function (STD-5.2.3.1-5).

    Args:
        items: pairs of function name and digest.

    Raises:
        FormatError: none at all, an unknown function, one function twice, or a digest of wrong length.
    """

    items: tuple[tuple[str, bytes], ...]

    def __post_init__(self) -> None:
        if not self.items:
            raise FormatError("at least one hash is needed", field="hashes")
        if len(self.items) > 1 and len({name for name, _ in self.items}) != len(self.items):
            raise FormatError("one hash function is listed twice", field="hashes")
        for name, digest in self.items:
            check_digest(name, digest)
        if len(self.items) > 1 or type(self.items) is not tuple:
            structs.force_setattr(self, "items", tuple(sorted(self.items)))

    @classmethod
    def of(cls, data: bytes, functions: Iterable[str] = ("sha256",)) -> "Digests":
        """The digests of `data` by each of `functions`."""
        return cls(tuple([(name, digest_of(name, data)) for name in functions]))

    def matches(self, data: bytes) -> bool:
        """Whether every digest is that of `data`."""
        return all(digest_of(name, data) == digest for name, digest in self.items)

    def __iter__(self) -> Iterator[tuple[str, bytes]]:
        return iter(self.items)

    def __getitem__(self, function: str) -> bytes:
        return dict(self.items)[function]
