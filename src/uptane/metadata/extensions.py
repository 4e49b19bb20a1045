"""Named additions that the Standard allows: kept on a round trip, given no meaning here."""

from collections.abc import Iterator, Mapping

from msgspec import Struct, structs

from uptane.metadata.errors import FormatError
from uptane.metadata.identifiers import check_text

MAX_EXTENSIONS = 64
"""Extensions in one place: more is abuse, not use."""


class Extensions(Struct, frozen=True, gc=False):
    """Names with opaque bytes, in the order of the names.

    The bytes are the canonical JSON text of the value where the value is to be written in both formats;
    DER carries any bytes, JSON only those that are canonical JSON.
    """

    items: tuple[tuple[str, bytes], ...] = ()

    def __post_init__(self) -> None:
        if len(self.items) > MAX_EXTENSIONS:
            raise FormatError(f"more than {MAX_EXTENSIONS} extensions", field="extensions")
        names = [check_text("extension name", name, 128) for name, _ in self.items]
        if len(set(names)) != len(names):
            raise FormatError("one extension is given twice", field="extensions")
        structs.force_setattr(self, "items", tuple(sorted(self.items)))

    def __iter__(self) -> Iterator[tuple[str, bytes]]:
        return iter(self.items)

    def __bool__(self) -> bool:
        return bool(self.items)

    def as_dict(self) -> Mapping[str, bytes]:
        """The extensions by name."""
        return dict(self.items)


NO_EXTENSIONS = Extensions()
