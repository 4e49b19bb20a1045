"""A Secondary's process that runs update cycles until it is killed; used by the power loss test."""

import sys
from pathlib import Path

from uptane.assembly.vehicle import EcuFolder, connect_secondary
from uptane.formats.profiles import PROFILES
from uptane.signing.signer import KeySigner
from uptane.storage.key_files import KeyFolder
from uptane.vehicle.memory import EcuMemory

folder, port, name, cycles = Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3], int(sys.argv[4])
with EcuFolder(path=folder).state() as state, EcuFolder(path=folder).slots() as slots:
    secondary = connect_secondary(
        EcuMemory(state, PROFILES[name]),
        KeySigner(KeyFolder(folder / "keys").load_or_generate("secondary")),
        slots,
        primary_url=f"http://127.0.0.1:{port}",
    )
    print("up", flush=True)
    for _ in range(cycles):
        print(secondary.update_cycle().outcome, flush=True)
