"""Where background pictures and videos lie, and what may lie there. Knows nothing about HTTP.

`<data_dir>/gallery/NAME.jpg`, and `<data_dir>/backgrounds/OWNER/ID.image` or `.video` beside `ID.jpg`, its thumbnail.
Names on the disk are the server's own. Methods that open files take a while: call them in a thread.
"""

import re
import shutil
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal
from uuid import uuid4

from PIL import Image, ImageOps, UnidentifiedImageError

from stream.errors import BackgroundError, InputError, TooLarge, UnreadableMedia, disk_error
from stream.frames import Frame, to_av
from stream.session import Background
from stream.settings import Settings
from stream.sources.file import FileSource
from stream.storage import STORED, Storage
from web.gallery import PICTURES, painted

Kind = Literal["image", "video"]
_KINDS: tuple[Kind, ...] = ("image", "video")
_FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF")
_ID = re.compile(r"[0-9a-f]{32}")
_THUMBNAIL = (320, 180)  # pixels, at most
_GALLERY = "gallery-"  # in storage; names of uploads are hexadecimal digits
_NOBODY = "-"  # the folder of the user without a name; users' names begin with a letter or digit


@dataclass(frozen=True)
class Upload:
    id: str
    kind: Kind
    path: Path
    bytes: int


class Shelf:
    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._gallery = settings.data_dir.absolute() / "gallery"
        self._own = settings.data_dir.absolute() / "backgrounds"

    def path_of(self, owner: str, spec: str) -> str:
        """`gallery:NAME` or `upload:ID` as the SPEC that a worker reads; others as they are.

        Raises BackgroundError for what is not there, and for a path of the server.
        """
        kind, _, name = spec.partition(":")
        if kind in _KINDS:
            raise BackgroundError("over HTTP a picture is gallery:NAME or upload:ID")
        if kind == "gallery":
            return f"image:{self.gallery(name)}"
        if kind == "upload":
            upload = self.upload(owner, name)
            return f"{upload.kind}:{upload.path}"
        return spec

    def word_for(self, background: Background) -> str:
        """The inverse: what a client may read of a record's background."""
        if background.kind not in _KINDS:
            return background.spec()
        path = Path(background.path.removeprefix(STORED))
        if path.stem.startswith(_GALLERY):
            return f"gallery:{path.stem.removeprefix(_GALLERY)}"
        return f"gallery:{path.stem}" if path.parent == self._gallery else f"upload:{path.stem}"

    def stored(self, background: Background, storage: Storage) -> Background:
        """The same, kept in storage, where workers of other machines find it. Raises DiskError, BackgroundError."""
        if background.kind not in _KINDS:
            return background
        path = Path(background.path)
        key = f"backgrounds/{_GALLERY if path.parent == self._gallery else ''}{path.name}"
        try:
            storage.size(key)
        except FileNotFoundError:
            storage.put(key, self._copy(path))
        return background.model_copy(update={"path": f"{STORED}{key}"})

    def _copy(self, path: Path) -> Path:
        copy = self._own.parent / f"{uuid4().hex}.part"
        try:
            try:
                copy.hardlink_to(path)  # it is never written to
            except OSError:
                shutil.copyfile(path, copy)
        except FileNotFoundError:
            raise BackgroundError("the background was removed") from None
        except OSError as exc:
            raise disk_error(exc, "the background") from exc
        return copy

    def gallery(self, name: str) -> Path:
        """The picture's file, painted when it is first wanted. Raises BackgroundError."""
        if name not in PICTURES:
            raise BackgroundError(f"the gallery has: {', '.join(PICTURES)}")
        try:
            return painted(self._gallery, name)
        except OSError as exc:
            raise disk_error(exc, "the gallery") from exc

    def gallery_thumbnail(self, name: str) -> Path:
        path = self._gallery / "thumbnails" / f"{name}.jpg"
        picture = self.gallery(name)
        if not path.exists():
            path.parent.mkdir(exist_ok=True)
            with Image.open(picture) as image:
                _save_thumbnail(image, path)
        return path

    def uploads(self, owner: str) -> list[Upload]:
        """The owner's, oldest first."""
        folder = self._folder(owner)
        files = [p for p in folder.iterdir() if p.suffix[1:] in _KINDS] if folder.is_dir() else []
        return [u for p in sorted(files, key=_age) if (u := self._read(p))]

    def upload(self, owner: str, name: str) -> Upload:
        """Raises BackgroundError where the owner has none of that name."""
        found = [self._folder(owner) / f"{name}.{kind}" for kind in _KINDS] if _ID.fullmatch(name) else []
        for path in found:
            if upload := self._read(path):
                return upload
        raise BackgroundError("there is no upload of that id")

    def thumbnail(self, owner: str, name: str) -> Path:
        return self.upload(owner, name).path.with_suffix(".jpg")

    def draft(self, owner: str) -> Path:
        """Where an upload is written until it is known to be one."""
        folder = self._folder(owner)
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        return folder / f"{uuid4().hex}.part"

    def keep(self, draft: Path) -> Upload:
        """Look at what was written, and give it its name. Raises InputError; the draft is the caller's to remove."""
        thumbnail = draft.with_suffix(".jpg")
        kind: Kind = "image" if self._is_image(draft, thumbnail) else "video"
        if kind == "video":
            self._read_video(draft, thumbnail)
        path = draft.replace(draft.with_suffix(f".{kind}"))
        return Upload(path.stem, kind, path, path.stat().st_size)

    def remove(self, owner: str, name: str) -> None:
        """Raises BackgroundError. A live video that shows it keeps it open, and goes on."""
        path = self.upload(owner, name).path
        path.unlink(missing_ok=True)
        path.with_suffix(".jpg").unlink(missing_ok=True)

    def _folder(self, owner: str) -> Path:
        return self._own / (owner or _NOBODY)

    @staticmethod
    def _read(path: Path) -> Upload | None:
        try:
            return Upload(path.stem, "image" if path.suffix == ".image" else "video", path, path.stat().st_size)
        except OSError:
            return None  # removed a moment ago

    def _is_image(self, path: Path, thumbnail: Path) -> bool:
        """Write its thumbnail if it is one. Raises TooLarge, UnreadableMedia."""
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
            raise type(exc)(str(exc).replace(str(path), "the file")) from None
        _save_thumbnail(Image.fromarray(to_av(frame, "rgba").to_ndarray()), thumbnail)


def _save_thumbnail(image: Image.Image, path: Path) -> None:
    """A JPEG without anything else that the picture carried: no place, no camera, no name."""
    image.draft("RGB", (2 * _THUMBNAIL[0], 2 * _THUMBNAIL[1]))
    small = ImageOps.exif_transpose(image).convert("RGBA")
    small.thumbnail(_THUMBNAIL)
    flat = Image.new("RGB", small.size, "#808080")
    flat.paste(small, mask=small)
    flat.save(path, "JPEG", quality=85)


def _age(path: Path) -> tuple[float, str]:
    try:
        return path.stat().st_mtime, path.name
    except OSError:
        return 0.0, path.name


@contextmanager
def _without_warnings() -> Iterator[None]:
    """Pillow warns of large pictures; the limit here is the settings'."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)
        yield
