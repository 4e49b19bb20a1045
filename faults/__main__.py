"""`make faults`: breaks everything that production servers stand on, under load, and looks for what was lost."""

import argparse
import os
import random
import sys
import tempfile
import threading
import time
from collections import Counter
from pathlib import Path

from faults.checks import check, sabotage
from faults.ledger import Ledger
from faults.load import Allowed, Car, Operator, listen
from faults.outages import outages
from faults.stack import Stack, running
from uptane.assembly.settings import load_settings

BETWEEN_SECONDS = 1.5
"""Load without an outage, between two of them."""

SECONDS_TO_RECOVER = 60.0
"""In which every vehicle must end a cycle well after an outage."""


def main() -> int:
    """The exit code."""
    parser = argparse.ArgumentParser(prog="faults", description=__doc__)
    parser.add_argument("--rounds", type=int, default=2, help="how often each outage happens (default: 2)")
    parser.add_argument("--vehicles", type=int, default=4, help="vehicles without a pause (default: 4)")
    parser.add_argument("--workers", type=int, default=2, help="processes of uptane serve (default: 2)")
    parser.add_argument("--seed", type=int, default=int(time.time()), help="gives the same order and pauses again")
    parser.add_argument("--sabotage", action="store_true", help="lose something at the end: the run must tell of it")
    options = parser.parse_args()
    print(f"{options.vehicles} vehicles, {options.workers} workers; --seed {options.seed}", flush=True)
    ledger, done = Ledger(), Counter[str]()
    with tempfile.TemporaryDirectory(prefix="uptane-faults-") as name, running(Path(name), options.workers) as stack:
        _run(stack, ledger, done, options)
    for what, number in done.items():
        print(f"{number:6}  {what}")
    for what, number in sorted(ledger.counts.items()):
        print(f"{number:6}  {what}")
    print(f"{ledger.versions:6}  different versions of metadata files that vehicles trusted")
    for violation in ledger.violations:
        print(f"VIOLATED: {violation}")
    print(f"{len(ledger.violations)} violations")
    return 1 if ledger.violations or not done else 0


def _run(stack: Stack, ledger: Ledger, done: Counter[str], options: argparse.Namespace) -> None:
    chance, allowed, stop = random.Random(options.seed), Allowed(), threading.Event()
    os.environ.update(stack.environment)
    listen(ledger)
    folders = [stack.fleet.with_name(f"car-{number}") for number in range(options.vehicles)]
    for number, folder in enumerate(folders):
        with stack.operate(["vehicle", "add", f"VIN{number}", "--package", str(folder)]) as adding:
            said = adding.communicate()[1]
        if adding.returncode:
            raise RuntimeError(said)
    cars = [Car(folder, ledger, allowed, stop, random.Random(chance.random())) for folder in folders]
    everyone = [(car.settings.vehicle, car.settings.ecu) for car in cars]
    images = stack.fleet.with_name("images")
    images.mkdir()
    operator = Operator(stack.operate, images, everyone, ledger, stop, random.Random(chance.random()))
    for thread in (*cars, operator):
        thread.start()
    _all_recover(cars, operator, stack, ledger, "their start")
    every = outages(stack, operator, ledger, chance) * options.rounds
    # The clock goes last: a server that starts while it is ahead shows a certificate that is not valid yet.
    for outage in sorted(every, key=lambda outage: outage.moves_clock):
        time.sleep(BETWEEN_SECONDS)
        allowed.kinds = outage.allows
        print(f"{outage.name} ...", flush=True)
        outage.happen()
        done[outage.name] += 1
        _all_recover(cars, operator, stack, ledger, outage.name)
        allowed.kinds = ()
    _finish(stack, ledger, cars, operator, stop, sabotaged=options.sabotage)


def _all_recover(cars: list[Car], operator: Operator, stack: Stack, ledger: Ledger, after: str) -> None:
    """Waits until every vehicle has ended a whole cycle well since the outage was over, and an image was published."""
    stack.wait_until_ready()
    before, deadline = [car.cycles + 1 for car in cars], time.monotonic() + SECONDS_TO_RECOVER
    images = ledger.counts["images acknowledged"] + 1
    while any(car.is_alive() and car.cycles <= needed for car, needed in zip(cars, before, strict=True)) or (
        operator.is_alive() and ledger.counts["images acknowledged"] <= images
    ):
        stack.restart()
        if time.monotonic() > deadline:
            ledger.violated(f"after {after} a vehicle or the operator did not succeed within {SECONDS_TO_RECOVER} s")
            return
        time.sleep(0.05)


def _finish(
    stack: Stack, ledger: Ledger, cars: list[Car], operator: Operator, stop: threading.Event, *, sabotaged: bool
) -> None:
    """The operator ends, every vehicle comes to what it shall have, and then everything is counted."""
    operator.stop()
    operator.join(SECONDS_TO_RECOVER)
    _all_recover(cars, operator, stack, ledger, "the end of the load")
    stop.set()
    for car in cars:
        car.join(SECONDS_TO_RECOVER)
        shall = ledger.assignments.get(car.settings.vehicle)
        if shall is not None and car.runs != shall:
            ledger.violated(f"vehicle {car.name} runs {car.runs}, and shall have {shall}")
    if sabotaged:
        sabotage(load_settings(stack.fleet), ledger, cars)
    check(load_settings(stack.fleet), ledger, cars)
    if code := stack.stop():
        ledger.violated(f"uptane serve ended with exit code {code}")


if __name__ == "__main__":
    sys.exit(main())
