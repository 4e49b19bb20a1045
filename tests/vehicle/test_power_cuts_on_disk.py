"""The power fails after every single open, write, fsync, rename and unlink of a cycle, on real files of an ECU.

What such a disk then holds is built anew: what was synced, and any part of what was not.
"""

import random
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
from device import Device, new_device
from failing_disk import CuttableLayer
from power import Bench, PowerCut

from uptane.formats.profile import Profile
from uptane.storage.ecu_state import EcuStateFolder
from uptane.storage.image_slots import ImageSlotFolder
from uptane.vehicle.memory import VerificationKind


class Disk:
    """The disk of one ECU, and what is left of it after a power cut at its `at`-th change."""

    def __init__(self, folder: Path) -> None:
        self._folder, self.left = folder, 0
        self._layers = {name: CuttableLayer(folder / name) for name in ("state", "images")}
        for name, layer in self._layers.items():
            layer.after_each = self._changed
            (folder / name).mkdir(parents=True, mode=0o700)
        self.device = Device(
            EcuStateFolder(folder / "state", layer=self._layers["state"]),
            ImageSlotFolder(folder / "images", layer=self._layers["images"]),
            new_device().signer,
        )
        self._close = [self.device.store.close, self.device.slots.close]  # type: ignore[attr-defined]

    def _changed(self) -> None:
        if self.left == 0:
            return
        self.left -= 1
        if self.left == 0:
            chance = random.Random(str(self._folder))
            self.after.mkdir()
            for name, layer in self._layers.items():
                layer.after_power_cut(self.after / name, chance)
            raise PowerCut

    @property
    def after(self) -> Path:
        """What the power cut leaves."""
        return self._folder / "after"

    def open_again(self) -> Device:
        """The ECU with what is left."""
        self.close()
        store, slots = EcuStateFolder(self.after / "state"), ImageSlotFolder(self.after / "images")
        self._close = [store.close, slots.close]
        return Device(store, slots, self.device.signer)

    def close(self) -> None:
        """Lets go of the folders."""
        for close in self._close:
            close()


@pytest.mark.slow
@pytest.mark.standard("STD-5.4.4-5", "STD-5.4.2.6-5", "STD-5.4.4-4")
@pytest.mark.parametrize(
    ("who", "made"),
    [
        (0, {}),
        (1, {}),
        (1, {"verification": VerificationKind.PARTIAL}),
        (1, {"storage_limited": True}),
    ],
    ids=["Primary", "Secondary", "partial Secondary", "storage-limited Secondary"],
)
def test_whatever_the_disk_holds_after_a_power_cut_the_next_cycles_bring_the_update(
    profile: Profile, who: int, made: dict[str, object], tmp_path: Path, count_power_cuts: Callable[[int], None]
) -> None:
    cuts = 0
    while True:
        disks: list[Disk] = []

        def device(turn: int = cuts, made_here: list[Disk] = disks) -> Device:
            made_here.append(Disk(tmp_path / f"{turn}-{len(made_here)}"))
            return made_here[-1].device

        bench = Bench(profile, device, **made)
        disk = disks[who]
        disk.left = cuts + 1
        with suppress(PowerCut):
            bench.car.cycle()
        if disk.left:
            break
        cuts += 1
        again = disk.open_again()
        if who == 0:
            bench.car.device = again
        else:
            bench.car.tcu.device = again
        bench.car.restart_primary()
        bench.car.tcu.start()
        bench.check()
        bench.finish()
        for each in disks:
            each.close()
    assert cuts > 40
    count_power_cuts(cuts)
