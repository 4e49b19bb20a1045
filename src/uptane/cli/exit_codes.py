"""The one table of exit codes: how a program that calls `uptane` learns what happened."""

from uptane.metadata.errors import (
    AlreadyRegisteredError,
    ProvisioningError,
    SecurityError,
    StorageError,
    UnknownEcuError,
    UnknownVehicleError,
    UnreachableError,
    UptaneError,
)

CHECK_FAILED = 1
"""Something does not verify, is malformed, or did not go as expected."""

# 2 is a command line that cannot be understood; cyclopts ends with it.

UNREACHABLE = 3
"""A server or an ECU does not answer."""

CANNOT_READ_OR_WRITE = 4
"""A file or a store cannot be read or written."""

NOT_REGISTERED = 5
"""A vehicle or an ECU is unknown, is registered already, or is not provisioned."""

EXIT_CODES: dict[type[UptaneError], int] = {
    SecurityError: CHECK_FAILED,
    UnreachableError: UNREACHABLE,
    StorageError: CANNOT_READ_OR_WRITE,
    UnknownVehicleError: NOT_REGISTERED,
    UnknownEcuError: NOT_REGISTERED,
    AlreadyRegisteredError: NOT_REGISTERED,
    ProvisioningError: NOT_REGISTERED,
    UptaneError: CHECK_FAILED,
}


def exit_code_of(error: UptaneError) -> int:
    """The exit code of an error: that of its own class, or of the nearest one above it."""
    return next(EXIT_CODES[kind] for kind in type(error).__mro__ if kind in EXIT_CODES)
