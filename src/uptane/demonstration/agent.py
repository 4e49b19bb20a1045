"""One window of the walkthrough as a process: it takes calls as JSON lines and answers each with one line.

A call is `{"call": "dp.update_cycle", "args": [...], "kwargs": {...}}`. What the function prints goes to the
standard output as it would in a console; the line that begins with `DONE` ends it.
"""

import json
import sys
from collections.abc import Mapping

from uptane.demonstration.settings import Settings, load_settings

DONE = "[uptane] DONE "


def consoles(window: str, settings: Settings) -> Mapping[str, object]:
    """The consoles of a window by the names the walkthrough gives them.

    Args:
        window: `services`, `primary`, `secondary` or `secondary 2`.
        settings: the demonstration.
    """
    if settings.production:
        return _over_production_servers(window, settings)
    if window == "services":
        from uptane.demonstration.desk import Desk
        from uptane.demonstration.director_console import DirectorConsole
        from uptane.demonstration.image_repository_console import ImageRepositoryConsole
        from uptane.demonstration.timeserver_console import TimeserverConsole

        desk = Desk(settings)
        return {"di": ImageRepositoryConsole(desk), "dd": DirectorConsole(desk), "dt": TimeserverConsole(desk)}
    if window == "primary":
        from uptane.demonstration.primary_console import PrimaryConsole

        return {"dp": PrimaryConsole(settings)}
    from uptane.demonstration.secondary_console import SecondaryConsole

    return {"ds2" if window == "secondary 2" else "ds": SecondaryConsole(settings)}


def _over_production_servers(window: str, settings: Settings) -> Mapping[str, object]:
    if window == "primary":
        from uptane.demonstration.production_primary import ProductionPrimaryConsole

        return {"dp": ProductionPrimaryConsole(settings)}
    from uptane.demonstration.production_stack import ProductionStack

    stack = ProductionStack(settings)
    if window == "services":
        from uptane.demonstration.production_desk import (
            ProductionDesk,
            ProductionDirectorConsole,
            ProductionImageRepositoryConsole,
            ProductionTimeserverConsole,
        )

        desk = ProductionDesk(settings, stack)
        return {
            "di": ProductionImageRepositoryConsole(desk, stack),
            "dd": ProductionDirectorConsole(desk, stack),
            "dt": ProductionTimeserverConsole(desk),
        }
    from uptane.demonstration.secondary_console import SecondaryConsole

    return {"ds2" if window == "secondary 2" else "ds": SecondaryConsole(settings, stack)}


def main() -> None:
    """Serves calls until the standard input ends."""
    window = consoles(sys.argv[1], load_settings())
    print(DONE + "{}", flush=True)
    for line in sys.stdin:
        call = json.loads(line)
        console, _, name = call["call"].partition(".")
        member = getattr(window[console], name)
        value = member(*call.get("args", ()), **call.get("kwargs", {})) if callable(member) else member
        sys.stderr.flush()
        print(DONE + json.dumps({"value": value if isinstance(value, int | str | None) else None}), flush=True)


if __name__ == "__main__":
    main()
