"""`dt`: the Timeserver as the services window types it."""

from collections.abc import Sequence

from uptane.demonstration.console import command, say
from uptane.demonstration.desk import Desk, now
from uptane.demonstration.settings import Settings
from uptane.formats.profiles import PROFILES
from uptane.metadata.errors import UptaneError
from uptane.services.asgi import host_names
from uptane.services.timeserver_app import timeserver_methods
from uptane.services.xmlrpc_door import XmlRpcDoor
from uptane.timeserver.timeserver import Timeserver
from uptane.verification.verify_time import verify_time

KEY = "timeserver"
MAX_REQUEST_BYTES = 200_000
"""Bytes of a request: 1,024 nonces in XML."""


class TimeserverConsole:
    """The functions of the Timeserver.

    Args:
        desk: the services window.
    """

    def __init__(self, desk: Desk) -> None:
        self.settings: Settings = desk.settings
        self._desk = desk
        self._timeservers: dict[str, Timeserver] = {}

    @command
    def load_timeserver_key(self, use_new_keys: bool = False) -> None:
        """Loads the Timeserver's key, or makes one."""
        self._load(use_new_keys)

    def _load(self, use_new_keys: bool) -> None:
        if use_new_keys:
            self._desk.replace_keys(KEY)
        signer = self._desk.signer(KEY)
        family = [
            profile
            for profile in PROFILES.values()
            if profile.format.key_id_rule is self.settings.profile.format.key_id_rule
        ]
        self._timeservers = {profile.format.extension: Timeserver(profile, signer) for profile in family}

    @command
    def get_signed_time(self, nonces: Sequence[int]) -> bytes:
        """A JSON attestation of the time over the nonces."""
        return self._timeserver("json").attest(nonces, now())

    @command
    def get_signed_time_der_wrapper(self, nonces: Sequence[int]) -> bytes:
        """A DER attestation of the time over the nonces."""
        return self._timeserver("der").attest(nonces, now())

    def _timeserver(self, name: str) -> Timeserver:
        if name not in self._timeservers:
            raise UptaneError("the Timeserver has no key yet", next_step="Run dt.listen() first.")
        return self._timeservers[name]

    @command
    def test_demo_timeserver(self) -> None:
        """Asks for two attestations and verifies them."""
        self._self_test()

    def _self_test(self) -> None:
        key = self._desk.signer(KEY).key
        for name, nonces in (("json", [1, 2]), ("der", [2, 9, 151])):
            moment = now().replace(microsecond=0)
            timeserver = self._timeserver(name)
            raw = timeserver.attest(nonces, moment)
            verify_time(timeserver.profile, raw, keys=[key], nonces=nonces, not_before=moment)

    @command
    def listen(self, use_new_keys: bool = False) -> None:
        """Loads the key, tests itself, and starts the XML-RPC server."""
        self._load(use_new_keys)
        self._self_test()
        port = self.settings.ports.timeserver
        self._desk.servers.stop(port)
        self._desk.servers.start(
            XmlRpcDoor(
                timeserver_methods(self._timeservers, now),
                max_body=MAX_REQUEST_BYTES,
                allowed_hosts=host_names(self.settings.profile),
            ),
            [port],
        )
        say(f"Timeserver listens at {self.settings.url(port)}")
