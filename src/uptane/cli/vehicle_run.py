"""`uptane vehicle run`: a Primary over the device API."""

from pathlib import Path


def vehicle_run(folder: Path, *, cycles: int = 0, seconds: float = 3600.0, json_output: bool = False) -> int:
    """Run the Primary in a folder that `uptane vehicle add` made.

    Args:
        folder: the folder with `vehicle.toml`.
        cycles: how many update cycles; 0 is without end.
        seconds: how long it waits between two cycles, on average.
        json_output: print one JSON object for each cycle.
    """
    import random
    import time

    from uptane.assembly.device import open_device
    from uptane.assembly.device_package import load_device
    from uptane.metadata.errors import UptaneError

    with open_device(load_device(folder)) as primary:
        done = 0
        while True:
            try:
                primary.update_cycle()
            except UptaneError as error:
                if cycles:
                    raise
                print(f"uptane: {error}", flush=True)
            running = primary.memory.state.installed
            print(f"{primary.memory.ecu} runs {running.path}", flush=True)
            done += 1
            if done == cycles:
                return 0
            time.sleep(random.uniform(0.5, 1.5) * seconds)
