"""What all consoles share: clear errors instead of tracebacks, and lines that say what happens."""

import functools
import sys
import traceback
from collections.abc import Callable
from typing import Concatenate, ParamSpec, Protocol, TypeVar

from uptane.demonstration.settings import Settings
from uptane.metadata.errors import UptaneError

ParametersT = ParamSpec("ParametersT")
ResultT = TypeVar("ResultT")

ERROR_LINE = "[uptane] ERROR: "
"""How an error begins in a console; scripts and tests look for it."""


def say(line: str) -> None:
    """Prints a line for the user."""
    print(line, flush=True)


class HasSettings(Protocol):
    """A console."""

    settings: Settings


ConsoleT = TypeVar("ConsoleT", bound=HasSettings)


def command(
    function: Callable[Concatenate[ConsoleT, ParametersT], ResultT],
) -> Callable[Concatenate[ConsoleT, ParametersT], ResultT | None]:
    """A method that users type: an error becomes one line, and the method returns None.

    With UPTANE_TRACEBACK=1 in the environment the traceback is shown too.
    """

    @functools.wraps(function)
    def wrapper(console: ConsoleT, /, *args: ParametersT.args, **kwargs: ParametersT.kwargs) -> ResultT | None:
        try:
            return function(console, *args, **kwargs)
        except UptaneError as error:
            _report(console, f"{type(error).__name__}: {error}")
        except KeyboardInterrupt:
            _report(console, "Stopped.")
        except Exception as error:  # noqa: BLE001 - a console user sees one line, not our stack
            _report(console, f"{type(error).__name__}: {error}. Set UPTANE_TRACEBACK=1 to see where.")
        return None

    return wrapper


_errors: list[str] = []


def failures() -> int:
    """How many commands have failed in this process."""
    return len(_errors)


def _report(console: HasSettings, text: str) -> None:
    _errors.append(text)
    if console.settings.traceback:
        traceback.print_exc()
    print(ERROR_LINE + text, file=sys.stderr, flush=True)
