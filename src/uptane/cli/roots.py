"""`uptane root renew`: the next Root, from somebody who has its keys."""

from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter
from cyclopts.validators import Number

from uptane.cli.operating import run, tell
from uptane.cli.options import AsJson, Optional, Servers

SYSTEMS = ("image-repository", "director")

DAYS = 122
"""A third of a Root's life, as servers do it that have the keys."""


def renew(
    system: Annotated[Literal["image-repository", "director"] | None, Parameter(show_default=False)] = None,
    /,
    *,
    key: Annotated[tuple[Path, ...], Optional] = (),
    days: Annotated[int, Parameter(validator=Number(gte=1))] = DAYS,
    servers: Servers = Path(),
    json_output: AsJson = False,
) -> None:
    """Sign Roots that expire soon again, with the same keys, and publish them.

    Servers do so by themselves where the Root keys are in their folder of keys. After a failure the same command again
    goes on.

    Args:
        system: image-repository, or director for the Root of every vehicle; both where none is named.
        key: the file of a private Root key that is kept elsewhere; can be given several times. It is not copied.
        days: Roots that are valid for longer than that stay as they are.
        servers: the folder of `uptane init`.
        json_output: print one JSON object.
    """
    from datetime import timedelta

    from uptane.assembly.roots import renew_roots

    which = SYSTEMS if system is None else (system,)
    said = run(servers, lambda systems: renew_roots(systems, which, key, timedelta(days=days)))
    lines = [
        f"{name}: {each['renewed']} of {each['of']} Roots are new"
        + (f"; the first expires on {each['first_expiry'][:10]}." if each["first_expiry"] else ".")
        for name, each in said.items()
    ]
    tell(said, "\n".join(lines), json_output)
