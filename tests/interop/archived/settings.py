"""What the peer is told by its environment: the variables of the walkthrough's windows, and two of its own."""

import os
from dataclasses import dataclass
from pathlib import Path

from archived.wire_format import DER, JSON, WireFormat

FORMATS = {"pouf1": DER, "pouf1-json": JSON}
LISTEN_HOST = "127.0.0.1"


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """One demonstration.

    Args:
        wire: DER or JSON, for every system in it.
        folder: the working directory.
        image_repository: port of its files.
        director: port of its files.
        director_calls: port of its XML-RPC.
        timeserver: port of its XML-RPC.
        primary: first port that a Primary tries for its XML-RPC; 0 is any free one.
        calls_host: host to which XML-RPC clients connect.
        mirror_host: host from which files are fetched.
    """

    wire: WireFormat
    folder: Path
    image_repository: int
    director: int
    director_calls: int
    timeserver: int
    primary: int
    calls_host: str
    mirror_host: str

    @property
    def keys(self) -> Path:
        """The folder of key files."""
        return self.folder / "demo" / "keys"


def load_settings() -> Settings:
    """Settings from `UPTANE_DEMO__...`; the hosts from `ARCHIVED_PEER__CALLS_HOST` and `__MIRROR_HOST`."""

    def port(name: str, default: int) -> int:
        return int(os.environ.get(f"UPTANE_DEMO__PORT_{name}", default))

    return Settings(
        wire=FORMATS[os.environ.get("UPTANE_DEMO__FORMAT", "pouf1")],
        folder=Path(os.environ.get("UPTANE_DEMO__FOLDER", ".")).resolve(),
        image_repository=port("IMAGE_REPOSITORY", 30301),
        director=port("DIRECTOR", 30401),
        director_calls=port("DIRECTOR_CALLS", 30501),
        timeserver=port("TIMESERVER", 30601),
        primary=port("PRIMARY", 30701),
        # The archived clients literally connect to 0.0.0.0, which reaches this machine.
        calls_host=os.environ.get("ARCHIVED_PEER__CALLS_HOST", "0.0.0.0"),  # noqa: S104 - connects, never binds
        mirror_host=os.environ.get("ARCHIVED_PEER__MIRROR_HOST", "localhost"),
    )
