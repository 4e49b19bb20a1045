"""The names that servers of this machine answer to."""

import pytest

from uptane.formats.profiles import PROFILES
from uptane.services.asgi import LOOPBACK_NAMES, host_is_allowed, host_names

ANY_ADDRESS = ".".join("0000")


@pytest.mark.parametrize("name", PROFILES)
def test_the_archived_clients_may_call_a_server_by_any_address_and_nobody_else(name: str) -> None:
    allowed = host_names(PROFILES[name])
    scope = {"headers": [(b"host", f"{ANY_ADDRESS}:30501".encode())]}
    assert host_is_allowed(scope, allowed) is name.startswith("pouf1")
    assert allowed >= LOOPBACK_NAMES
    assert not host_is_allowed({"headers": [(b"host", b"a.stranger.example")]}, allowed)
