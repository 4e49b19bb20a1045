"""How an ECU comes to the time of a cycle: attested under the Timeserver's keys, or from a clock it was made with."""

from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime

from uptane.metadata.errors import (
    BadSignatureError,
    BadTimeAttestationError,
    ExpiredMetadataError,
    SecurityError,
    UnreachableError,
)
from uptane.metadata.time_attestation import TimeAttestation
from uptane.vehicle.ecu_state import EcuState
from uptane.vehicle.memory import NOTHING, UNSAFE_CLOCK, EcuMemory, VerificationKind
from uptane.verification.check_root import load_root, update_root
from uptane.verification.steps import Fetcher, run
from uptane.verification.verify_time import VerifiedTime, verify_time


@dataclass(frozen=True, slots=True)
class UnsafeSystemClock:
    """A clock of the vehicle in the place of a Timeserver.

    Nobody signs for it: whoever can set it can freeze the ECU at an old time, or deny it updates by a late one. For
    vehicles that have a clock as hard to set as the ECU is to change; the version reports say that it was used.

    Args:
        read: gives the time, UTC.
    """

    read: Callable[[], datetime]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Taken:
    """A time that was taken in this cycle and is not durable yet."""

    time: datetime
    source: str


class AttestedTime:
    """The time of one ECU, cycle by cycle; a Primary's and a Secondary's alike (AMB-5).

    A time is durable before metadata is judged by it. One that leads further than `EcuMemory.longest_leap` beyond the
    time at which metadata was last found good is not: metadata is judged by it first, and only a cycle in which that is
    good makes it durable (BP-TIME-13). So a stolen Timeserver key cannot bring the ECU to a time at which everything
    has expired, and a car that was parked for years loses nothing: what its repositories publish vouches for the time.

    Args:
        memory: the ECU's memory.
        new_nonce: gives 31 cryptographically random bits.
    """

    def __init__(self, memory: EcuMemory, new_nonce: Callable[[], int]) -> None:
        self._memory = memory
        self._new_nonce = new_nonce
        self._taken: _Taken | None = None
        self._judged: datetime | None = None

    @property
    def now(self) -> datetime:
        """The time of this cycle, UTC."""
        return self._memory.state.time if self._taken is None else self._taken.time

    @property
    def is_leap(self) -> bool:
        """Whether the time that was taken waits for metadata that it finds good."""
        return self._taken is not None and self._taken.time - self._last_judged() > self._memory.longest_leap

    def _last_judged(self) -> datetime:
        state = self._memory.state
        return self._judged or state.judged_time or state.time

    def forget(self) -> None:
        """Another cycle begins: what the last one could not make durable is not known any more."""
        self._taken, self._memory.judges_by_leap = None, False

    def take(self, raw: bytes, nonces: Collection[int], fetcher: Callable[[], Fetcher]) -> None:
        """Verifies an attestation; `keep` makes its time durable.

        One that no key of the Timeserver has signed may be by a key that the Director's Root names by now, and one that
        goes backwards may do so from a time by a key that is gone: the Root is followed first, and then the attestation
        is judged once more (BP-TIME-12).

        Args:
            raw: the attestation as received.
            nonces: what it must answer.
            fetcher: opens the way to the Director's Root, if it is needed.

        Raises:
            BadSignatureError, BadTimeAttestationError, FormatError: see `verify_time`.
            SecurityError: a Root is forged.
        """
        self.forget()
        try:
            verified = self._verify(raw, nonces)
        except (BadSignatureError, BadTimeAttestationError) as error:
            is_old = isinstance(error, BadTimeAttestationError) and not set(nonces) <= set(self.answered(raw))
            if is_old or not self._keys_have_changed(fetcher):
                raise
            verified = self._verify(raw, nonces)
        self._take(verified.attestation.value.time, verified.key.key_id)

    def read(self, clock: UnsafeSystemClock) -> None:
        """Takes the time of a clock, which must not go backwards either; BadTimeAttestationError."""
        self.forget()
        time, before = clock.read().replace(microsecond=0), self._memory.state.time
        if time < before:
            raise BadTimeAttestationError(
                f"the system clock says {time:%Y-%m-%dT%H:%M:%SZ}, earlier than the {before:%Y-%m-%dT%H:%M:%SZ} "
                "that was trusted",
                next_step="Set the clock.",
                expected=before,
                offered=time,
            )
        self._take(time, UNSAFE_CLOCK)

    def _take(self, time: datetime, source: str) -> None:
        self._taken = _Taken(time=time, source=source)
        self._memory.judges_by_leap = self.is_leap

    def _verify(self, raw: bytes, nonces: Collection[int]) -> VerifiedTime:
        memory = self._memory
        floor = memory.made_at if self.key_is_gone else memory.state.time
        return verify_time(memory.profile, raw, keys=memory.timeserver_keys, nonces=nonces, not_before=floor)

    def answered(self, raw: bytes) -> tuple[int, ...]:
        """The nonces in an attestation, which nobody need have signed; FormatError."""
        return self._memory.profile.format.decode(TimeAttestation, raw).payload.nonces

    @property
    def key_is_gone(self) -> bool:
        """Whether the trusted time was attested under a key that Root has taken away since: it may be set back once."""
        source = self._memory.state.time_source
        return source not in (None, UNSAFE_CLOCK, *(key.key_id for key in self._memory.timeserver_keys))

    def _keys_have_changed(self, fetcher: Callable[[], Fetcher]) -> bool:
        memory = self._memory
        if memory.verification is VerificationKind.PARTIAL_PINNED or memory.profile.unsafe_root_through_snapshot:
            return False
        before, held = memory.timeserver_keys, memory.held(memory.director)
        context = memory.context(memory.director, memory.state.time)
        # Whether the newest Root has expired cannot be judged yet: the time is what is in doubt.
        with suppress(ExpiredMetadataError, UnreachableError):
            run(update_root(context, load_root(context, held.root), held.files), fetcher(), memory)
        return memory.timeserver_keys != before

    def keep(self, values: Mapping[str, bytes | None] = NOTHING, /, **changes: object) -> EcuState:
        """Makes the time durable that was taken, together with `values` and `changes` as in `EcuMemory.change`."""
        taken, before = self._taken, self._memory.state
        if taken is None:
            raise ValueError("no time was taken")
        judged = taken.time if self.is_leap else min(self._last_judged(), taken.time)
        self.forget()
        self._judged = None
        return self._memory.change(
            values,
            time=taken.time,
            previous_time=before.time,
            time_source=taken.source,
            judged_time=judged,
            nonce=self._new_nonce(),
            cycles_without_time=0,
            **changes,
        )

    def was_good(self) -> None:
        """Metadata was found good by the time of this cycle, which is durable.

        That it was is written down with the next time, and at once only where the last record is old: an ECU that
        starts anew for each cycle would otherwise never know.
        """
        state = self._memory.state
        self._judged = state.time
        if state.time - (state.judged_time or state.time) > self._memory.longest_leap / 3:
            self._memory.change(judged_time=state.time)

    def doubt(self, error: SecurityError) -> BadTimeAttestationError | None:
        """What to tell beside an error: metadata has expired, or the time by which it was judged is a false one."""
        if not (self.is_leap and isinstance(error, ExpiredMetadataError)):
            return None
        judged = self._last_judged()
        return BadTimeAttestationError(
            f"the time {self.now:%Y-%m-%dT%H:%M:%SZ} is more than {self._memory.longest_leap.days} days after "
            f"{judged:%Y-%m-%dT%H:%M:%SZ}, and no metadata vouches for it; it is not kept",
            next_step="Look at the Timeserver, and at whether both repositories are up to date.",
            expected=judged,
            offered=self.now,
        )
