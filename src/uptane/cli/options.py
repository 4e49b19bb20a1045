"""Options that several commands have."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

Servers = Annotated[Path, Parameter(name="--servers", env_var="UPTANE_SERVERS")]
AsJson = Annotated[bool, Parameter(name="--json", negative=(), show_default=False)]
Optional = Parameter(negative=(), show_default=False)
"""Of an option whose help says what holds without it."""
