"""The one table of exit codes: how a program that calls `uptane` learns what happened."""

from dataclasses import dataclass

from uptane.metadata.errors import (
    AlreadyRegisteredError,
    ProvisioningError,
    RetiredVehicleError,
    SecurityError,
    StorageError,
    UnknownEcuError,
    UnknownVehicleError,
    UnreachableError,
    UptaneError,
)

DONE = 0
CHECK_FAILED = 1
NOT_UNDERSTOOD = 2
"""cyclopts ends with it by itself."""
UNREACHABLE = 3
CANNOT_READ_OR_WRITE = 4
NOT_REGISTERED = 5


@dataclass(frozen=True, slots=True)
class ExitCode:
    """A line of the table.

    Args:
        number: what the program ends with.
        when: what that means, as one sentence.
        errors: the classes of errors that it stands for, with all below them that stand in no other line.
    """

    number: int
    when: str
    errors: tuple[type[UptaneError], ...] = ()


TABLE = (
    ExitCode(DONE, "It is done."),
    ExitCode(
        CHECK_FAILED,
        "Something does not verify, is malformed, is not allowed, or did not go as expected.",
        (SecurityError, UptaneError),
    ),
    ExitCode(NOT_UNDERSTOOD, "The command line cannot be understood."),
    ExitCode(UNREACHABLE, "A server or an ECU does not answer.", (UnreachableError,)),
    ExitCode(CANNOT_READ_OR_WRITE, "A file or a store cannot be read or written.", (StorageError,)),
    ExitCode(
        NOT_REGISTERED,
        "A vehicle, an ECU or a role is unknown, registered already or retired, or lacks what it must be made with.",
        (UnknownVehicleError, UnknownEcuError, AlreadyRegisteredError, RetiredVehicleError, ProvisioningError),
    ),
)
"""Every exit code; `uptane --help` and `docs/operations/commands.md` show it."""

EXIT_CODES: dict[type[UptaneError], int] = {kind: line.number for line in TABLE for kind in line.errors}


def exit_code_of(error: UptaneError) -> int:
    """The exit code of an error: that of its own class, or of the nearest one above it."""
    return next(EXIT_CODES[kind] for kind in type(error).__mro__ if kind in EXIT_CODES)


def as_markdown() -> str:
    """The table as lines of Markdown, each with its break; bullets would cost the import of Unicode's tables."""
    return "Exit codes:\n\n" + "  \n".join(f"{line.number}: {line.when}" for line in TABLE)
