"""The request body of POST /api/jobs, its checks, and the job made from it. Stores nothing."""

import re
from pathlib import PurePosixPath
from typing import Annotated, Any
from urllib.parse import unquote, urlsplit
from uuid import uuid4

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from stream import limits
from stream.errors import Fenced, FetchError, NoVideoStream, UnsupportedOutput
from stream.fetch.safe_http import resolve
from stream.records import selection
from stream.records.formats import (
    DEFAULT,
    FORMATS,
    PICTURE_DEFAULT,
    FormatName,
    OutputFormat,
    check_alpha,
    for_input,
    still_for,
)
from stream.records.jobs import Address, Job, Media, Output, OutputName, Priority, Side, Title, VideoStreamNumber
from stream.records.metadata import Metadata
from stream.records.options import Options, View
from stream.records.selection import Selection
from stream.records.subjects import SUBJECT_SPEC
from stream.records.upload_records import Busy
from web.context import Context
from web.http.problems import Problem, invalid
from web.http.threads import in_network_thread, in_thread
from web.read_options import read_options
from web.stores.uploads import Rewound, Upload

PREVIEW = "preview"
"""The name of the only output of a preview job; reserved, so that clients cannot use it."""

# The fields of a request that a job has too.
_COPIED = {"url", "start_s", "end_s", "stream", "width", "height", "metadata", "priority", "webhook"}

PartialOptions = Annotated[dict[str, Any], Field(description="as in POST /api/sessions; null is the default")]
_STATUS = {"too_large": 413}


_EXAMPLE: dict[str, Any] = {
    "upload": "5f6b6d0e9f7a4a0f8d3c2b1a00112233",
    "options": {"background": "color:#1f2937", "engine": "rvm"},
    "outputs": [{"format": "mp4"}, {"name": "matte", "format": "mkv", "view": "matte"}],
    "start_s": 1.5,
}


FORM_TYPE = "multipart/form-data"
FORM_BODY = {
    "requestBody": {
        "content": {
            FORM_TYPE: {
                "schema": {
                    "type": "object",
                    "required": ["file"],
                    "description": "A small file and its options; every field of Options is also a field of the form.",
                    "properties": {
                        "file": {"type": "string", "format": "binary"},
                        "format": {"type": "string", "description": "of the result"},
                        "background": {"type": "string", "examples": ["color:#1f2937"]},
                        "engine": {"type": "string"},
                        "subjects": {
                            "type": "array",
                            "items": {"type": "string"},
                            "description": f"the subjects, repeated, each as {SUBJECT_SPEC}",
                            "examples": [["point:0.5,0.25", "not:person"]],
                        },
                        "chooser": {"type": "string"},
                        "start_s": {"type": "number"},
                        "end_s": {"type": "number"},
                        "stream": {"type": "integer"},
                        "height": {"type": "integer"},
                        "metadata": {"type": "string", "enum": [choice.value for choice in Metadata]},
                        "webhook": {"type": "string"},
                    },
                }
            }
        }
    }
}


class OutputIn(BaseModel):
    """background, view: override those of `options`."""

    model_config = ConfigDict(extra="forbid")
    name: OutputName = "result"
    format: FormatName | None = Field(
        None,
        description=f"null: {DEFAULT} for a video, {PICTURE_DEFAULT} for a picture. png: a zip of numbered pictures",
    )
    view: View | None = None
    background: str | None = None
    subject: Selection = ()


