"""What each change that waits was made from: it must not undo what another process has published since."""

from collections.abc import Iterable, Mapping

from msgspec import structs

from uptane.metadata.errors import StorageError
from uptane.metadata.identifiers import RoleName
from uptane.metadata.targets import Targets


class Bases:
    """The published content that each waiting change began with."""

    def __init__(self) -> None:
        self._read: Mapping[RoleName, Targets] = {}
        self._bases: dict[RoleName, Targets | None] = {}

    def read(self, published: Mapping[RoleName, Targets], waiting: Iterable[RoleName]) -> None:
        """Takes note of what is published; what waits and was not known was made from what was read before."""
        self._bases = {name: self._bases[name] if name in self._bases else self._read.get(name) for name in waiting}
        self._read = published

    def began(self, role: RoleName, content: Targets) -> Targets:
        """A change that begins with this, which it gives back."""
        self._bases[role] = content
        return content

    def check(self) -> None:
        """Raises StorageError where another process has published something else since: a revoked key would be back,
        or a release counter lower (STD-5.2.3.1.1-4).
        """
        for name, base in self._bases.items():
            now = self._read.get(name)
            if now is not base and (now is None or base is None or not _say_the_same(base, now)):
                raise StorageError(
                    f"another process has published {name} since it was changed here, and nothing is published",
                    next_step="Run the command again; in a console, discard the changes and make them anew.",
                    role=name,
                )


def _say_the_same(one: Targets, other: Targets) -> bool:
    """Whether they differ in version and expiry at most, as after they were signed again."""
    return structs.replace(one, version=other.version, expires=other.expires) == other
