"""XML-RPC messages: bytes to values and back, with no entity, no surprise and no value that does not survive.

Python's own `Unmarshaller` accepts almost anything, so it never sees a document that this module's grammar has not
admitted: expat refuses document types (and so every entity), the grammar refuses every element out of place, and
whole numbers, base64 and names are read strictly. Bytes travel as `base64`, exactly; None as `nil`. Floating-point
numbers and dates are refused in both directions: nothing in Uptane needs them.
"""

import binascii
import re
import xmlrpc.client as stdlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn, TypeAlias, cast
from xml.parsers import expat

from uptane.metadata.errors import FormatError

Value: TypeAlias = "str | int | bool | bytes | list[Value] | dict[str, Value] | None"
"""What XML-RPC can carry here."""

MAX_DEPTH = 16
"""Arrays and structs inside each other; the deepest of our calls needs three."""

MAX_VALUES = 100_000
"""Values in one message; ten times a vehicle with a thousand ECUs, and few megabytes of Python objects."""

_INT_MIN, _INT_MAX = -(2**31), 2**31 - 1
_SCALARS = frozenset({"string", "int", "i4", "boolean", "nil", "base64"})
_CONTAINERS = frozenset({"array", "struct"})
_TEXT = frozenset({"string", "int", "i4", "boolean", "base64", "name", "methodName", "value"})

# What may stand in an element, by the element and by what stands before it in the same element.
_NEXT: dict[tuple[str, str], frozenset[str]] = {
    ("", ""): frozenset({"methodCall", "methodResponse"}),
    ("methodCall", ""): frozenset({"methodName"}),
    ("methodCall", "methodName"): frozenset({"params"}),
    ("methodResponse", ""): frozenset({"params", "fault"}),
    ("params", ""): frozenset({"param"}),
    ("params", "param"): frozenset({"param"}),
    ("param", ""): frozenset({"value"}),
    ("fault", ""): frozenset({"value"}),
    ("value", ""): _SCALARS | _CONTAINERS,
    ("array", ""): frozenset({"data"}),
    ("data", ""): frozenset({"value"}),
    ("data", "value"): frozenset({"value"}),
    ("struct", ""): frozenset({"member"}),
    ("struct", "member"): frozenset({"member"}),
    ("member", ""): frozenset({"name"}),
    ("member", "name"): frozenset({"value"}),
}

# Elements that may not end before one of these has been their last child; all others may end at any time.
_LAST: dict[str, frozenset[str]] = {
    "methodCall": frozenset({"methodName", "params"}),
    "methodResponse": frozenset({"params", "fault"}),
    "param": frozenset({"value"}),
    "fault": frozenset({"value"}),
    "array": frozenset({"data"}),
    "member": frozenset({"value"}),
}

