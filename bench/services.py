"""The three services in a process of their own, as the demonstration runs them, with one image for the Primary."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager, redirect_stdout
from pathlib import Path
from socket import socket

from uptane.demonstration.desk import Desk
from uptane.demonstration.director_console import DirectorConsole
from uptane.demonstration.image_repository_console import ImageRepositoryConsole
from uptane.demonstration.settings import (
    DEFAULT_PRIMARY,
    DEFAULT_VEHICLE,
    PREFIX,
    Settings,
    environment_of,
    load_settings,
)
from uptane.demonstration.timeserver_console import TimeserverConsole

IMAGE = "firmware.img"
IMAGE_BYTES = 1_000_000
"""Bytes of the Primary's image, which a cycle that changes nothing hashes again."""


@contextmanager
def services(format_name: str, folder: Path) -> Iterator[Settings]:
    """Runs them in a child process; what is published stands still."""
    variables = {f"{PREFIX}FORMAT": format_name, f"{PREFIX}FOLDER": str(folder)} | _free_ports()
    settings = load_settings(variables)
    environment = {**os.environ, **environment_of(settings)}
    child = subprocess.Popen(
        [sys.executable, "-m", "bench.services"],
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with child:
        assert child.stdin is not None and child.stdout is not None
        if child.stdout.readline() != "ready\n":
            raise RuntimeError("the services did not start")
        yield settings
        child.stdin.close()


def _free_ports() -> dict[str, str]:
    with ExitStack() as stack:
        sockets = [stack.enter_context(closing(socket())) for _ in range(5)]
        for probe in sockets:
            probe.bind(("127.0.0.1", 0))
        numbers = [str(probe.getsockname()[1]) for probe in sockets]
    names = ("IMAGE_REPOSITORY", "DIRECTOR", "DIRECTOR_CALLS", "TIMESERVER", "PRIMARY")
    return {f"{PREFIX}PORT_{name}": number for name, number in zip(names, numbers, strict=True)}


def _serve() -> None:
    desk = Desk(load_settings())
    with redirect_stdout(sys.stderr if os.environ.get("BENCH_VERBOSE") else open(os.devnull, "w")):
        images, director, timeserver = ImageRepositoryConsole(desk), DirectorConsole(desk), TimeserverConsole(desk)
        images.clean_slate()
        director.clean_slate()
        timeserver.listen()
        key = desk.signer("primary").key
        desk.run(director.director.register_ecu(vehicle=DEFAULT_VEHICLE, ecu=DEFAULT_PRIMARY, key=key, is_primary=True))
        images.add_target_and_write_to_live(IMAGE, "x" * IMAGE_BYTES)
        director.add_target_and_write_to_live(IMAGE, "x" * IMAGE_BYTES, DEFAULT_VEHICLE, DEFAULT_PRIMARY)
    print("ready", flush=True)
    sys.stdin.read()
    os._exit(0)  # nothing is to be kept


if __name__ == "__main__":
    _serve()
