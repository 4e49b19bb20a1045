"""The Timeserver's door."""

from collections.abc import Callable, Mapping
from datetime import datetime

from uptane.formats.call_values import to_call
from uptane.metadata.errors import FormatError
from uptane.services.arguments import integer
from uptane.timeserver.timeserver import Timeserver


def timeserver_methods(
    timeservers: Mapping[str, Timeserver], clock: Callable[[], datetime]
) -> Mapping[str, Callable[..., object]]:
    """The methods that Primaries call: `get_signed_time` and `get_signed_time_der`.

    Args:
        timeservers: the Timeserver for each kind of file, `json` and `der`, with the same key.
        clock: the server's time, UTC.
    """

    def get_signed_time(nonces: object) -> object:
        """A JSON attestation over the nonces."""
        return _attest(timeservers["json"], nonces, clock())

    def get_signed_time_der(nonces: object) -> object:
        """A DER attestation over the nonces."""
        return _attest(timeservers["der"], nonces, clock())

    return {"get_signed_time": get_signed_time, "get_signed_time_der": get_signed_time_der}


def _attest(timeserver: Timeserver, nonces: object, now: datetime) -> object:
    return to_call(timeserver.attest(_nonces(nonces), now), as_struct=timeserver.profile.structs_in_calls)


def _nonces(value: object) -> list[int]:
    if not isinstance(value, list):
        raise FormatError(f"nonces must be a list, not {type(value).__name__}", field="nonces")
    return [integer(nonce, "nonce") for nonce in value]
