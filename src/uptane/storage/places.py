"""Where a repository publishes: a folder by its path, or object storage by its URL."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias
from urllib.parse import unquote, urlsplit

from uptane.metadata.errors import StorageError
from uptane.storage.folders import ImageFolder, PublishedFolder
from uptane.storage.names import components
from uptane.storage.object_images import ImageObjects
from uptane.storage.object_store import Objects
from uptane.storage.object_urls import open_objects
from uptane.storage.objects import PublishedObjects


@dataclass(frozen=True, slots=True)
class FolderPlace:
    """Everything below one folder."""

    root: Path

    def metadata(self, *below: str) -> PublishedFolder:
        """The published metadata in a folder below; raises FormatError for bad names."""
        return PublishedFolder(self._at(below))

    def images(self, *below: str) -> ImageFolder:
        """The published images in a folder below; raises FormatError for bad names."""
        return ImageFolder(self._at(below))

    def _at(self, below: tuple[str, ...]) -> Path:
        return self.root.joinpath(*components("/".join(below))) if below else self.root


@dataclass(frozen=True, slots=True)
class ObjectPlace:
    """Everything below one URL of object storage."""

    objects: Objects

    def metadata(self, *below: str) -> PublishedObjects:
        """The published metadata below a prefix; raises FormatError for bad names."""
        return PublishedObjects(self.objects.below(*below))

    def images(self, *below: str) -> ImageObjects:
        """The published images below a prefix; raises FormatError for bad names."""
        return ImageObjects(self.objects.below(*below))


Place: TypeAlias = FolderPlace | ObjectPlace


def open_place(
    url_or_path: str | Path, *, options: Mapping[str, str] | None = None, unsafe_plain_http: bool = False
) -> Place:
    """The place of a path, a `file:///` URL, or a URL as `open_objects` takes it.

    Args:
        url_or_path: text with `://` in it is a URL.
        options: of object storage, as `open_objects` takes them.
        unsafe_plain_http: as `open_objects` takes it.

    Raises:
        StorageError: nothing can be published there.
    """
    text = str(url_or_path)
    if isinstance(url_or_path, Path) or "://" not in text:
        return FolderPlace(Path(url_or_path))
    parts = urlsplit(text)
    if parts.scheme != "file":
        return ObjectPlace(open_objects(text, options=options, unsafe_plain_http=unsafe_plain_http))
    if parts.netloc not in ("", "localhost") or parts.query or parts.fragment or not parts.path:
        raise StorageError(f"not the URL of a folder of this machine: {text!r}", next_step="Write file:///PATH.")
    return FolderPlace(Path(unquote(parts.path)))
