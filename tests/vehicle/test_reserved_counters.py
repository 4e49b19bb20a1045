"""Counters that a cycle made durable for the next one: never used twice, and one write less in each cycle."""

from collections.abc import Mapping

from device import Device, new_device
from fleet import Fleet, Vehicle

from uptane.formats.profile import Profile
from uptane.metadata.vehicle_manifest import VehicleVersionManifest
from uptane.storage.memory import MemoryEcuStore


class CountingStore(MemoryEcuStore):
    """A memory that counts its writes."""

    writes = 0

    def write(self, changes: Mapping[str, bytes | None]) -> None:
        self.writes += 1
        super().write(changes)


def counters(vehicle: Vehicle) -> tuple[int, int]:
    """Of the manifest that the Primary makes now, and of its own report in it."""
    raw = vehicle.primary.make_manifest()
    manifest = vehicle.fleet.profile.format.decode(VehicleVersionManifest, raw).payload
    (own,) = (report.payload for report in manifest.reports if report.payload.ecu == vehicle.primary_ecu)
    return manifest.counter, own.counter


def test_no_counter_is_used_twice_whatever_happens_between_two_manifests(profile: Profile) -> None:
    """A manifest that was made and perhaps sent when the power failed has spent its counters."""
    vehicle = Vehicle(Fleet(profile))
    used = [counters(vehicle)]
    for _ in range(3):
        vehicle.primary.update_cycle()
        used += [counters(vehicle), counters(vehicle)]
        vehicle.restart_primary()
        used.append(counters(vehicle))
        vehicle.primary.update_cycle()
        vehicle.restart_primary()
        vehicle.primary.load_time()
        vehicle.primary.load_time()
        used.append(counters(vehicle))
    for kind in zip(*used, strict=True):
        assert list(kind) == sorted(set(kind))


def test_a_cycle_without_news_writes_once(profile: Profile) -> None:
    device = new_device()
    store = CountingStore()
    vehicle = Vehicle(
        Fleet(profile), device=lambda: Device(store, device.slots, device.signer) if not store.writes else new_device()
    )
    vehicle.cycle()
    vehicle.primary.update_cycle()
    before = store.writes
    vehicle.primary.update_cycle()
    assert store.writes == before + 1
