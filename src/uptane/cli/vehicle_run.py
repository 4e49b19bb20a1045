"""`uptane vehicle run` and `uptane vehicle secondary run`: the ECUs of a vehicle as programs."""

import json
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter
from cyclopts.validators import Number

from uptane.cli.options import AsJson, Optional

if TYPE_CHECKING:
    from uptane.metadata.errors import UptaneError

Seconds = Annotated[float | None, Parameter(show_default=False, validator=Number(gte=0))]
Flag = Annotated[bool, Optional]
Cycles = Annotated[int, Parameter(show_default=False, validator=Number(gte=0))]


def vehicle_run(
    folder: Path, *, cycles: Cycles = 0, seconds: Seconds = None, verbose: Flag = False, json_output: AsJson = False
) -> None:
    """Run the Primary in a folder that `uptane vehicle add` made.

    Args:
        folder: the folder with `vehicle.toml`.
        cycles: how many update cycles; without end unless given.
        seconds: how long it waits between two cycles, on average; what the server asks for unless given.
        verbose: tell what is fetched, on standard error.
        json_output: print one JSON object for each cycle.
    """
    import random

    from uptane.assembly.cycling import ending_when_asked, opened_at_last, run_cycles
    from uptane.assembly.device import Device, open_device
    from uptane.assembly.device_package import load_device
    from uptane.vehicle.polling import Polling

    teller, polling = _Teller(json_output, verbose=verbose), Polling(random.random, seconds)
    settings = load_device(folder)
    with ending_when_asked(), ExitStack() as opened:

        def attempt() -> Device:
            return opened.enter_context(open_device(settings, teller.detail, polling.heard, teller.warn))

        device = attempt() if cycles else opened_at_last(attempt, polling, failed=teller.failed)
        if settings.door is not None:
            teller.warn(f"Secondaries come in at http://{settings.door.address}:{device.port}")

        def cycle() -> None:
            result = device.cycle()
            memory = device.primary.memory
            teller.tell(memory.ecu, memory.state.installed.path, nothing_new=result.nothing_new)

        run_cycles(cycle, polling, cycles=cycles, failed=teller.failed)


def secondary_run(
    folder: Path, *, cycles: Cycles = 0, seconds: Seconds = None, verbose: Flag = False, json_output: AsJson = False
) -> None:
    """Run the Secondary in a folder that `uptane vehicle add --secondary` made.

    Args:
        folder: the folder with `secondary.toml`.
        cycles: how many update cycles; without end unless given.
        seconds: how long it waits between two cycles, on average; what `secondary.toml` says unless given.
        verbose: tell what is fetched, on standard error.
        json_output: print one JSON object for each cycle.
    """
    import random

    from uptane.assembly.cycling import ending_when_asked, run_cycles
    from uptane.assembly.device_package import load_secondary
    from uptane.assembly.secondary_device import open_secondary
    from uptane.vehicle.polling import Polling

    teller, settings = _Teller(json_output, verbose=verbose), load_secondary(folder)
    polling = Polling(random.random, settings.poll_seconds if seconds is None else seconds)
    with ending_when_asked(), open_secondary(settings, teller.detail) as device:

        def cycle() -> None:
            result = device.cycle()
            memory = device.secondary.memory
            teller.tell(memory.ecu, memory.state.installed.path, outcome=result.outcome.value, reason=result.reason)

        run_cycles(cycle, polling, cycles=cycles, failed=teller.failed)


class _Teller:
    """Tells of cycles: in words, or as one JSON object each."""

    def __init__(self, as_json: bool, *, verbose: bool) -> None:
        self._as_json = as_json
        self._verbose = verbose

    def detail(self, line: str) -> None:
        if self._verbose:
            self.warn(line)

    def warn(self, line: str) -> None:
        print(line, file=sys.stderr, flush=True)

    def tell(self, ecu: str, image: str, **facts: Any) -> None:
        if self._as_json:
            print(json.dumps({"ecu": str(ecu), "runs": str(image), **facts}), flush=True)
        else:
            print(f"{ecu} runs {image}", flush=True)

    def failed(self, error: "UptaneError") -> None:
        """A cycle that failed, and is followed by another one."""
        if self._as_json:
            print(json.dumps({"error": str(error), "code": error.code}), flush=True)
        else:
            self.warn(f"uptane: {error} ({error.code})")
