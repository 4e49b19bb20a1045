"""Lists of which every element takes up room: asn1tools loops for ever over an element of another type."""

from collections.abc import Iterator
from typing import Any


class _Element:
    """A type of list elements that refuses bytes of another type.

    Args:
        element: the compiled type.
    """

    def __init__(self, element: Any) -> None:
        self._element = element

    def decode(self, data: bytes, offset: int, values: Any = None) -> tuple[Any, int]:
        """Decodes one element.

        Raises:
            ValueError: there is none at this offset.
        """
        value, end = self._element.decode(data, offset, values)
        if end <= offset:
            raise ValueError(f"offset {offset} does not begin an element of the list")
        return value, end

    def __getattr__(self, name: str) -> Any:
        return getattr(self._element, name)


def make_lists_end(compiled: Any) -> None:
    """Guards every list within a compiled type."""
    waiting, seen = [compiled], set()
    while waiting:
        part = waiting.pop()
        if id(part) in seen:
            continue
        seen.add(id(part))
        waiting.extend(_parts(part))
        if hasattr(part, "element_type"):
            part.element_type = _Element(part.element_type)


def _parts(value: Any) -> Iterator[Any]:
    if isinstance(value, dict):
        yield from value.values()
    elif isinstance(value, list | tuple):
        yield from value
    elif type(value).__module__.startswith("asn1tools"):
        yield from vars(value).values()
