"""A Timeserver whose key is stolen, and an operator who names another one in the Director's Root."""

from collections.abc import Sequence
from datetime import datetime

from fleet import Fleet, Vehicle
from links import wait

from uptane.signing.signer import KeySigner
from uptane.timeserver.timeserver import Timeserver


def name_keys(fleet: Fleet, *signers: KeySigner) -> None:
    """The Director's Root names these keys of the Timeserver."""
    wait(fleet.director.change_timeserver_keys([signer.key for signer in signers], fleet.now))


def sign_with(fleet: Fleet, signer: KeySigner) -> None:
    """The Timeserver signs with this key from now on."""
    fleet.time_key, fleet.timeserver = signer, Timeserver(fleet.profile, signer)


def rotate(fleet: Fleet) -> KeySigner:
    """Takes the Timeserver's key out of use at once, as after a theft; gives the old one."""
    stolen, new = fleet.time_key, fleet.new_key()
    name_keys(fleet, new)
    sign_with(fleet, new)
    return stolen


class TimeThief:
    """Stands between the Primary and the Timeserver and answers in its name.

    Args:
        car: whose Primary asks.
        key: what was stolen.
        time: what is attested.
    """

    def __init__(self, car: Vehicle, key: KeySigner, time: datetime) -> None:
        self._car = car
        self._genuine = car.links.attest
        self._forger = Timeserver(car.fleet.profile, key)
        self.time = time
        car.links.attest = self._attest  # type: ignore[method-assign]

    def _attest(self, nonces: Sequence[int]) -> bytes:
        return self._forger.attest(nonces, self.time)

    def leave(self) -> None:
        """The Timeserver answers again."""
        self._car.links.attest = self._genuine  # type: ignore[method-assign]
