"""The store of backgrounds: the built-in pictures, and the users' own pictures and videos. Knows nothing about HTTP.

Each background and its thumbnail are kept in storage (`stream/storage/keys.py`), where every worker can read them. The
server chooses the ids. Methods block: call them in a thread.
"""

import time
import warnings
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from secrets import token_hex
from typing import Literal

from PIL import Image, ImageOps, UnidentifiedImageError

from stream import private
from stream.errors import BackgroundError, InputError, MatteboxError, TooLarge, UnreadableMedia, disk_error
from stream.limits import FILE_ID
from stream.picture.frames import Frame, to_av
from stream.records.options import Background
from stream.settings import Settings
from stream.sources.file import FileSource
from stream.storage import Storage, keys
from stream.storage.local_copies import SCHEME
from web.stores.file_lock import locked
from web.stores.painted_backgrounds import PICTURES, painted
from web.stores.scratch import Scratch

Kind = Literal["image", "video"]
_KINDS: tuple[Kind, ...] = ("image", "video")
_FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF")
_THUMBNAIL = (320, 180)  # pixels, at most


class TooManyBackgrounds(MatteboxError):  # noqa: N818 - error names state what went wrong, without "Error"
    """The user has as many backgrounds as allowed."""

    code = "full_shelf"


@dataclass(frozen=True)
class OwnBackground:
    """A user's own background. key: in storage."""

    id: str
    kind: Kind
    key: str


