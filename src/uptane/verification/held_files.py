"""What an ECU holds, in the place of its repositories: whatever is verified with it asks nobody."""

from collections.abc import Mapping

from uptane.metadata.identifiers import RepositoryName
from uptane.metadata.root import Role
from uptane.verification.agreement import KnownRepository
from uptane.verification.steps import Commit, Keep


class HeldFiles:
    """A `Fetcher` that knows no newer file than those that are held; nothing comes of it that a `Keeper` has to keep.

    It offers the held Timestamps. What they list is held as well and is not fetched, or it is missing.

    Args:
        repositories: what is held of each; others have nothing.
    """

    def __init__(self, repositories: Mapping[RepositoryName, KnownRepository]) -> None:
        self._repositories = repositories

    def fetch(self, repository: RepositoryName, name: str, limit: int) -> bytes | None:
        """The held Timestamp, where that is asked for."""
        known = self._repositories.get(repository)
        if known is None or name != known.context.profile.requested_metadata(Role.TIMESTAMP):
            return None
        return known.held.files.get(Role.TIMESTAMP)

    def keep(self, step: Keep) -> None:
        """No newer Root is held."""

    def commit(self, step: Commit) -> None:
        """What is held is held already."""
