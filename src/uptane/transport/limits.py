"""The numbers of a transfer, each with its unit and reason."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class TransferLimits:
    """How long and how slow a transfer may be. Only time spent waiting for the other side counts.

    Args:
        connect_seconds: until a connection stands; a server that runs accepts one at once.
        read_seconds: until the next byte; a stalled server is given up before a driver notices.
        slow_start_seconds: grace before the speed counts, for mobile links that wake up first.
        min_bytes_per_second: on average over all bytes of an answer, its head included, once the grace is over.
            1 KiB of metadata takes no time at this speed and 100 MB of image three and a half hours; whoever sends
            more slowly keeps a vehicle from an update, which is slow retrieval.
        total_seconds: for the whole answer, however fast it comes: a night in a garage.
    """

    connect_seconds: float = 2.0
    read_seconds: float = 2.0
    slow_start_seconds: float = 3.0
    min_bytes_per_second: float = 8192.0
    total_seconds: float = 12 * 3600.0
