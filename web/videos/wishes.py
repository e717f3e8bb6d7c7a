"""What a client may ask of an uploaded video, and the job that it becomes. Nothing is kept yet."""

import re
from pathlib import PurePosixPath
from typing import Annotated, Any
from urllib.parse import unquote, urlsplit
from uuid import uuid4

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from stream import limits
from stream.errors import FetchError, UnsupportedOutput
from stream.fetch.pull import resolve
from stream.records.formats import DEFAULT, FORMATS, FormatName, check_alpha
from stream.records.jobs import Address, Job, Media, Output, OutputName, Priority, Side, Title
from stream.records.options import Options, View
from web.context import Context
from web.http.problems import Problem, invalid
from web.http.threads import in_network_thread, in_thread
from web.kept.inbox import Busy, Upload
from web.options import read_options

PREVIEW = "preview"
"""The name of the one output of a job that only shows a frame; no client's output is called so."""

Part = Annotated[dict[str, Any], Field(description="as in POST /api/sessions; null is the default")]
_STATUS = {"too_large": 413}


class OutputIn(BaseModel):
    """background and view stand in for those of `options`."""

    model_config = ConfigDict(extra="forbid")
    name: OutputName = "result"
    format: FormatName = Field(DEFAULT, description="png: a zip of numbered pictures")
    view: View | None = None
    background: str | None = None


class Wish(BaseModel):
    """upload: the id of a complete one; or url: where the video is. Times in seconds of the video."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)
    upload: str = Field("", max_length=limits.ID)
    url: Address = ""
    title: Title = ""
    options: Part = Field(default_factory=dict)
    outputs: list[OutputIn] = Field(default_factory=lambda: [OutputIn()], min_length=1, max_length=limits.OUTPUTS)
    start_s: float = Field(0.0, ge=0)
    end_s: float | None = Field(None, gt=0)
    width: Side = Field(0, description="0: follows from the height, or the video")
    height: Side = 0
    priority: Priority = Field(limits.PRIORITY, description="among your own jobs; higher comes first")
    webhook: Address = Field("", description="address that is told when the job ends")

    @model_validator(mode="after")
    def _one_source(self) -> "Wish":
        if bool(self.upload) == bool(self.url):
            raise ValueError("give upload or url, one of them")
        return self


async def job_of(here: Context, owner: str, wish: Wish) -> Job:
    """The job that fulfils the wish. Raises Problem: 404, 409, 413 or 422 with the field at fault."""
    if any(output.name == PREVIEW for output in wish.outputs):
        raise Problem(422, "invalid", f"{PREVIEW!r} is taken; name it differently", field="outputs")
    options, outputs = await in_thread(_looks, here, owner, wish)
    for field in ("url", "webhook"):
        if address := getattr(wish, field):
            await _check_address(here, field, address)
    upload = await whole_upload(here, owner, wish.upload) if wish.upload else None
    media = upload.media if upload else None
    _check_times(wish, media)
    return _built(
        owner, wish, options=options, outputs=outputs, media=media,
        source=upload.source if upload else "", title=_title(wish, upload),
    )  # fmt: skip


def _built(owner: str, wish: Wish, **more: Any) -> Job:
    same = wish.model_dump(include={"url", "start_s", "end_s", "width", "height", "priority", "webhook"})
    try:
        return Job(id=str(uuid4()), owner=owner, **same, **more)
    except ValidationError as exc:
        raise invalid(exc.errors()) from None


def _looks(here: Context, owner: str, wish: Wish) -> tuple[Options, tuple[Output, ...]]:
    """How the results are to look. May open files."""
    options = read_options(here.shelf, owner, Options(), wish.options)
    return options, tuple(_output(here, owner, options, n, wanted) for n, wanted in enumerate(wish.outputs))


def _output(here: Context, owner: str, options: Options, number: int, wanted: OutputIn) -> Output:
    own = {name: value for name in ("view", "background") if (value := getattr(wanted, name)) is not None}
    whole = read_options(here.shelf, owner, options, own)
    if whole.wants_alpha:
        try:
            check_alpha(FORMATS[wanted.format])
        except UnsupportedOutput as exc:
            raise Problem(422, exc.code, str(exc), field=f"outputs.{number}.format") from None
    background = whole.background if wanted.background is not None else None
    return Output(name=wanted.name, format=wanted.format, view=wanted.view, background=background)


async def _check_address(here: Context, field: str, address: str) -> None:
    try:
        await in_network_thread(resolve, address, here.settings)
    except FetchError as exc:
        raise Problem(422, exc.code, str(exc), field=field) from None


async def whole_upload(here: Context, owner: str, id: str) -> Upload:
    """The complete upload of that id. Raises Problem 404, 409 while it is incomplete, 413 or 422 if it is no video."""
    upload = await in_thread(here.inbox.get, owner, id)
    if upload is None:
        raise Problem(404, "no_upload", "there is no such upload, or no longer", field="upload")
    if upload.state == "arriving":
        upload = await _finished(here, upload)
    if upload.state == "unusable":
        raise Problem(_STATUS.get(upload.problem, 422), upload.problem, upload.detail, field="upload")
    return await in_thread(here.inbox.touch, upload)


async def _finished(here: Context, upload: Upload) -> Upload:
    """All of it may have come, and only its end been interrupted."""
    try:
        with await in_thread(here.inbox.open, upload) as draft:
            if draft.offset == upload.bytes:
                return await here.inbox.finish(upload)
            detail = f"{draft.offset:,} of {upload.bytes:,} bytes have come"
    except (Busy, FileNotFoundError):
        detail = "it is still being sent"
    raise Problem(409, "incomplete", detail, field="upload", retry_s=1)


def _check_times(wish: Wish, media: Media | None) -> None:
    length_s = media.duration_s if media else 0.0
    if length_s and wish.start_s >= length_s:
        raise Problem(422, "invalid", f"the video lasts {length_s:.2f} s", field="start_s")


def _title(wish: Wish, upload: Upload | None) -> str:
    if wish.title or upload:
        title = wish.title or (upload.title if upload else "")
    else:
        parts = urlsplit(wish.url)
        title = unquote(PurePosixPath(parts.path).name) or parts.hostname or ""
    return re.sub(r"\s+", " ", "".join(c if c.isprintable() else " " for c in title)).strip()[: limits.TITLE]