class BackgroundStore:
    """Stores and reads backgrounds, and converts their specs between clients and workers.

    The mask of a prompt (`mask:upload:ID`) is a picture or video that the user has added in the same way.
    """

    def __init__(self, settings: Settings, storage: Storage) -> None:
        self._settings, self._storage = settings, storage
        self._scratch = Scratch(settings)
        self._locks = settings.data_dir.absolute() / "background-locks"

    def worker_spec(self, owner: str, spec: str) -> str:
        """Convert a client's spec for workers: `gallery:NAME` and `upload:ID` become storage keys.

        Raises BackgroundError if the background does not exist, and for specs with a path.
        """
        kind, _, name = spec.partition(":")
        if kind in _KINDS:
            raise BackgroundError("paths of the server are not allowed; use gallery:NAME or upload:ID")
        if kind == "gallery":
            return f"image:{SCHEME}{self.gallery(name)}"
        if kind == "upload":
            upload = self.upload(owner, name)
            return f"{upload.kind}:{SCHEME}{upload.key}"
        return spec

    def worker_mask(self, owner: str, path: str) -> str:
        """The path of a mask for workers: `upload:ID` becomes a storage key, marked as one.

        Raises BackgroundError if the owner has no such picture or video, and for any other path.
        """
        kind, _, name = path.partition(":")
        if kind != "upload":
            raise BackgroundError("paths of the server are not allowed; add the mask as a background of your own and "
                                  "write mask:upload:ID")  # fmt: skip
        return f"{SCHEME}{self.upload(owner, name).key}"

    def public_mask(self, path: str) -> str:
        """The inverse of `worker_mask`."""
        return f"upload:{keys.background_id(path.removeprefix(SCHEME))}"

    def public_spec(self, background: Background) -> str:
        """The inverse of `worker_spec`: a background's spec as clients write it."""
        if background.kind not in _KINDS:
            return background.spec()
        key = background.path.removeprefix(SCHEME)
        painted = keys.gallery_name(key)
        return f"gallery:{painted}" if painted else f"upload:{keys.background_id(key)}"

    def gallery(self, name: str) -> str:
        """The key of a built-in picture, painted on first use. Raises BackgroundError, DiskError."""
        if name not in PICTURES:
            raise BackgroundError(f"there is no such picture in the gallery; it has: {', '.join(PICTURES)}")
        key = keys.gallery(name)
        if not self._exists(key):
            self._put_painted(key, name)
        return key

    def gallery_thumbnail(self, name: str) -> bytes:
        """A JPEG. Raises BackgroundError, DiskError."""
        picture, key = self.gallery(name), keys.gallery_thumbnail(name)
        if not self._exists(key):
            with self._scratch.folder() as folder, Image.open(self._storage.local(picture, folder)) as image:
                _save_thumbnail(image, folder / "small")
                self._storage.put(key, folder / "small")
        return b"".join(self._storage.read(key))

    def uploads(self, owner: str) -> list[OwnBackground]:
        """The owner's backgrounds, oldest first."""
        found = self._storage.keys(keys.backgrounds(owner))
        return [OwnBackground(keys.background_id(key), kind, key) for key in found if (kind := _kind(key))]

    def upload(self, owner: str, name: str) -> OwnBackground:
        """The owner's background with this id. Raises BackgroundError if there is none."""
        if FILE_ID.fullmatch(name):
            for kind in _KINDS:
                if self._exists(key := keys.background(owner, name, kind)):
                    return OwnBackground(name, kind, key)
        raise BackgroundError("there is no background with this id")

    def thumbnail(self, owner: str, name: str) -> bytes:
        """A JPEG. Raises BackgroundError."""
        self.upload(owner, name)
        try:
            return b"".join(self._storage.read(keys.background_thumbnail(owner, name)))
        except FileNotFoundError:
            raise BackgroundError("there is no background with this id") from None

    def draft(self) -> Path:
        """A path to which a new background can be written. The file's name becomes its id. Raises OSError."""
        private.make_folder(self._scratch.path)
        return self._scratch.path / f"{time.time_ns():016x}{token_hex(8)}"  # names sort by time

    def forget_drafts(self, before_s: float) -> None:
        """Remove drafts unchanged since `before_s` (Unix time): the process that made them was killed."""
        self._scratch.forget(before_s)

    def keep(self, owner: str, draft: Path) -> OwnBackground:
        """Check a received draft, and store it with its thumbnail. Raises InputError, TooManyBackgrounds, DiskError.

        The caller must then remove the draft, and the file with the same name and the suffix .jpg, if they exist.
        """
        thumbnail = draft.with_suffix(".jpg")
        kind: Kind = "image" if self._is_image(draft, thumbnail) else "video"
        if kind == "video":
            self._read_video(draft, thumbnail)
        kept = OwnBackground(draft.name, kind, keys.background(owner, draft.name, kind))
        with self._owner_lock(owner):
            self._storage.put(keys.background_thumbnail(owner, draft.name), thumbnail)
            self._storage.put(kept.key, draft)
            if len(self.uploads(owner)) > self._settings.max_backgrounds:  # also counts those of other machines
                self.remove(owner, kept.id)
                raise TooManyBackgrounds("there are too many backgrounds")
        return kept

    def _owner_lock(self, owner: str) -> AbstractContextManager[None]:
        """Requests that add backgrounds of one user at the same time are counted one after the other."""
        return locked(self._locks / PurePosixPath(keys.backgrounds(owner)).name)

    def remove(self, owner: str, name: str) -> None:
        """Remove a background. Live videos that show it keep it, because they have opened it. Raises BackgroundError if
        it does not exist."""
        self._storage.remove(self.upload(owner, name).key)
        self._storage.remove(keys.background_thumbnail(owner, name))

    def _exists(self, key: str) -> bool:
        try:
            self._storage.size(key)
        except FileNotFoundError:
            return False
        return True

    def _put_painted(self, key: str, name: str) -> None:
        with self._scratch.folder() as folder:
            try:
                picture = painted(folder, name)
            except OSError as exc:
                raise disk_error(exc, "the gallery") from exc
            self._storage.put(key, picture)

    def _is_image(self, path: Path, thumbnail: Path) -> bool:
        """Whether the file is an image; if so, its thumbnail is written. Raises TooLarge, UnreadableMedia."""
        try:
            with _without_warnings(), Image.open(path, formats=_FORMATS) as image:
                if image.width * image.height > self._settings.max_pixels:
                    raise Image.DecompressionBombError
                _save_thumbnail(image, thumbnail)
        except UnidentifiedImageError:
            return False
        except Image.DecompressionBombError:  # Pillow's own limit may be lower
            raise TooLarge(f"the picture has more than {self._settings.max_pixels:,} pixels") from None
        except (OSError, ValueError, SyntaxError, EOFError) as exc:
            raise UnreadableMedia(f"the picture cannot be read ({exc})".replace(str(path), "file")) from None
        return True

    def _read_video(self, path: Path, thumbnail: Path) -> None:
        try:
            source = FileSource(path, self._settings)
            try:
                frame = next(item for item in source if isinstance(item, Frame))
            finally:
                source.close()
        except InputError as exc:
            reason = str(exc).replace(str(path), "the file")
            if isinstance(exc, UnreadableMedia):
                reason = f"neither a video nor a picture in a known format ({', '.join(_FORMATS)}): {reason}"
            raise type(exc)(reason) from None
        _save_thumbnail(Image.fromarray(to_av(frame, "rgba").to_ndarray()), thumbnail)


def _save_thumbnail(image: Image.Image, path: Path) -> None:
    """Write a JPEG of at most 320x180 pixels, without the picture's metadata (location, camera, author)."""
    image.draft("RGB", (2 * _THUMBNAIL[0], 2 * _THUMBNAIL[1]))
    small = ImageOps.exif_transpose(image).convert("RGBA")
    small.thumbnail(_THUMBNAIL)
    flat = Image.new("RGB", small.size, "#808080")
    flat.paste(small, mask=small)
    flat.save(path, "JPEG", quality=85)


def _kind(key: str) -> Kind | None:
    """The kind of background with this key; None for the key of a thumbnail."""
    return next((kind for kind in _KINDS if keys.background_kind(key) == kind), None)


@contextmanager
def _without_warnings() -> Iterator[None]:
    """Silence Pillow's warnings about large pictures: `Settings.max_pixels` is the limit here."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)
        yield
