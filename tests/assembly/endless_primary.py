"""A Primary's process that runs update cycles until it is killed; used by the power loss test."""

import sys
from pathlib import Path

from uptane.assembly.vehicle import EcuFolder, connect_primary
from uptane.demonstration.settings import load_settings
from uptane.signing.signer import KeySigner
from uptane.storage.key_files import KeyFolder
from uptane.vehicle.memory import EcuMemory

settings = load_settings()
folder = EcuFolder(path=Path(sys.argv[1]))
with folder.state() as state, folder.slots() as slots:
    primary = connect_primary(
        EcuMemory(state, settings.profile),
        KeySigner(KeyFolder(settings.keys).load_or_generate("primary")),
        slots,
        director_url=settings.url(settings.ports.director_calls),
        timeserver_url=settings.url(settings.ports.timeserver),
        refetch_images=True,
    )
    for _ in range(int(sys.argv[2])):
        primary.update_cycle()
        print(primary.memory.state.installed.path, flush=True)
