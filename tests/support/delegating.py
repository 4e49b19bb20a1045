"""Roles that delegate to each other, written in a few words."""

from dataclasses import replace
from functools import lru_cache

import pytest
from world import IMAGES, TCU, World, delegation, delegations, image, new_signer, refused, targets

from uptane.metadata.attacks import Attack
from uptane.metadata.delegations import Delegation
from uptane.metadata.errors import (
    ImageNotListedError,
    RepositoryMismatchError,
)
from uptane.metadata.identifiers import RoleName
from uptane.metadata.root import Role
from uptane.metadata.targets import Image, Targets
from uptane.signing.publish import Draft
from uptane.signing.signer import KeySigner


@lru_cache
def key(role: str) -> KeySigner:
    """The key of a delegated role."""
    return new_signer()


def to(role: str, *paths: str, **other: object) -> Delegation:
    """A delegation to one role, of every image in the top folder unless paths are given."""
    return delegation(role, [key(role)], paths=paths or ["*.img"], **other)


def to_all(*roles: str, agree: int | None = None, **other: object) -> Delegation:
    """A multi-role delegation; all must agree unless a number is given."""
    return delegation(
        {role: [key(role)] for role in roles}, paths=["*.img"], group="group", agree=agree or len(roles), **other
    )


def role(*content: Image | Delegation) -> Targets:
    """What a role signs: images and delegations."""
    images = [entry for entry in content if isinstance(entry, Image)]
    below = [entry for entry in content if isinstance(entry, Delegation)]
    signers = {member.name: key(str(member.name)) for entry in below for member in entry.roles}
    return targets(*images, delegations=delegations(list(signers.values()), *below))


def publish(world: World, **roles: Targets) -> None:
    """The Image repository publishes these roles, each signed by its key."""
    world.images.keyring |= {key(name).key.key_id: key(name) for name in roles}
    world.images.publish(Draft(targets={RoleName(name): content for name, content in roles.items()}))


def direct(world: World, content: bytes = b"x", path: str = "a.img") -> None:
    """The Director directs the TCU to an image."""
    world.director.publish_targets(image(path, content, ecus=(TCU,)))


def chosen(world: World, *contents: bytes, path: str = "a.img") -> bytes:
    """Which of these contents both repositories agree on."""
    for content in contents:
        direct(world, content, path)
        try:
            world.primary.cycle()
        except RepositoryMismatchError:
            continue
        return content
    raise AssertionError("none of them")


def not_found(world: World, path: str = "a.img") -> None:
    """The ECU refuses, because nobody with authority lists the image."""
    with refused(world.primary, RepositoryMismatchError) as refusal:
        direct(world, b"x", path)
    assert refusal.error is not None and isinstance(refusal.error.__cause__, ImageNotListedError)
    assert refusal.error.attack is Attack.ARBITRARY_SOFTWARE


def asked(world: World) -> list[str]:
    """The delegated roles in the order in which their files were fetched."""
    prefix, suffix = f"{IMAGES}/", f".{world.profile.format.name}"
    names = [file.removeprefix(prefix).removesuffix(suffix).split(".", 1)[-1] for file in world.primary.fetched]
    return [name for name in names if name not in set(Role) and not name.startswith("director")]


def forget_snapshot(world: World) -> None:
    """The ECU holds no Snapshot and Timestamp, as after a change of their keys."""
    held = world.primary.held[IMAGES]
    files = {name: raw for name, raw in held.files.items() if name not in (Role.SNAPSHOT, Role.TIMESTAMP)}
    world.primary.held[IMAGES] = replace(held, files=files)


X, Y, Z = image("a.img", b"x"), image("a.img", b"y"), image("a.img", b"z")


@pytest.fixture
def world(world: World) -> World:
    """Nothing is directed or listed: each test publishes what it is about."""
    direct_nothing = targets()
    world.director.publish(Draft(targets={RoleName("targets"): direct_nothing}))
    world.primary.cycle()
    return world
