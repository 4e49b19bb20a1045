"""Uploads that wait for more signatures of their role's keys."""

from dataclasses import dataclass, field

from uptane.formats.profile import Profile
from uptane.image_repository.ports import WaitingMetadata
from uptane.image_repository.uploads import CheckedUpload, check_signed_enough, with_signatures
from uptane.metadata.envelope import Envelope
from uptane.metadata.identifiers import KeyId
from uptane.metadata.targets import Targets
from uptane.signing.publish import Published
from uptane.verification.threshold import valid_signatures


@dataclass(frozen=True, slots=True, kw_only=True)
class JudgedUpload:
    """An upload beside what is published, and what was handed in before.

    Args:
        before: what is published.
        checked: the upload.
        envelope: its metadata with all signatures that have come in so far.
        signed: how many of the role's keys have signed it; computed.
    """

    before: Published
    checked: CheckedUpload
    envelope: Envelope[Targets]
    signed: int = field(init=False)

    def __post_init__(self) -> None:
        signed = len(tuple(valid_signatures(self.envelope, self.checked.keys, self.checked.role_keys)))
        object.__setattr__(self, "signed", signed)

    @property
    def needed(self) -> int:
        """How many of them must."""
        return self.checked.role_keys.threshold

    @property
    def is_complete(self) -> bool:
        """Whether enough of them have, so that it is published."""
        return self.signed >= self.needed


class WaitingUploads:
    """What was handed in and is not published yet.

    Args:
        profile: the format of the repository.
        place: where it waits; without one, uploads come with all their signatures.
    """

    def __init__(self, profile: Profile, place: WaitingMetadata | None) -> None:
        self._profile = profile
        self._place = place

    async def judged(self, checked: CheckedUpload, before: Published) -> JudgedUpload:
        """An upload with what others of its role's keys signed and handed in before, one file for each key.

        Raises:
            BadSignatureError: too few have signed, and it cannot wait for more.
        """
        found = [await self._place.read(self._name(checked, key)) for key in checked.role_keys.key_ids if self._place]
        envelope = with_signatures(self._profile, checked, [raw for raw in found if raw is not None])
        judged = JudgedUpload(before=before, checked=checked, envelope=envelope)
        if self._place is None or judged.is_complete:
            check_signed_enough(checked, envelope)
        return judged

    async def keep(self, judged: JudgedUpload) -> None:
        """It waits for others; raises StorageError."""
        signed = [self._name(judged.checked, entry.key_id) for entry in judged.checked.signatures]
        if self._place is not None:
            await self._place.write(dict.fromkeys(signed, judged.envelope.raw))

    async def end(self, checked: CheckedUpload) -> None:
        """It is published; raises StorageError."""
        if self._place is not None:
            await self._place.write(dict.fromkeys(self._name(checked, key_id) for key_id in checked.role_keys.key_ids))

    def _name(self, checked: CheckedUpload, key_id: KeyId) -> str:
        return f"{key_id}.{self._profile.metadata_name(checked.role)}"
