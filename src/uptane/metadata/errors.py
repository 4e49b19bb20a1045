"""Every error of the project in one tree.

    UptaneError
    ├── SecurityError                 a check failed: carries the attack, a stable code and the facts
    │   ├── FormatError               E-FORMAT         bytes or a value that is not well formed
    │   ├── BadSignatureError         E-SIG            fewer good signatures than the threshold asks for
    │   ├── ReplayedMetadataError     E-ROLLBACK-META  an older version, or other bytes under the same one
    │   ├── ReplayedReportError       E-REPLAY         a version report or manifest that was used before
    │   ├── MissingReportError        E-MISSING        a manifest that says nothing of an ECU
    │   ├── ExpiredMetadataError      E-FREEZE         expired at the time of the cycle
    │   ├── MixAndMatchError          E-MIXMATCH       not the file that the parent role listed
    │   ├── EndlessDataError          E-ENDLESS        more bytes than allowed
    │   ├── SlowRetrievalError        E-SLOW           fewer bytes per second than allowed
    │   ├── DirectorDelegationError   E-DIR-DELEGATION the Director delegates
    │   ├── DuplicateEcuError         E-DUP-ECU        one ECU is given two images
    │   ├── ForeignEcuError           E-UNKNOWN-ECU    metadata for an ECU that is not in this vehicle
    │   ├── WrongVehicleError         E-WRONG-VEHICLE  metadata or a manifest of another vehicle
    │   ├── RepositoryMismatchError   E-REPO-MISMATCH  Director and Image repository disagree
    │   ├── ImageNotListedError       E-NO-TARGET      no role with authority lists the image
    │   ├── DelegationError           E-DELEGATION     a delegated role is missing, invalid or too deep
    │   ├── HardwareMismatchError     E-HWID           the image is for other hardware
    │   ├── ImageNameError            E-FILENAME       the ECU may not have an image of that name
    │   ├── ImageRollbackError        E-ROLLBACK-IMAGE a lower release counter
    │   ├── BadHashError              E-HASH           the image's hash differs
    │   ├── LengthMismatchError       E-LENGTH         the image's length differs
    │   ├── DecryptionError           E-DECRYPT        an encrypted image that this ECU cannot decrypt
    │   ├── BadTimeAttestationError   E-TIME           a time that cannot be trusted
    │   ├── SpoofingError             E-SPOOF          an identity that is not the sender's
    │   ├── IdentityError             E-IDENTITY       a certificate, or a front's word of one, that names no vehicle
    │   │   └── RetiredVehicleError   E-RETIRED        a vehicle that an operator has taken out of service
    │   ├── NoIdentityError           E-NO-IDENTITY    no certificate where a vehicle's is needed
    │   └── UntrustedHostError        E-HOST           a URL of a host that images are not fetched from
    ├── UnreachableError              E-NET            a server or ECU does not answer as it should
    ├── UnknownVehicleError           E-UNKNOWN-VEHICLE
    ├── UnknownBaseError          E-BASE           a diff of a manifest that is not there
    ├── UnknownEcuError               E-UNKNOWN-ECU
    ├── AlreadyRegisteredError        E-REGISTERED
    ├── UnsatisfiableError            E-DEPENDENCY     no set of images fulfils what they require of each other
    ├── UndecidedError                E-UNDECIDED      whether there is such a set was not found out in bounded time
    ├── ProvisioningError             E-PROVISIONING   an ECU lacks what it needs before the first cycle
    ├── WorkersError                  E-WORKERS        the processes of a server cannot start
    └── StorageError                  E-STORAGE        what should be kept could not be, or is damaged
        └── OvertakenError            E-OVERTAKEN      somebody else published first; nothing was changed

Texts are made from the fields; callers and tests compare fields. `next_step` says what to do.
"""

from collections.abc import Mapping
from typing import ClassVar

from uptane.metadata.attacks import Attack


