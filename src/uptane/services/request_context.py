"""The request that is being answered: its name, and the error that it ends with."""

from contextvars import ContextVar
from dataclasses import dataclass


@dataclass(slots=True)
class RequestRecord:
    """What a request leaves for the log.

    Args:
        id: its name, in the log, in the answer's header and in a problem's `instance`.
        code: of the error that it was answered with.
        what: that error in words.
    """

    id: str
    code: str = ""
    what: str = ""

    @property
    def uri(self) -> str:
        """The `instance` of a problem (RFC 9457)."""
        return f"urn:uptane:request:{self.id}"


CURRENT: ContextVar[RequestRecord | None] = ContextVar("uptane_request", default=None)
"""The request of this task; None outside of one."""
