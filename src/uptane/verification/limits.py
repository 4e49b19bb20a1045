"""The numbers that the Standard leaves to the implementer, in one record (NR-10)."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Limits of one update cycle.

    Args:
        root_bytes: bytes of a Root file; a hundred keys with their names need 30,000.
        timestamp_bytes: bytes of a Timestamp file, which needs some 400.
        snapshot_bytes: bytes of a Snapshot file: 20,000 delegated roles.
        targets_bytes: bytes of a Targets file: some 12,000 images.
        root_updates: new Roots followed in one cycle; the next cycle goes on from there.
        delegations: delegated roles visited for one image.
        delegation_depth: length of a chain of delegations.
    """

    root_bytes: int = 512_000
    timestamp_bytes: int = 16_384
    snapshot_bytes: int = 2_000_000
    targets_bytes: int = 5_000_000
    root_updates: int = 1024
    delegations: int = 256
    delegation_depth: int = 32


DEFAULT_LIMITS = Limits()
