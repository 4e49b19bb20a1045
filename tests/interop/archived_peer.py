"""A window of the walkthrough played as the archived implementation played it: `archived_peer.py WINDOW`.

Started like our own windows, by the same variables, and driven by the same lines: a call is a line of JSON,
`{"call": "dp.update_cycle", "args": [...], "kwargs": {...}}`; the line that begins with `DONE` ends its answer.
"""

import json
import sys
from collections.abc import Callable, Mapping

from archived.director import DirectorWindow
from archived.image_repository import ImageRepositoryWindow
from archived.primary import PrimaryWindow
from archived.secondary import SecondaryWindow
from archived.settings import Settings, load_settings
from archived.timeserver import TimeserverWindow

DONE = "[uptane] DONE "
WINDOWS: Mapping[str, Mapping[str, Callable[[Settings], object]]] = {
    "services": {"di": ImageRepositoryWindow, "dd": DirectorWindow, "dt": TimeserverWindow},
    "primary": {"dp": PrimaryWindow},
    "secondary": {"ds": SecondaryWindow},
}


def answer(consoles: Mapping[str, object], line: str) -> object:
    """Does one call; whatever goes wrong is shown as one line and ends nothing."""
    call = json.loads(line)
    console, _, name = call["call"].partition(".")
    try:
        member = getattr(consoles[console], name)
        value = member(*call.get("args", ()), **call.get("kwargs", {})) if callable(member) else member
    except Exception as error:  # noqa: BLE001 - the other side's mistakes arrive here as anything
        print(f"[uptane] ERROR: {type(error).__name__}: {error}", file=sys.stderr, flush=True)
        return None
    return value if isinstance(value, int | str | None) else None


def main() -> None:
    """Serves calls until the standard input ends."""
    settings = load_settings()
    settings.folder.mkdir(parents=True, exist_ok=True)
    consoles = {name: window(settings) for name, window in WINDOWS[sys.argv[1]].items()}
    print(DONE + "{}", flush=True)
    for line in sys.stdin:
        print(DONE + json.dumps({"value": answer(consoles, line)}), flush=True)
    for console in consoles.values():
        if isinstance(console, PrimaryWindow):
            console.clean_up()


if __name__ == "__main__":
    main()
