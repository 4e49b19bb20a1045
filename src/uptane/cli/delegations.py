"""Commands for operators: which supplier may sign for which images."""

from pathlib import Path
from typing import Annotated, Any

from uptane.cli.operating import run, tell
from uptane.cli.options import AsJson, Optional, Servers


def delegation_add(
    role: str,
    *,
    key: Annotated[tuple[Path, ...], Optional],
    path: Annotated[tuple[str, ...], Optional],
    hardware_id: Annotated[tuple[str, ...], Optional] = (),
    threshold: int = 1,
    terminating: Annotated[bool, Optional] = False,
    servers: Servers = Path(),
    json_output: AsJson = False,
) -> None:
    """Trust a supplier's keys for some images of the Image repository, and publish that.

    Of several roles with the same image, the one that was added first counts.

    Args:
        role: the supplier's role, a name that was never used before.
        key: a public key of his, a PEM file, as `uptane supplier key` makes it; can be given several times.
        path: the names of images he may sign for, with * and ? within a folder's name; can be given several times.
        hardware_id: hardware that he may sign for; any where none is given; can be given several times.
        threshold: how many of his keys must sign.
        terminating: ask no later role for an image of these names, also where this one does not list it.
        servers: the folder of `uptane init`.
        json_output: print one JSON object.
    """
    from uptane.assembly.delegating import add_delegation

    said = run(
        servers,
        lambda systems: add_delegation(
            systems, role, keys=key, paths=path, hardware=hardware_id, threshold=threshold, terminating=terminating
        ),
    )
    tell(said, f"Role {role} may sign for {', '.join(path)}. He signs with: uptane supplier sign", json_output)


def delegation_revoke(role: str, *, servers: Servers = Path(), json_output: AsJson = False) -> None:
    """Trust a supplier's role no more, and publish that: no vehicle installs what it alone lists.

    Args:
        role: the supplier's role.
        servers: the folder of `uptane init`.
        json_output: print one JSON object.
    """
    from uptane.assembly.delegating import revoke_delegation

    said = run(servers, lambda systems: revoke_delegation(systems, role))
    tell(said, f"Role {role} is revoked. What it listed, no vehicle installs any more.", json_output)


def delegation_list(*, servers: Servers = Path(), json_output: AsJson = False) -> None:
    """List the roles that may sign for images, those that count first at the front.

    Args:
        servers: the folder of `uptane init`.
        json_output: print one JSON object.
    """
    from uptane.assembly.delegating import list_delegations

    said = run(servers, list_delegations)
    tell(said, "\n".join(map(_line, said["delegations"])) or "Nobody else may sign for images.", json_output)


def _line(delegation: dict[str, Any]) -> str:
    roles = " and ".join(
        f"{role['role']} ({role['threshold']} of {len(role['keys'])} keys)" for role in delegation["roles"]
    )
    ends = ", and nobody after it" if delegation["terminating"] else ""
    return f"{roles}: {', '.join(delegation['paths'])}{ends}"
