"""What an ECU holds is judged as well: a Root of another vehicle is none, and each file is a floor on its own."""

from dataclasses import replace

import pytest
from both_repositories import name_of, repository
from msgspec import structs
from world import DIRECTOR, VIN, Repository, World, listed, refused

from uptane.metadata.errors import ReplayedMetadataError, WrongVehicleError
from uptane.metadata.identifiers import VehicleIdentifier
from uptane.metadata.root import Role
from uptane.verification.trusted import Held

__all__ = ["repository"]


@pytest.mark.standard("STD-5.4.4.3-1", "STD-5.2.3.1-6")
def test_a_held_root_of_another_vehicle_is_never_built_on(world: World) -> None:
    ecu, good = world.primary, world.primary.held[DIRECTOR]
    other = Repository(world.profile, vehicle=VehicleIdentifier("othercar"))
    ecu.held[DIRECTOR] = Held(root=other.files[other.name(Role.ROOT)], files=good.files)
    ecu.fetched.clear()
    with pytest.raises(WrongVehicleError) as refusal:
        ecu.cycle()
    assert (refusal.value.facts["expected"], refusal.value.facts["offered"]) == (VIN, "othercar")
    assert ecu.fetched == []
    ecu.held[DIRECTOR] = good
    ecu.cycle()


@pytest.mark.standard("STD-5.4.4.5-4")
@pytest.mark.parametrize("version", [1, 4])
def test_an_older_snapshot_is_a_rollback_also_where_the_timestamp_was_lost(
    world: World, repository: Repository, version: int
) -> None:
    """The keys of Timestamp and Snapshot are stolen; a Timestamp that is not held sets no floor for the Snapshot."""
    for _ in range(3):
        repository.publish()
    ecu, name = world.primary, name_of(repository)
    ecu.cycle()
    files = {role: raw for role, raw in ecu.held[name].files.items() if role != Role.TIMESTAMP}
    ecu.held[name] = replace(ecu.held[name], files=files)
    assert repository.snapshot.version == 5
    with refused(ecu, ReplayedMetadataError) as refusal:
        raw = repository.write(
            Role.SNAPSHOT, structs.replace(repository.snapshot, version=version), repository.signers[Role.SNAPSHOT]
        )
        repository.offer(Role.TIMESTAMP, snapshot=listed(raw, version))
    assert (refusal.facts["role"], refusal.facts["expected"], refusal.facts["offered"]) == ("snapshot", 5, version)