class UptaneError(Exception):
    """Base of all errors raised by this project.

    Args:
        what: what happened, to what, as one sentence without a final stop.
        next_step: what the reader can do about it, if anything.
        facts: the values behind the sentence (repository, role, expected, offered ...).
    """

    code: ClassVar[str] = "E-ERROR"
    attack: Attack | None = None
    default_next_step: ClassVar[str] = ""

    def __init__(self, what: str, *, next_step: str = "", **facts: object) -> None:
        self.what = what
        self.next_step = next_step or self.default_next_step
        self.facts: Mapping[str, object] = facts
        super().__init__(what)

    def __str__(self) -> str:
        attack = f" [{self.attack} attack]" if self.attack else ""
        hint = f" {self.next_step}" if self.next_step else ""
        return f"{self.what}.{attack}{hint}"

    def __reduce__(self) -> tuple[object, ...]:
        return (_rebuild, (type(self), self.what, self.next_step, dict(self.facts)))


def _rebuild(kind: type[UptaneError], what: str, next_step: str, facts: dict[str, object]) -> UptaneError:
    return kind(what, next_step=next_step, **facts)


class SecurityError(UptaneError):
    """A check of the Standard failed; nothing that was trusted before has changed."""

    code = "E-SECURITY"


class FormatError(SecurityError):
    """Bytes that are not what the format says, or a value outside its range (`facts["field"]`)."""

    code = "E-FORMAT"


class BadSignatureError(SecurityError):
    """Fewer valid signatures by distinct trusted keys than the role's threshold."""

    code = "E-SIG"
    attack = Attack.ARBITRARY_SOFTWARE


class ReplayedMetadataError(SecurityError):
    """A version lower than the trusted one, or other bytes under the same version."""

    code = "E-ROLLBACK-META"
    attack = Attack.ROLLBACK


class ReplayedReportError(SecurityError):
    """A version report or vehicle manifest whose counter was used before."""

    code = "E-REPLAY"
    attack = Attack.REPLAY


class MissingReportError(SecurityError):
    """A vehicle manifest that lacks ECUs of the vehicle (`facts["missing"]`)."""

    code = "E-MISSING"
    attack = Attack.DROP_REQUEST


class ExpiredMetadataError(SecurityError):
    """Metadata whose expiry is not later than the time of the cycle."""

    code = "E-FREEZE"
    attack = Attack.FREEZE


class MixAndMatchError(SecurityError):
    """A file whose version or hash is not the one that its parent role lists."""

    code = "E-MIXMATCH"
    attack = Attack.MIX_AND_MATCH


class EndlessDataError(SecurityError):
    """More bytes than the limit; reading stopped at the limit."""

    code = "E-ENDLESS"
    attack = Attack.ENDLESS_DATA


class SlowRetrievalError(SecurityError):
    """Bytes arrive more slowly than the configured speed."""

    code = "E-SLOW"
    attack = Attack.SLOW_RETRIEVAL


class DirectorDelegationError(SecurityError):
    """The Director's Targets metadata delegates, which it never may."""

    code = "E-DIR-DELEGATION"
    attack = Attack.ARBITRARY_SOFTWARE


class DuplicateEcuError(SecurityError):
    """The Director's Targets metadata names one ECU for two images."""

    code = "E-DUP-ECU"
    attack = Attack.MIX_AND_MATCH


class ForeignEcuError(SecurityError):
    """The Director's Targets metadata names an ECU that is not in this vehicle."""

    code = "E-UNKNOWN-ECU"
    attack = Attack.REPLAY


class WrongVehicleError(SecurityError):
    """Metadata, or a manifest, that was made for another vehicle."""

    code = "E-WRONG-VEHICLE"
    attack = Attack.REPLAY


class RepositoryMismatchError(SecurityError):
    """What the Director directs is not what the Image repository signed."""

    code = "E-REPO-MISMATCH"
    attack = Attack.ARBITRARY_SOFTWARE


class ImageNotListedError(SecurityError):
    """No Targets role with authority over the image's name lists it."""

    code = "E-NO-TARGET"
    attack = Attack.ARBITRARY_SOFTWARE


class DelegationError(SecurityError):
    """A delegated role is missing or invalid, or the delegations exceed the limits."""

    code = "E-DELEGATION"


class HardwareMismatchError(SecurityError):
    """The image is not for the hardware of the ECU."""

    code = "E-HWID"
    attack = Attack.MIX_AND_MATCH


