"""ECUs over HTTP and XML-RPC; imports no server library."""

import secrets
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from uptane.formats.profile import Profile
from uptane.metadata.targets import Image, ImageFile
from uptane.signing.signer import Signer
from uptane.storage.ecu_state import EcuStateFolder
from uptane.storage.image_slots import ImageSlotFolder
from uptane.transport.http_client import RepositoryClient
from uptane.transport.limits import TransferLimits
from uptane.transport.links import (
    DirectorOverXmlRpc,
    ImagesOverHttp,
    PrimaryOverXmlRpc,
    RepositoriesOverHttp,
    TimeserverOverXmlRpc,
)
from uptane.transport.third_hosts import HostPolicy, ThirdHostsOverHttp
from uptane.transport.xmlrpc_client import XmlRpcClient
from uptane.vehicle.attested_time import UnsafeSystemClock
from uptane.vehicle.installation import at_once, works
from uptane.vehicle.memory import EcuMemory
from uptane.vehicle.primary import Primary, World
from uptane.vehicle.secondary import Secondary, SecondaryWorld
from uptane.verification.full_verification import AskImageRepositories

DEFAULT_LIMITS = TransferLimits()


def new_nonce() -> int:
    """31 random bits from the operating system's cryptographic source."""
    return secrets.randbits(31)


@dataclass(frozen=True, slots=True, kw_only=True)
class EcuFolder:
    """The disk of an ECU: its memory, and its images.

    Args:
        path: the folder; made when it is missing.
    """

    path: Path

    def state(self) -> EcuStateFolder:
        """The durable memory; one process at a time may open it."""
        return EcuStateFolder(self.path / "state")

    def slots(self) -> ImageSlotFolder:
        """The image slots."""
        return ImageSlotFolder(self.path / "images")


def connect_primary(
    memory: EcuMemory,
    signer: Signer,
    slots: ImageSlotFolder,
    *,
    director_url: str,
    timeserver_url: str,
    refetch_images: bool = False,
    ask: AskImageRepositories = AskImageRepositories.WHEN_NEEDED,
    unsafe_refuse_single_images: bool = False,
    send_diffs: bool = False,
    limits: TransferLimits = DEFAULT_LIMITS,
    say: Callable[[str], None] = lambda line: None,
    may_install: Callable[[Image], bool] = at_once,
    unsafe_clock: UnsafeSystemClock | None = None,
    confirms: Callable[[ImageFile], bool] = works,
    third_hosts: HostPolicy | None = None,
) -> Primary:
    """A Primary whose repositories are those of its map, its Director and Timeserver at these URLs.

    Every mirror of a repository is asked for an image by itself, so that one goes on where another broke off. With
    `unsafe_clock`, the Timeserver is never asked.
    """
    urls = {repository.name: repository.urls for repository in memory.map.repositories}
    client = partial(RepositoryClient, limits=limits, on_event=say)
    mirrors = [(name, url) for name in memory.repositories for url in urls[name]]
    timeserver = XmlRpcClient(timeserver_url, peer="Timeserver")
    world = World(
        repositories=RepositoriesOverHttp({name: client(urls[name], name=name) for name in urls}),
        mirrors=[ImagesOverHttp(client([url], name=name)) for name, url in mirrors],
        director=connect_director(director_url, memory.profile),
        timeserver=TimeserverOverXmlRpc(timeserver, memory.profile) if unsafe_clock is None else unsafe_clock,
        slots=slots,
        new_nonce=new_nonce,
        say=say,
        may_install=may_install,
        confirms=confirms,
        third_hosts=None if third_hosts is None else ThirdHostsOverHttp(third_hosts, limits=limits, on_event=say),
    )
    return Primary(
        memory,
        signer,
        world,
        refetch_images=refetch_images,
        ask=ask,
        unsafe_refuse_single_images=unsafe_refuse_single_images,
        send_diffs=send_diffs,
    )


def connect_secondary(
    memory: EcuMemory,
    signer: Signer,
    slots: ImageSlotFolder,
    *,
    primary_url: str,
    say: Callable[[str], None] = lambda line: None,
    may_install: Callable[[Image], bool] = at_once,
    unsafe_clock: UnsafeSystemClock | None = None,
    confirms: Callable[[ImageFile], bool] = works,
) -> Secondary:
    """A Secondary whose Primary is at this URL; with `unsafe_clock` it takes no times from there."""
    link = PrimaryOverXmlRpc(XmlRpcClient(primary_url, peer="Primary"), memory.profile)
    world = SecondaryWorld(
        primary=link,
        slots=slots,
        new_nonce=new_nonce,
        say=say,
        may_install=may_install,
        confirms=confirms,
        unsafe_clock=unsafe_clock,
    )
    return Secondary(memory, signer, world)


def connect_director(url: str, profile: Profile) -> DirectorOverXmlRpc:
    """The Director's door for ECUs at this URL."""
    return DirectorOverXmlRpc(XmlRpcClient(url, peer="Director"), profile)
