"""Whether the arguments of an XML-RPC call fit the annotations of the method that is to be called."""

import inspect
import types
import typing
from collections.abc import Callable, Mapping, Sequence

from uptane.formats.xmlrpc import Value
from uptane.metadata.errors import FormatError

_ANYTHING = (object, typing.Any)
_UNIONS = (typing.Union, types.UnionType)
_LISTS = (list, Sequence)
_MAPS = (dict, Mapping)
_WORDS = {str: "text", int: "whole number", bool: "boolean", bytes: "base64", type(None): "nil"}


class Parameters:
    """What a method takes, read once from its signature.

    Args:
        method: a callable whose parameters are annotated with `str`, `int`, `bool`, `bytes`, `None`, lists
            (`list[...]`, `Sequence[...]`), maps (`dict[str, ...]`, `Mapping[str, ...]`), unions of them, or `object`.

    Raises:
        TypeError: an annotation that XML-RPC cannot fill.
    """

    def __init__(self, method: Callable[..., object]) -> None:
        self._signature = inspect.signature(method)
        target = method if inspect.isroutine(method) or inspect.isclass(method) else type(method).__call__
        hints = typing.get_type_hints(target)
        self._types = {name: hints.get(name, object) for name in self._signature.parameters}
        for name, annotation in self._types.items():
            _check_annotation(annotation, name)

    def check(self, method: str, args: Sequence[Value]) -> None:
        """Raises FormatError when the number or a type of the arguments is wrong.

        Args:
            method: the name under which the method is called.
            args: the arguments as they came.
        """
        try:
            bound = self._signature.bind(*args)
        except TypeError as error:
            raise FormatError(f"{method} was called with {len(args)} arguments: {error}", field=method) from error
        for name, value in bound.arguments.items():
            if self._signature.parameters[name].kind is inspect.Parameter.VAR_POSITIONAL:
                fits = all(_fits(item, self._types[name]) for item in value)
            else:
                fits = _fits(value, self._types[name])
            if not fits:
                raise FormatError(
                    f"the argument {name} of {method} is not a {_describe(self._types[name])}", field=name
                )


def _check_annotation(annotation: object, name: str) -> None:
    origin, inner = typing.get_origin(annotation), typing.get_args(annotation)
    if origin in _UNIONS or (origin in _LISTS and inner):
        for option in inner:
            _check_annotation(option, name)
    elif origin in _MAPS and inner[0] is str:
        _check_annotation(inner[1], name)
    elif annotation not in (*_ANYTHING, *_WORDS, None):
        raise TypeError(f"XML-RPC cannot fill the parameter {name}: {annotation!r}")


def _fits(value: object, annotation: object) -> bool:
    origin, inner = typing.get_origin(annotation), typing.get_args(annotation)
    if annotation in _ANYTHING:
        return True
    if origin in _UNIONS:
        return any(_fits(value, option) for option in inner)
    if origin in _LISTS:
        return isinstance(value, list) and all(_fits(item, inner[0]) for item in value)
    if origin in _MAPS:
        return isinstance(value, dict) and all(_fits(item, inner[1]) for item in value.values())
    return value is None if annotation is None else type(value) is annotation


def _describe(annotation: object) -> str:
    inner = typing.get_args(annotation)
    if typing.get_origin(annotation) in _UNIONS:
        return " or ".join(_describe(option) for option in inner)
    if typing.get_origin(annotation) in _LISTS:
        return f"list of {_describe(inner[0])}"
    if inner:
        return f"struct of {_describe(inner[1])}"
    return _WORDS[annotation] if isinstance(annotation, type) else "value"
