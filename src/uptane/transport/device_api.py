"""The ports of a Primary over the HTTP API for vehicles, `services/device_api.py`."""

import json
import re
import ssl
from collections.abc import Callable, Mapping, Sequence

from uptane.formats.canonical_json import Json, decode_strict
from uptane.formats.fault_text import MAX_TEXT, printable
from uptane.formats.profiles import PROFILES
from uptane.metadata.errors import (
    FormatError,
    ProvisioningError,
    RetiredVehicleError,
    SecurityError,
    UnreachableError,
    UptaneError,
)
from uptane.metadata.identifiers import EcuIdentifier, HardwareIdentifier, RepositoryName, VehicleIdentifier
from uptane.metadata.keys import PublicKey
from uptane.metadata.root import Role
from uptane.transport.exchange import Request, exchange
from uptane.transport.http_client import RepositoryClient
from uptane.transport.limits import TransferLimits
from uptane.vehicle.polling import POLL_HEADER

_CODE = re.compile(r"E-[A-Z0-9-]{1,40}")

MAX_ANSWER = 64_000
"""Bytes of an answer that is no file: a certificate chain, an attestation, or a problem."""


class DeviceApiClient:
    """One server, or one front of several, that speaks the API.

    Args:
        url: where, without a path.
        limits: of each transfer.
        tls: as `transport.tls.client_tls` makes it.
        polled: is told what the server says of the time to the next cycle, as it stands in the header.
    """

    def __init__(
        self,
        url: str,
        *,
        limits: TransferLimits,
        tls: ssl.SSLContext | None,
        polled: Callable[[str], None] = lambda text: None,
    ) -> None:
        self._url = url.rstrip("/")
        self._limits = limits
        self._tls = tls
        self._polled = polled

    def send(self, method: str, path: str, body: bytes, content_type: str = "application/json") -> bytes:
        """Sends a body and gives the answer.

        Raises:
            UnreachableError: no answer, or one that is not the API's.
            UptaneError: what the server answers, in its words and with its code.
        """
        url = f"{self._url}{path}"

        def unreachable(why: str) -> UnreachableError:
            return UnreachableError(f"{url} cannot be reached: {why}", next_step="Does the server run?", url=url)

        request = Request(method=method, url=url, headers={"content-type": content_type}, content=body)
        with exchange(request, self._limits, unreachable, tls=self._tls) as answer:
            raw = b"".join(answer.chunks(MAX_ANSWER))
            if 200 <= answer.status < 300:
                self._polled(answer.header(POLL_HEADER))
                return raw
            raise _problem(answer.status, raw) or unreachable(f"the server answers with HTTP status {answer.status}")


def _problem(status: int, raw: bytes) -> UptaneError | None:
    """An RFC 9457 problem as an error; whose fault it is, the status says."""
    try:
        value = json.loads(raw)
        text, code = printable(str(value["detail"])[:MAX_TEXT]).rstrip("."), str(value["code"])
        next_step = printable(str(value.get("next_step", ""))[:MAX_TEXT])
    except (ValueError, KeyError, TypeError, RecursionError):
        return None
    if not _CODE.fullmatch(code):
        return None
    if code == RetiredVehicleError.code:
        return RetiredVehicleError(f"the server refused: {text}", next_step=next_step, code=code)
    kind = ProvisioningError if status in (401, 409) else SecurityError if status < 500 else UnreachableError
    return kind(f"the server refused ({code}): {text}", next_step=next_step, code=code)


class DeviceRepositories:
    """Metadata of a Director and of an Image repository.

    Args:
        director, image_repository: their names in the vehicle's map.
        clients: for each, its mirrors at the URLs of the map.
        extension: of metadata files.
    """

    def __init__(
        self, director: RepositoryName, clients: Mapping[RepositoryName, RepositoryClient], extension: str
    ) -> None:
        self._director = director
        self._clients = clients
        self._extension = extension

    def fetch(self, repository: RepositoryName, name: str, limit: int) -> bytes | None:
        """See `verification.steps.Fetcher`."""
        client = self._clients[repository]
        stem = name.removesuffix(f".{self._extension}")
        role = stem.partition(".")[2] if stem.partition(".")[0].isdecimal() else stem
        if repository == self._director or role in set(Role):
            return client.fetch_named(name, limit)
        return client.fetch(f"delegations/{name}", limit)


class DirectorOfDeviceApi:
    """The Director's part of the API."""

    def __init__(self, client: DeviceApiClient) -> None:
        self._client = client

    def submit_manifest(self, vehicle: VehicleIdentifier, primary: EcuIdentifier, manifest: bytes) -> None:
        """`PUT /director/manifest`; vehicle and Primary stand in the certificate and in the manifest."""
        self._client.send("PUT", "/director/manifest", manifest, "application/octet-stream")

    def register_ecu(self, vehicle: VehicleIdentifier, ecu: EcuIdentifier, key: bytes, *, is_primary: bool) -> None:
        """Registration takes more than this port has: see `register_ecus`."""
        raise ProvisioningError("ECUs of this vehicle are registered together", next_step="Use register_ecus.")

    def register_ecus(
        self, primary: EcuIdentifier, ecus: Mapping[EcuIdentifier, tuple[PublicKey, HardwareIdentifier | None]]
    ) -> None:
        """`POST /director/ecus`: the Primary and its Secondaries, each with its key and hardware."""
        listed: list[Json] = []
        for ecu, (key, hardware) in ecus.items():
            entry: dict[str, Json] = {
                "ecu_serial": str(ecu),
                "clientKey": json.loads(PROFILES["json"].format.encode_key(key)),
            }
            if hardware is not None:
                entry["hardware_identifier"] = str(hardware)
            listed.append(entry)
        body = json.dumps({"primary_ecu_serial": str(primary), "ecus": listed}).encode()
        self._client.send("POST", "/director/ecus", body)


class TimeOfDeviceApi:
    """The Timeserver's part of the API."""

    def __init__(self, client: DeviceApiClient) -> None:
        self._client = client

    def attest(self, nonces: Sequence[int]) -> bytes:
        """`POST /timeserver/attestation`."""
        return self._client.send("POST", "/timeserver/attestation", json.dumps({"nonces": list(nonces)}).encode())


def first_contact(client: DeviceApiClient, vehicle: VehicleIdentifier, token: str, csr: bytes) -> bytes:
    """`POST /devices`: gives the certificate chain, PEM, for a one-time token.

    Raises:
        UptaneError: the token was used, has expired or is of another vehicle.
    """
    body = json.dumps({"deviceId": str(vehicle), "token": token, "csr": csr.decode()}).encode()
    answer = decode_strict(client.send("POST", "/devices", body))
    if not isinstance(answer, dict) or not isinstance(answer.get("certificate"), str):
        raise FormatError("the server answered a first contact without a certificate", field="certificate")
    return str(answer["certificate"]).encode()
