"""Downloads one image from the first mirror that gives exactly the listed bytes, and goes on where it was cut off."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

from uptane.formats.profile import Profile
from uptane.metadata.errors import (
    EndlessDataError,
    SecurityError,
    SlowRetrievalError,
    UnreachableError,
    UntrustedHostError,
    UptaneError,
)
from uptane.metadata.targets import ImageFile
from uptane.vehicle.installation import stored_as
from uptane.vehicle.ports import ImageSlots, ImageSource, PartialImage, ThirdHosts
from uptane.verification.verify_image import ImageCheck


def download(
    file: ImageFile,
    mirrors: Sequence[ImageSource],
    slots: ImageSlots,
    profile: Profile,
    *,
    url: str | None = None,
    third_hosts: ThirdHosts | None = None,
    say: Callable[[str], None],
    note: Callable[[SecurityError], None],
) -> None:
    """Stores an image in its slot once every byte of it is verified; what is refused is dropped.

    A transfer that is cut off or too slow leaves what came of it; the next one, of the same or of another mirror, goes
    on there. What was there is hashed with the rest, so it can be wrong without harm: then it is thrown away, and that
    mirror is asked once more, for the whole image.

    Args:
        file: what signed metadata lists.
        mirrors: the hosts, in the order they are asked.
        slots: where the image is stored.
        profile: the names of files.
        url: where the Director says that it can be had as well (STD-5.4.3.3-4); asked first if `third_hosts` allow it.
        third_hosts: None where only mirrors are asked.
        say: is told what happens, line by line.
        note: is told of every attack, also when a later mirror has the genuine image.

    Raises:
        SecurityError: no mirror gave the listed bytes; of several reasons the first attack is told.
        UnreachableError: no mirror had it, and none gave other bytes.
    """
    name = profile.requested_image(file.path, file.digests.items[0][1])
    sources = mirrors if url is None else [*_third_host(url, third_hosts, say, note), *mirrors]
    reasons: list[UptaneError] = []
    with slots.resume(stored_as(file)) as partial:
        incoming = _Incoming(file, partial)
        for mirror in _attempts(sources, incoming):
            try:
                incoming.take(mirror, name)
                return
            except (SecurityError, UnreachableError) as error:
                say(f"Update failed: {type(error).__name__}: {error}")
                reasons.append(error)
                if isinstance(error, SecurityError):
                    note(error)
    attacks = [reason for reason in reasons if isinstance(reason, SecurityError)]
    say(f"Failed to update {file.path} from all mirrors: {[type(reason).__name__ for reason in reasons]}")
    raise (
        attacks[0]
        if attacks
        else UnreachableError(
            f"no mirror has image {file.path}",
            next_step="Is the image still hosted by the Director or the Image repository?",
            image=file.path,
        )
    )


def _third_host(
    url: str,
    third_hosts: ThirdHosts | None,
    say: Callable[[str], None],
    note: Callable[[SecurityError], None],
) -> list[ImageSource]:
    if third_hosts is None:
        say(f"The Director's URL {url!r} is not followed: this vehicle asks the mirrors only.")
        return []
    try:
        return [third_hosts.source(url)]
    except UntrustedHostError as error:
        say(str(error))
        note(error)
        return []


def _attempts(mirrors: Sequence[ImageSource], incoming: "_Incoming") -> Iterator[ImageSource]:
    """Each mirror once, and again, for the whole image, where what was there before it may be what was wrong."""
    for mirror in mirrors:
        yield mirror
        if incoming.went_on and not incoming.received:
            yield mirror


class _Incoming:
    """An image on its way in: the bytes that came, and the check that has seen every one of them."""

    def __init__(self, file: ImageFile, partial: PartialImage) -> None:
        self._file, self._partial = file, partial
        self.went_on = False
        self._check = ImageCheck(file)
        try:
            for chunk in partial.chunks():
                self._check.update(chunk)
        except EndlessDataError:
            self._restart()

    @property
    def received(self) -> int:
        """How many bytes came."""
        return self._check.received

    def _restart(self) -> None:
        self._partial.restart()
        self._check = ImageCheck(self._file)

    def take(self, mirror: ImageSource, name: str) -> None:
        """Takes the rest of the image, or all of it, and keeps it.

        Raises:
            SlowRetrievalError, UnreachableError: what came so far can be continued.
            SecurityError: it is not the image; what came is thrown away.
        """
        self.went_on = self.received > 0
        try:
            if not self.went_on or self.received < self._file.length:
                self._stream(mirror, name)
            self._check.finish()
        except SlowRetrievalError:
            raise
        except SecurityError:
            self._restart()
            raise
        self._partial.keep()

    def _stream(self, mirror: ImageSource, name: str) -> None:
        """Each piece is hashed in a thread while it is written and the next one comes; all are when this returns."""
        path = self._file.path
        with mirror.stream(name, self._file.length, self.received) as body, ThreadPoolExecutor(1) as hashing:
            if body is None:
                raise UnreachableError(f"a mirror does not have {path}", image=path)
            if body.start != self.received:
                self.went_on = False
                self._restart()
            check, hashed = self._check, None
            for chunk in body:
                check.count(chunk)
                if hashed is not None:
                    hashed.result()
                hashed = hashing.submit(check.hash, chunk)
                self._partial.write(chunk)
