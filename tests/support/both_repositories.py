"""The same story on either repository."""

import pytest
from world import DIRECTOR, IMAGES, Repository, World

from uptane.metadata.root import Role

ROLES = [Role.TIMESTAMP, Role.SNAPSHOT, Role.TARGETS]


@pytest.fixture(params=["director", "images"])
def repository(request: pytest.FixtureRequest, world: World) -> Repository:
    return getattr(world, request.param)


def name_of(repository: Repository) -> str:
    return DIRECTOR if repository.vehicle else IMAGES
