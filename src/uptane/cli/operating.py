"""What all commands of operators have in common: the servers are opened, and what was done is said in two ways."""

from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from uptane.assembly.production import Systems


def run(servers: Path, work: "Callable[[Systems], Coroutine[Any, Any, dict[str, Any]]]") -> dict[str, Any]:
    """Does some work on the systems in a folder of `uptane init`."""
    import asyncio

    from uptane.assembly.production import open_systems
    from uptane.assembly.settings import load_settings

    async def opened() -> dict[str, Any]:
        async with open_systems(load_settings(servers)) as systems:
            return await work(systems)

    return asyncio.run(opened())


def tell(said: dict[str, Any], text: str, json_output: bool) -> None:
    """Prints what was done, as one JSON object or in words."""
    if json_output:
        import json

        print(json.dumps(said))
    else:
        print(text)