class ImageNameError(SecurityError):
    """The image has a name that this ECU may not install, such as one of another product line."""

    code = "E-FILENAME"
    attack = Attack.MIX_AND_MATCH


class ImageRollbackError(SecurityError):
    """The image's release counter is lower than the one installed before, or gone."""

    code = "E-ROLLBACK-IMAGE"
    attack = Attack.ROLLBACK


class BadHashError(SecurityError):
    """The image has not the hash that signed metadata lists."""

    code = "E-HASH"
    attack = Attack.ARBITRARY_SOFTWARE


class LengthMismatchError(SecurityError):
    """The image has not the length that signed metadata lists."""

    code = "E-LENGTH"
    attack = Attack.ARBITRARY_SOFTWARE


class DecryptionError(SecurityError):
    """An encrypted image, or its wrapped key, is not for this ECU, was altered, or is encrypted in an unknown way."""

    code = "E-DECRYPT"
    attack = Attack.ARBITRARY_SOFTWARE
    default_next_step = "Have the Director encrypt the image for the key that the ECU has."


class BadTimeAttestationError(SecurityError):
    """A time attestation that is forged, stale, or not an answer to our nonce."""

    code = "E-TIME"
    attack = Attack.FREEZE


class SpoofingError(SecurityError):
    """Somebody uses an identity or a key that is not theirs."""

    code = "E-SPOOF"
    attack = Attack.SPOOFING


class IdentityError(SecurityError):
    """A client certificate, or what stands for one, that does not show which vehicle is speaking."""

    code = "E-IDENTITY"
    attack: Attack | None = Attack.SPOOFING


class RetiredVehicleError(IdentityError):
    """The vehicle was taken out of service: it gets no certificate, no metadata and no assignment any more."""

    code = "E-RETIRED"
    attack = None
    default_next_step = "Its records are kept; a vehicle that comes back needs a new identifier."


class NoIdentityError(SecurityError):
    """No client certificate, where a vehicle must show one."""

    code = "E-NO-IDENTITY"
    default_next_step = "Connect with the vehicle's client certificate."


class UntrustedHostError(SecurityError):
    """The Director gives a URL whose host the vehicle was not told to fetch from; it was not followed."""

    code = "E-HOST"


class UnreachableError(UptaneError):
    """A server or an ECU does not answer, or answers with an error."""

    code = "E-NET"
    attack = Attack.DROP_REQUEST


class UnknownVehicleError(UptaneError):
    """No vehicle of that identifier is in the inventory."""

    code = "E-UNKNOWN-VEHICLE"
    default_next_step = "Register it first: uptane vehicle add, or dd.add_new_vehicle(vin) in the demonstration."


class UnknownBaseError(UptaneError):
    """A diff of a vehicle manifest that the Director does not have, so that only a whole one tells it all."""

    code = "E-BASE"
    default_next_step = "Send the whole manifest."


class UnknownEcuError(UptaneError):
    """No ECU of that identifier is registered."""

    code = "E-UNKNOWN-ECU"
    default_next_step = "Start it first: an ECU registers by itself."


class AlreadyRegisteredError(UptaneError):
    """The vehicle or ECU is registered already, and identically."""

    code = "E-REGISTERED"


class UnsatisfiableError(UptaneError):
    """No set of images fulfils the dependencies (`facts["rules"]`); nothing was directed."""

    code = "E-DEPENDENCY"


class UndecidedError(UptaneError):
    """No set of images was found that fulfils the dependencies, nor that there is none; nothing was directed."""

    code = "E-UNDECIDED"


class ProvisioningError(UptaneError):
    """An ECU lacks something that it must have before its first cycle."""

    code = "E-PROVISIONING"
    default_next_step = "Provision the ECU again."


class StorageError(UptaneError):
    """Something could not be written, or what is stored is damaged."""

    code = "E-STORAGE"


class OvertakenError(StorageError):
    """Somebody else has published meanwhile, and nothing was changed: again is all that it takes."""

    code = "E-OVERTAKEN"


class WorkersError(UptaneError):
    """The processes that a server consists of end before they answer, again and again."""

    code = "E-WORKERS"


class SettingsError(UptaneError):
    """Settings that are missing, unknown or out of range (`facts["field"]`)."""

    code = "E-SETTINGS"
