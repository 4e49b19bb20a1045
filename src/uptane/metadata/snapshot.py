"""Snapshot metadata: the version of every Targets file of a repository (STD-5.2.4)."""

from collections.abc import Mapping

from msgspec import Struct

from uptane.metadata.delegations import TARGETS_ROLE
from uptane.metadata.digests import Digests
from uptane.metadata.errors import FormatError
from uptane.metadata.identifiers import RoleName
from uptane.metadata.root import Common, check_version
from uptane.metadata.targets import check_length


class MetadataFile(Struct, frozen=True, kw_only=True, gc=False):
    """What a parent role says of a metadata file.

    Args:
        version: the version in the file.
        length: its size in bytes, where listed (M-60, M-65; AMB-10).
        digests: its hashes, where listed.
    """

    version: int
    length: int | None = None
    digests: Digests | None = None

    def __post_init__(self) -> None:
        check_version(self.version)
        if self.length is not None:
            check_length(self.length)


class Snapshot(Common, frozen=True, kw_only=True, gc=False):
    """Snapshot metadata.

    Args:
        files: every Targets file by the name of its role, `targets` among them.
        root: the Root entry of older repositories (STD-5.2.4-2), which has an effect only where the profile has
            `unsafe_root_through_snapshot`; others drop it when decoding.
    """

    files: Mapping[RoleName, MetadataFile]
    root: MetadataFile | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if TARGETS_ROLE not in self.files:
            raise FormatError("Snapshot does not list the Targets file", field="meta")