class JobRequest(BaseModel):
    """The video or picture is either `upload`, the id of a complete upload, or fetched from `url`. Times are in seconds
    from the start of the video."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False, json_schema_extra={"examples": [_EXAMPLE]})
    upload: str = Field("", max_length=limits.ID)
    url: Address = ""
    title: Title = ""
    options: PartialOptions = Field(default_factory=dict)
    outputs: list[OutputIn] = Field(default_factory=lambda: [OutputIn()], min_length=1, max_length=limits.OUTPUTS)
    start_s: float = Field(0.0, ge=0)
    end_s: float | None = Field(None, gt=0)
    stream: VideoStreamNumber = None
    width: Side = Field(0, description="pixels; 0: follows from the height, or is that of the video")
    height: Side = 0
    metadata: Metadata = Field(
        Metadata.NO_LOCATION,
        description="what the results keep of dates, titles, chapters, attachments and EXIF data: "
        "keep, no-location (all but locations), drop",
    )
    priority: Priority = Field(limits.PRIORITY, description="among your own jobs; higher comes first")
    webhook: Address = Field("", description="address that is called when the job ends")

    @model_validator(mode="after")
    def _one_source(self) -> "JobRequest":
        if bool(self.upload) == bool(self.url):
            raise ValueError("specify either upload or url")
        return self


async def new_job(here: Context, owner: str, request: JobRequest) -> Job:
    """The job for a request. Raises Problem 404, 409, 413 or 422, naming the invalid field."""
    if any(output.name == PREVIEW for output in request.outputs):
        raise Problem(422, "invalid", f"{PREVIEW!r} is a reserved name; choose another one", field="outputs")
    upload = await complete_upload(here, owner, request.upload) if request.upload else None
    media = upload.media if upload else None
    options, outputs = await in_thread(_options_and_outputs, here, owner, request, media)
    for field in ("url", "webhook"):
        if address := getattr(request, field):
            await _check_address(here, field, address)
    check_stream(request.stream, media)
    _check_times(request, media)
    return _job(
        owner, request, options=options, outputs=outputs, media=media,
        source=upload.source if upload else "", title=_title(request, upload),
    )  # fmt: skip


def _job(owner: str, request: JobRequest, **fields: Any) -> Job:
    copied = request.model_dump(include=_COPIED)
    try:
        return Job(id=str(uuid4()), owner=owner, **copied, **fields)
    except ValidationError as exc:
        raise invalid(exc.errors()) from None


def _options_and_outputs(
    here: Context, owner: str, request: JobRequest, media: Media | None
) -> tuple[Options, tuple[Output, ...]]:
    """media: of the upload; None for an address. Raises Problem 422. May open files."""
    options = read_options(here.settings, here.background_store, owner, Options(), request.options)
    formats = [_format(n, output.format, request.url, media) for n, output in enumerate(request.outputs)]
    pairs = zip(request.outputs, formats, strict=True)
    return options, tuple(_output(here, owner, options, n, *pair) for n, pair in enumerate(pairs))


def _format(number: int, name: FormatName | None, url: str, media: Media | None) -> OutputFormat:
    """The format of an output. What an address leads to is guessed from its suffix; its worker checks it."""
    suffix = PurePosixPath(urlsplit(url).path).suffix.lower()
    still = media.still if media else still_for(suffix) is not None
    if name is None:
        return FORMATS[PICTURE_DEFAULT if still else DEFAULT]
    if media is None:
        return FORMATS[name]
    try:
        return for_input(FORMATS[name], still)
    except UnsupportedOutput as exc:
        raise Problem(422, exc.code, str(exc), field=f"outputs.{number}.format") from None


def _output(here: Context, owner: str, options: Options, number: int, output: OutputIn, kind: OutputFormat) -> Output:
    overrides = {name: value for name in ("view", "background") if (value := getattr(output, name)) is not None}
    effective = read_options(here.settings, here.background_store, owner, options, overrides)
    if effective.wants_alpha:
        try:
            check_alpha(kind)
        except UnsupportedOutput as exc:
            raise Problem(422, exc.code, str(exc), field=f"outputs.{number}.format") from None
    if fault := selection.fault(output.subject, effective):
        raise Problem(422, "invalid", fault, field=f"outputs.{number}.subject")
    background = effective.background if output.background is not None else None
    return Output(name=output.name, format=kind.name, view=output.view, background=background, subject=output.subject)


async def _check_address(here: Context, field: str, address: str) -> None:
    try:
        await in_network_thread(resolve, address, here.settings)
    except FetchError as exc:
        raise Problem(422, exc.code, str(exc), field=field) from None


async def complete_upload(here: Context, owner: str, id: str) -> Upload:
    """The complete upload with this id. Raises Problem 404, 409 if it is incomplete, 413 or 422 if it is unusable."""
    upload = await here.upload_store.get(owner, id)
    if upload is None:
        raise Problem(404, "no_upload", "the upload does not exist, or no longer exists", field="upload")
    if upload.state == "arriving":
        upload = await _finished(here, upload)
    if upload.state == "unusable":
        raise Problem(_STATUS.get(upload.problem, 422), upload.problem, upload.detail, field="upload")
    return await here.upload_store.touch(upload)


async def _finished(here: Context, upload: Upload) -> Upload:
    """Finish an upload that has all its bytes, but was interrupted before it was probed. Raises Problem 409."""
    try:
        async with here.upload_store.open(upload) as draft:
            if draft.offset == upload.bytes:
                return await here.upload_store.finish(upload, draft)
            detail = f"the upload is incomplete: it has {draft.offset:,} of {upload.bytes:,} bytes"
    except (Busy, Fenced, FileNotFoundError, Rewound):
        detail = "the upload is still in progress"
    raise Problem(409, "incomplete", detail, field="upload", retry_s=1)


def check_stream(number: int | None, media: Media | None) -> None:
    """Raise Problem 422 for a video stream that the file does not have. media: None if unknown."""
    if number is None or media is None:
        return
    if media.still:
        raise Problem(422, "invalid", "a picture has no video streams", field="stream")
    if media.video_streams and number >= media.video_streams:
        found = NoVideoStream.numbered("the file", number, media.video_streams)
        raise Problem(422, found.code, str(found), field="stream")


def _check_times(request: JobRequest, media: Media | None) -> None:
    if media and media.still and (request.start_s or request.end_s is not None):
        raise Problem(
            422, "invalid", "a picture has no start and no end", field="start_s" if request.start_s else "end_s"
        )
    length_s = (
        media.duration_s if media and request.stream is None else 0.0
    )  # `media` has the length of the best stream
    if length_s and request.start_s >= length_s:
        raise Problem(422, "invalid", f"the video is only {length_s:.2f} s long", field="start_s")


def _title(request: JobRequest, upload: Upload | None) -> str:
    """For display: the requested title, else the name of the file, without control characters."""
    if request.title or upload:
        title = request.title or (upload.title if upload else "")
    else:
        parts = urlsplit(request.url)
        title = unquote(PurePosixPath(parts.path).name) or parts.hostname or ""
    return re.sub(r"\s+", " ", "".join(c if c.isprintable() else " " for c in title)).strip()[: limits.TITLE]
