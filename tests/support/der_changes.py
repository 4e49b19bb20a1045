"""Changes to an object on the wire: of the structures that the DER codec writes, before it writes them."""

from collections.abc import Callable
from typing import Any

Change = Callable[[Any], object]


def put(path: str, value: object) -> Change:
    """Sets the field at the end of a path such as `signed.body.keys.0.keyid`."""

    def change(wire: Any) -> None:
        *folders, last = path.split(".")
        for name in folders:
            wire = wire[int(name)] if name.isdigit() else getattr(wire, name)
        if last.isdigit():
            wire[int(last)] = value
        else:
            setattr(wire, last, value)

    return change


def at(path: str, change: Callable[[Any], object]) -> Change:
    """Changes the list at a path."""

    def apply(wire: Any) -> None:
        for name in path.split("."):
            wire = wire[int(name)] if name.isdigit() else getattr(wire, name)
        change(wire)

    return apply


def reverse(path: str) -> Change:
    """A list in the opposite order."""
    return at(path, lambda entries: entries.reverse())


def repeat(path: str) -> Change:
    """A list whose first entry stands twice."""
    return at(path, lambda entries: entries.insert(0, entries[0]))


def empty(path: str) -> Change:
    """A list that is there without an entry."""
    return at(path, lambda entries: entries.clear())
