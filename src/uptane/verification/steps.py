"""A verification procedure is a generator of effects; two drivers answer them, one for each kind of caller.

`Fetch` asks for a file and is answered by its bytes, or by None where the other side says that there is none
(HTTP 404 or 403); anything else that goes wrong is raised by the fetcher as `UnreachableError`. `Keep` makes one
Root durable. `Commit` makes the other files durable, all at once.
"""

from collections.abc import Generator, Mapping
from dataclasses import dataclass
from typing import Protocol, TypeAlias, TypeVar

from uptane.metadata.identifiers import RepositoryName

ResultT = TypeVar("ResultT")


@dataclass(frozen=True, slots=True)
class Fetch:
    """Get the metadata file `name` of a repository, at most `limit` bytes of it."""

    repository: RepositoryName
    name: str
    limit: int


@dataclass(frozen=True, slots=True)
class Keep:
    """Make a verified Root durable and forget the files of the roles in `drop` (STD-5.4.4.3-6, -9)."""

    repository: RepositoryName
    version: int
    raw: bytes
    drop: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Commit:
    """Make verified files of all repositories durable together, each under its repository and role (AMB-27)."""

    files: Mapping[RepositoryName, Mapping[str, bytes]]


Effect: TypeAlias = Fetch | Keep | Commit
Procedure: TypeAlias = Generator[Effect, bytes | None, ResultT]


class Fetcher(Protocol):
    """Where files come from."""

    def fetch(self, repository: RepositoryName, name: str, limit: int) -> bytes | None:
        """The file, or None where there is none; raises UnreachableError, EndlessDataError, SlowRetrievalError."""
        ...


class Keeper(Protocol):
    """Where trusted files go."""

    def keep(self, step: Keep) -> None:
        """Makes the Root durable."""
        ...

    def commit(self, step: Commit) -> None:
        """Makes the files durable, all or none."""
        ...


class AsyncFetcher(Protocol):
    """`Fetcher` for a server."""

    async def fetch(self, repository: RepositoryName, name: str, limit: int) -> bytes | None:
        """See `Fetcher.fetch`."""
        ...


def run(procedure: Procedure[ResultT], fetcher: Fetcher, keeper: Keeper) -> ResultT:
    """Drives a procedure to its result; errors of the fetcher and the keeper end it."""
    answer: bytes | None = None
    try:
        while True:
            match procedure.send(answer):
                case Fetch(repository, name, limit):
                    answer = fetcher.fetch(repository, name, limit)
                case Keep() as step:
                    keeper.keep(step)
                    answer = None
                case Commit() as step:
                    keeper.commit(step)
                    answer = None
    except StopIteration as stop:
        result: ResultT = stop.value
        return result


async def run_async(procedure: Procedure[ResultT], fetcher: AsyncFetcher, keeper: Keeper) -> ResultT:
    """`run` for a caller whose files come asynchronously; what is kept is kept in memory."""
    answer: bytes | None = None
    try:
        while True:
            match procedure.send(answer):
                case Fetch(repository, name, limit):
                    answer = await fetcher.fetch(repository, name, limit)
                case Keep() as step:
                    keeper.keep(step)
                    answer = None
                case Commit() as step:
                    keeper.commit(step)
                    answer = None
    except StopIteration as stop:
        result: ResultT = stop.value
        return result
