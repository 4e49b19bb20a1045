"""The ports of ECUs, over XML-RPC and HTTP."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

from uptane.formats.call_values import from_call, to_call
from uptane.formats.profile import Profile
from uptane.metadata.errors import FormatError, UnreachableError
from uptane.metadata.identifiers import EcuIdentifier, RepositoryName, VehicleIdentifier
from uptane.transport.file_download import Body
from uptane.transport.http_client import RepositoryClient
from uptane.transport.xmlrpc_client import XmlRpcClient


class RepositoriesOverHttp:
    """Metadata of several repositories, each under `metadata/` of its mirrors."""

    def __init__(self, clients: Mapping[RepositoryName, RepositoryClient]) -> None:
        self._clients = clients

    def fetch(self, repository: RepositoryName, name: str, limit: int) -> bytes | None:
        """See `verification.steps.Fetcher`."""
        return self._clients[repository].fetch(f"metadata/{name}", limit)


class ImagesOverHttp:
    """Images of one mirror, under `targets/`."""

    def __init__(self, client: RepositoryClient) -> None:
        self._client = client

    @contextmanager
    def stream(self, name: str, limit: int, start: int = 0) -> Iterator[Body | None]:
        """See `vehicle.ports.ImageSource`."""
        with self._client.stream(f"targets/{name}", limit, start) as body:
            yield body


class DirectorOverXmlRpc:
    """The Director's methods for ECUs.

    Args:
        client: the connection.
        profile: how manifests and keys travel.
    """

    def __init__(self, client: XmlRpcClient, profile: Profile) -> None:
        self._client = client
        self._profile = profile

    def submit_manifest(self, vehicle: VehicleIdentifier, primary: EcuIdentifier, manifest: bytes) -> None:
        """`submit_vehicle_manifest`."""
        sent = to_call(manifest, as_struct=self._profile.structs_in_calls)
        self._client.call("submit_vehicle_manifest", str(vehicle), str(primary), sent)

    def register_ecu(self, vehicle: VehicleIdentifier, ecu: EcuIdentifier, key: bytes, *, is_primary: bool) -> None:
        """`register_ecu_serial`."""
        sent = to_call(key, as_struct=self._profile.key_structs_in_calls)
        self._client.call("register_ecu_serial", str(ecu), sent, str(vehicle), is_primary)


class TimeserverOverXmlRpc:
    """The Timeserver's method for one format.

    Args:
        client: the connection.
        profile: of the attestations.
    """

    def __init__(self, client: XmlRpcClient, profile: Profile) -> None:
        self._client = client
        self._profile = profile
        self._method = "get_signed_time_der" if profile.format.extension == "der" else "get_signed_time"

    def attest(self, nonces: Sequence[int]) -> bytes:
        """A signed attestation."""
        answer = self._client.call(self._method, list(nonces))
        return from_call(answer, "time attestation", as_struct=self._profile.structs_in_calls)


class PrimaryOverXmlRpc:
    """A Primary's methods for its Secondaries.

    Args:
        client: the connection.
        profile: how reports and attestations travel.
    """

    def __init__(self, client: XmlRpcClient, profile: Profile) -> None:
        self._client = client
        self._profile = profile

    def register_secondary(self, ecu: EcuIdentifier, key: bytes) -> None:
        """`register_new_secondary`, which takes no key where the Primary does not verify reports."""
        sent = () if self._profile.unsafe_unverified_reports else (key,)
        self._client.call("register_new_secondary", str(ecu), *sent)

    def submit_report(self, vehicle: VehicleIdentifier, ecu: EcuIdentifier, nonce: int, report: bytes) -> None:
        """`submit_ecu_manifest`."""
        sent = to_call(report, as_struct=self._profile.structs_in_calls)
        self._client.call("submit_ecu_manifest", str(vehicle), str(ecu), nonce, sent)

    def time_attestation(self, ecu: EcuIdentifier) -> bytes:
        """`get_time_attestation_for_ecu`."""
        answer = self._client.call("get_time_attestation_for_ecu", str(ecu))
        if answer is None:  # an archived Primary's way to say so
            raise UnreachableError(
                "the Primary has no verified time attestation yet", next_step="Run the Primary's update cycle first."
            )
        return from_call(answer, "time attestation", as_struct=self._profile.structs_in_calls)

    def metadata(self, ecu: EcuIdentifier) -> bytes:
        """`get_metadata`."""
        return from_call(self._client.call("get_metadata", str(ecu)), "metadata bundle", as_struct=False)

    def partial_metadata(self, ecu: EcuIdentifier) -> bytes:
        """`get_metadata`, with partial verification forced."""
        return from_call(self._client.call("get_metadata", str(ecu), True), "metadata bundle", as_struct=False)

    def update_exists(self, ecu: EcuIdentifier) -> bool:
        """`update_exists_for_ecu`."""
        return self._client.call("update_exists_for_ecu", str(ecu)) is True

    def image(self, ecu: EcuIdentifier) -> tuple[str, bytes] | None:
        """`get_image`."""
        match self._client.call("get_image", str(ecu)):
            case [None, None]:
                return None
            case [str(name), bytes(data)]:
                return name, data
            case _:
                raise FormatError("the Primary answered get_image with something else than a name and bytes")

    def image_block(self, ecu: EcuIdentifier, name: str, offset: int) -> bytes:
        """`get_image_block`."""
        return self._block("get_image_block", ecu, name, offset)

    def back_up(self, ecu: EcuIdentifier, name: str, offset: int, block: bytes) -> bool:
        """`back_up_image`."""
        return self._client.call("back_up_image", str(ecu), name, offset, block) is True

    def backup_block(self, ecu: EcuIdentifier, name: str, offset: int) -> bytes:
        """`get_backup_block`."""
        return self._block("get_backup_block", ecu, name, offset)

    def _block(self, method: str, ecu: EcuIdentifier, name: str, offset: int) -> bytes:
        return from_call(self._client.call(method, str(ecu), name, offset), "block of an image", as_struct=False)
