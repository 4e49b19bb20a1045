"""The errors of the archived implementation, by the names it gave them."""

from collections.abc import Mapping


class ArchivedError(Exception):
    """ArchivedError
    ├── UnknownVehicle, UnknownECU, Spoofing: what a manifest or a registration claims
    ├── BadTimeAttestation, FailedToDecode, FailedToEncode
    ├── BadSignatureError, BadHashError, DownloadLengthMismatchError: one file
    ├── ReplayedMetadataError, BadVersionNumberError, ExpiredMetadataError: one role's metadata
    ├── UnknownTargetError: the repositories do not agree
    └── NoWorkingMirrorError: a file could not be had, with the reason for each URL
    """


class UnknownVehicle(ArchivedError):
    """A VIN that is not known."""


class UnknownECU(ArchivedError):
    """An ECU serial that is not known."""


class Spoofing(ArchivedError):
    """Somebody claims to be another ECU."""


class BadTimeAttestation(ArchivedError):
    """A signed time that does not list the nonces sent."""


class FailedToDecode(ArchivedError):
    """Bytes that are no signed object of the expected kind."""


class FailedToEncode(ArchivedError):
    """Values for which the DER has no room."""


class BadSignatureError(ArchivedError):
    """Too few good signatures."""


class BadHashError(ArchivedError):
    """Content with another hash."""


class DownloadLengthMismatchError(ArchivedError):
    """Content of another length."""


class ReplayedMetadataError(ArchivedError):
    """A version older than the trusted one."""


class BadVersionNumberError(ArchivedError):
    """A version other than the one that Snapshot lists."""


class ExpiredMetadataError(ArchivedError):
    """Metadata whose time is over."""


class UnknownTargetError(ArchivedError):
    """A target on which the repositories do not agree."""


class NoWorkingMirrorError(ArchivedError):
    """A file that no mirror could deliver in an acceptable form.

    Args:
        mirror_errors: the reason for each URL.
    """

    def __init__(self, mirror_errors: Mapping[str, Exception]) -> None:
        self.mirror_errors = dict(mirror_errors)
        super().__init__(
            "; ".join(f"{url}: {type(error).__name__}: {error}" for url, error in self.mirror_errors.items())
        )
