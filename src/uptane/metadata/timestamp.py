"""Timestamp metadata: the newest Snapshot of a repository (STD-5.2.5)."""

from uptane.metadata.errors import FormatError
from uptane.metadata.root import Common
from uptane.metadata.snapshot import MetadataFile


class Timestamp(Common, frozen=True, kw_only=True, gc=False):
    """Timestamp metadata.

    Args:
        snapshot: version and hashes of the newest Snapshot; this project always writes its length as well.
            `unsafe_tuf_no_snapshot_hash` files of plain TUF repositories may lack the hashes.
    """

    snapshot: MetadataFile

    def require_hash(self) -> None:
        """Raises FormatError unless the Snapshot's hash is listed (STD-5.2.5-2)."""
        if self.snapshot.digests is None:
            raise FormatError("Timestamp lists no hash of the Snapshot", field="meta")
