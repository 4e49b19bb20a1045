"""The repository map that an ECU was made with says where its files come from."""

from dataclasses import replace
from pathlib import Path

import pytest
from fleet import Fleet
from raw_sockets import HEAD, RawServer, saying
from world import DIRECTOR, IMAGES, PRIMARY, VIN, new_signer

from uptane.assembly.vehicle import EcuFolder, connect_primary
from uptane.formats.profiles import PROFILES
from uptane.metadata.errors import UnreachableError
from uptane.metadata.repository_map import MappedRepository, RepositoryKind, RepositoryMap
from uptane.metadata.root import Role
from uptane.vehicle.provisioning import provision

NOT_FOUND = saying(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
BROKEN = saying(HEAD + b"Content-Length: 9\r\n\r\nx")


@pytest.mark.standard("STD-5.4.4.2-4", "STD-5.2.6-3")
@pytest.mark.parametrize("mirrors", [1, 2])
def test_metadata_is_fetched_from_the_mirrors_of_the_map_in_their_order(tmp_path: Path, mirrors: int) -> None:
    profile, fleet = PROFILES["der"], Fleet(PROFILES["der"])
    fleet.add_vehicle(VIN)
    with RawServer(BROKEN) as broken, RawServer(NOT_FOUND) as good, RawServer(NOT_FOUND) as images:
        urls = (f"{broken.url}/{VIN}", f"{good.url}/{VIN}")[-mirrors:]
        director = MappedRepository(name=DIRECTOR, kind=RepositoryKind.DIRECTOR, urls=urls)
        repository = MappedRepository(name=IMAGES, kind=RepositoryKind.IMAGE, urls=(images.url,))
        mapped = RepositoryMap.basic(director=director, image_repository=repository)
        folder = EcuFolder(path=tmp_path)
        what = replace(fleet.provisioning(VIN, PRIMARY, 1), repository_map=mapped)
        with folder.state() as store, folder.slots() as slots:
            primary = connect_primary(
                provision(store, profile, what),
                new_signer(),
                slots,
                director_url="http://127.0.0.1:1",
                timeserver_url="http://127.0.0.1:1",
            )
            with pytest.raises(UnreachableError) as caught:
                primary.verify_metadata()
        assert caught.value.facts["role"] == Role.TIMESTAMP
        asked = [line.split(b" ")[1].decode() for line in good.requests]
        name = profile.metadata_name
        assert asked == [f"/{VIN}/metadata/{name(Role.ROOT, 2)}", f"/{VIN}/metadata/{name(Role.TIMESTAMP)}"]
        assert bool(broken.requests) == (mirrors == 2)
        assert images.requests == [], "the Director comes first, and nothing of it was found"