_METHOD_NAME = re.compile(r"[A-Za-z0-9_.:/]{1,128}")
_NUMBER = re.compile(r"[+-]?[0-9]{1,10}")
_NOT_IN_XML = re.compile("[^\t\n\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


@dataclass(frozen=True, slots=True)
class Fault:
    """The other side's refusal.

    Args:
        code: XML-RPC's number for it.
        text: what it says.
    """

    code: int
    text: str


def decode_call(raw: bytes) -> tuple[str, tuple[Value, ...]]:
    """A method call: the method's name and its arguments.

    Raises:
        FormatError: not a well-formed XML-RPC call, or beyond `MAX_DEPTH` or `MAX_VALUES`.
    """
    reader = _Reader("methodCall")
    values = reader.read(raw)
    method = reader.unmarshaller.getmethodname()
    if method is None or not _METHOD_NAME.fullmatch(method):
        _refuse("the name of the method is not a name")
    return method, values


def encode_call(method: str, args: Sequence[object]) -> bytes:
    """A method call as bytes.

    Raises:
        FormatError: an argument is nothing that XML-RPC can carry.
    """
    if not _METHOD_NAME.fullmatch(method):
        _refuse(f"{method!r} is not a method's name")
    return _dump(tuple(_checked(arg) for arg in args), method)


def decode_response(raw: bytes) -> "Value | Fault":
    """The one value of a response, or the fault in its place.

    Raises:
        FormatError: not a well-formed XML-RPC response, or beyond `MAX_DEPTH` or `MAX_VALUES`.
    """
    reader = _Reader("methodResponse")
    values = reader.read(raw)
    if len(values) != 1:
        _refuse(f"the response holds {len(values)} values instead of one")
    if not reader.is_fault:
        return values[0]
    match values[0]:
        case {"faultCode": int(code), "faultString": str(text), **rest} if not rest and not isinstance(code, bool):
            return Fault(code, text)
    return _refuse("the fault is not a pair of faultCode and faultString")


def encode_response(value: object) -> bytes:
    """A response as bytes.

    Raises:
        FormatError: the value is nothing that XML-RPC can carry.
    """
    return _dump((_checked(value),), None)


def encode_fault(code: int, text: str) -> bytes:
    """A fault as bytes; characters that XML cannot carry become question marks."""
    fault = stdlib.Fault(int(code), _NOT_IN_XML.sub("?", text))
    return stdlib.dumps(fault, methodresponse=True).encode()


def _dump(values: tuple[Any, ...], method: str | None) -> bytes:
    return stdlib.dumps(values, method, methodresponse=method is None, allow_none=True).encode()


def _checked(value: object, depth: int = 0) -> object:
    """The value, if it comes out on the other side as it went in."""
    match value:
        case None | bool() | bytes():
            return value
        case int():
            if not _INT_MIN <= value <= _INT_MAX:
                _refuse(f"{value} does not fit into the 32 bits of an XML-RPC integer")
            return int(value)
        case str():
            if _NOT_IN_XML.search(value):
                _refuse("a text holds a character that XML cannot carry; send it as bytes")
            return str(value)
        case _ if depth >= MAX_DEPTH:
            _refuse(f"values lie more than {MAX_DEPTH} deep in each other")
        case list() | tuple():
            return [_checked(item, depth + 1) for item in value]
        case dict():
            if not all(isinstance(name, str) for name in value):
                _refuse("the names in a struct are texts")
            return {_checked(name): _checked(item, depth + 1) for name, item in value.items()}
    return _refuse(f"XML-RPC cannot carry a {type(value).__name__} here")


def _refuse(why: str) -> NoReturn:
    raise FormatError(f"XML-RPC message refused: {why}")


class _StrictUnmarshaller(stdlib.Unmarshaller):
    """Python's stack machine with leaf values that are read to the letter."""

    _stack: list[Any]
    _marks: list[int]
    _value: bool

    def __init__(self) -> None:
        super().__init__(use_builtin_types=True)
        # expat hands out text, not bytes.
        self.xml("", False)

    def keep(self, value: Value) -> None:
        """Puts a finished value on the stack."""
        self._stack.append(value)
        self._value = False

    def end_whole_number(self, data: str) -> None:
        """Reads `int` and `i4`."""
        if not _NUMBER.fullmatch(data) or not _INT_MIN <= int(data) <= _INT_MAX:
            _refuse("a number is not a whole number of 32 bits")
        self.keep(int(data))

    def end_truth(self, data: str) -> None:
        """Reads `boolean`."""
        if data not in ("0", "1"):
            _refuse("a boolean is neither 0 nor 1")
        self.keep(data == "1")

    def end_bytes(self, data: str) -> None:
        """Reads `base64`, with the line breaks that XML-RPC allows and nothing else between its letters."""
        try:
            self.keep(binascii.a2b_base64("".join(data.split()).encode("ascii"), strict_mode=True))
        except ValueError:
            _refuse("a base64 value is damaged")

    def end_struct(self, data: str) -> None:
        """Reads `struct`, whose names are all different."""
        items = self._stack[self._marks.pop() :]
        struct = dict(zip(items[::2], items[1::2], strict=True))
        if len(struct) * 2 != len(items):
            _refuse("a struct names a member twice")
        del self._stack[len(self._stack) - len(items) :]
        self.keep(struct)

    def end_refusal(self, data: str) -> None:
        """Reads `fault`: its struct stays a value, so that the caller judges it."""
        self._type = "params"

    dispatch = {  # noqa: RUF012 - as in the base class
        **stdlib.Unmarshaller.dispatch,
        "int": cast(Callable[[stdlib.Unmarshaller, str], None], end_whole_number),
        "i4": cast(Callable[[stdlib.Unmarshaller, str], None], end_whole_number),
        "boolean": cast(Callable[[stdlib.Unmarshaller, str], None], end_truth),
        "base64": cast(Callable[[stdlib.Unmarshaller, str], None], end_bytes),
        "struct": cast(Callable[[stdlib.Unmarshaller, str], None], end_struct),
        "fault": cast(Callable[[stdlib.Unmarshaller, str], None], end_refusal),
    }


class _Reader:
    """One document on its way through expat and the grammar into the unmarshaller."""

    def __init__(self, document: str) -> None:
        self.unmarshaller = _StrictUnmarshaller()
        self.is_fault = False
        self._document = document
        # The open elements, and the last child seen in each.
        self._path = [""]
        self._last = [""]
        self._values = 0
        self._depth = 0
        self._text: list[str] = []

    def read(self, raw: bytes) -> tuple[Value, ...]:
        parser = expat.ParserCreate("utf-8")
        parser.buffer_text = True
        parser.XmlDeclHandler = self._declaration
        parser.StartDoctypeDeclHandler = self._forbidden
        parser.EntityDeclHandler = self._forbidden
        parser.ExternalEntityRefHandler = self._forbidden
        parser.ProcessingInstructionHandler = self._forbidden
        parser.StartElementHandler = self._start
        parser.EndElementHandler = self._end
        parser.CharacterDataHandler = self._text.append
        try:
            parser.Parse(raw, True)
        except expat.ExpatError as error:
            raise FormatError(f"XML-RPC message refused: {error}") from error
        return cast(tuple[Value, ...], self.unmarshaller.close())

    def _declaration(self, version: str, encoding: str | None, standalone: int) -> None:
        if encoding is not None and encoding.lower() != "utf-8":
            _refuse("its encoding is not UTF-8")

    def _forbidden(self, *_: object) -> NoReturn:
        _refuse("it holds a document type, an entity or a processing instruction")

    def _start(self, tag: str, attributes: dict[str, str]) -> None:
        parent = self._path[-1]
        if tag not in _NEXT.get((parent, self._last[-1]), ()) or attributes or (not parent and tag != self._document):
            _refuse(f"<{tag[:40]}> has no place in <{parent or self._document}>")
        self._take_text(parent, inner=True)
        self._last[-1] = tag
        self._path.append(tag)
        self._last.append("")
        self._count(tag)
        self.unmarshaller.start(tag, attributes)

    def _count(self, tag: str) -> None:
        self.is_fault = self.is_fault or tag == "fault"
        self._values += tag == "value"
        self._depth += tag in _CONTAINERS
        if self._values > MAX_VALUES:
            _refuse(f"more than {MAX_VALUES} values")
        if self._depth > MAX_DEPTH:
            _refuse(f"values lie more than {MAX_DEPTH} deep in each other")

    def _end(self, tag: str) -> None:
        self._path.pop()
        last = self._last.pop()
        self._depth -= tag in _CONTAINERS
        if tag in _LAST and last not in _LAST[tag]:
            _refuse(f"<{tag}> is incomplete")
        text = self._take_text(tag, inner=bool(last))
        self.unmarshaller.data(text)
        self.unmarshaller.end(tag)

    def _take_text(self, tag: str, *, inner: bool) -> str:
        """The text since the last tag; between elements it may be white space only."""
        text = "".join(self._text)
        self._text.clear()
        if (inner or tag not in _TEXT) and text.strip(" \t\r\n"):
            _refuse(f"there is text in <{tag or 'the document'}> where elements belong")
        return text
