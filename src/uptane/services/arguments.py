"""Arguments of remote calls, checked for their type before anything else happens."""

from uptane.metadata.errors import FormatError


def text(value: object, what: str) -> str:
    """A text; FormatError for anything else."""
    if not isinstance(value, str):
        raise FormatError(f"{what} must be text, not {type(value).__name__}", field=what)
    return value


def flag(value: object, what: str) -> bool:
    """A boolean; FormatError for anything else."""
    if not isinstance(value, bool):
        raise FormatError(f"{what} must be true or false, not {type(value).__name__}", field=what)
    return value


def integer(value: object, what: str) -> int:
    """An integer, which a boolean is not; FormatError for anything else."""
    if type(value) is not int:
        raise FormatError(f"{what} must be an integer, not {type(value).__name__}", field=what)
    return value
