"""The request for a job, checked on this machine and against the server before anything is uploaded."""

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from commands import output_subjects
from commands.matting_options import MattingOptions, PartOptions
from commands.output_subjects import Named
from stream.errors import BackgroundError, TooLarge, UsageError
from stream.limits import OUTPUT_NAME_LENGTH, OUTPUTS
from stream.picture.timing import clock
from stream.records import http_paths
from stream.records.formats import DEFAULT, FORMATS, PICTURE_DEFAULT, OutputFormat, check_alpha, for_input
from stream.records.options import Background, Edges, Options, View
from stream.records.subjects import Subject, specs
from stream.settings import Settings
from stream.suggestions import choose

if TYPE_CHECKING:
    from commands.client import Remote

_OF_SERVER = ("gallery:", "upload:")
"""Prefixes of backgrounds and masks stored on the server, which the command line accepts as well."""
_FLAGS = {"subjects": "subject"}
"""The flags of fields that have another name."""
_VIEWS = tuple(f":{view}" for view in View)
"""The ends of results without subjects: a view wins over a subject of its name."""


def read_options(matting: MattingOptions, edges: Edges) -> tuple[Options, str]:
    """The options, and the background as the server's spec, or "" for one of `Options`. Raises UsageError."""
    spec = matting.background if matting.background.startswith(_OF_SERVER) else ""
    options = (replace(matting, background="green") if spec else matting).options(edges)
    if fault := options.misplaced():
        raise UsageError(f"--{_FLAGS.get(fault[0], fault[0])}: {fault[1]}")
    return options, spec


def format_of(path: Path) -> OutputFormat:
    """The format of the result for an output's name. Raises UnsupportedOutput, UsageError."""
    from stream.sinks import encodings

    if path.suffix.lower() == FORMATS["png"].result_suffix:
        return FORMATS["png"]
    if path.name.partition(":")[0] in FORMATS and not path.is_dir():
        raise UsageError(f"-o {path}: -o takes a file name; a format is given with --result {path.name}")
    return encodings.format_of(path)


def read_output(text: str, options: Options) -> Named:
    """The name of the file that `-o` saves, and the subjects that it names. Raises UsageError."""
    first, *others = output_subjects.read_outputs([text], options)
    if others:
        raise UsageError(f"-o {text}: -o saves one result; others are given with --result")
    return first


def read_outputs(
    results: Sequence[str], saved: OutputFormat | None, options: Options, still: bool, subject: Sequence[str] = ()
) -> list[dict[str, Any]]:
    """The outputs of the job: the one that is saved here first, then the other `results`. still: of a picture.
    subject: names of the only subjects in the one that is saved.

    Raises UsageError.
    """
    outputs = [_named(saved.name, "", subject)] if saved else []
    outputs += [_output(text, options) for text in results]
    outputs = outputs or [_named(PICTURE_DEFAULT if still else DEFAULT)]
    outputs = [output for n, output in enumerate(outputs) if output not in outputs[:n]]
    if len(outputs) > OUTPUTS:
        raise UsageError(f"a job has at most {OUTPUTS} results")
    for number, output in enumerate(outputs):
        view = View(output["view"]) if "view" in output else options.view
        if options.model_copy(update={"view": view}).wants_alpha:
            check_alpha(FORMATS[output["format"]])
        if any(other["name"] == output["name"] for other in outputs[:number]):
            output["name"] = f"{output['name'][: OUTPUT_NAME_LENGTH - 2]}-{number + 1}"
    return outputs


def _output(text: str, options: Options) -> dict[str, Any]:
    """From `FORMAT[:VIEW][:NAME+...]`."""
    rest, subject = output_subjects.split(text, options, "--result") if not text.endswith(_VIEWS) else (text, ())
    format, colon, view = rest.partition(":")
    choose("--result", format, list(FORMATS))
    if colon:
        choose("--result", view, list(View))
    return _named(format, view, subject)


def _named(format: str, view: str = "", subject: Sequence[str] = ()) -> dict[str, Any]:
    words = "-".join(filter(None, (format, view, *subject))).lower()
    output: dict[str, Any] = {"name": re.sub("[^a-z0-9-]", "-", words)[:OUTPUT_NAME_LENGTH], "format": format}
    return output | ({"view": view} if view else {}) | ({"subject": list(subject)} if subject else {})


def check_video(path: Path, request: dict[str, Any], settings: Settings) -> None:
    """Raises InputError if the file is neither a video nor a picture, UsageError if the request does not fit it."""
    from stream.sources.probe import look

    media, start_s = look(path, settings, request.get("stream")), request["start_s"]
    for output in request["outputs"]:
        for_input(FORMATS[output["format"]], media.still)
    if media.still and (start_s or request["end_s"] is not None):
        raise UsageError(f"{path} is a picture, which has no --start and no --end")
    if media.duration_s and start_s >= media.duration_s:
        raise UsageError(f"{path} lasts {clock(media.duration_s)}: --start {start_s:g} is after its end")


def check_background(background: Background, settings: Settings) -> None:
    """Raises BackgroundError if a picture or video cannot be read."""
    from workers.scene import backgrounds

    backgrounds.check_background(background, settings)


def check_server(
    remote: "Remote", options: Options, of_server: str, outputs: Sequence[dict[str, Any]], video: Path | None
) -> None:
    """Check that the server can be reached, accepts the token, and supports what the job requests.

    of_server: a background stored there, or "". video: a file to be uploaded. Raises RemoteError, UsageError, TooLarge.
    """
    menu = remote.ask("GET", http_paths.OPTIONS)
    fields = menu["options"]["properties"]
    choose("--engine", options.engine, fields["engine"]["enum"])
    if options.subjects:
        if "chooser" not in fields:
            raise UsageError("--subject: the server is of an older version, which knows no subjects")
        choose("--chooser", options.chooser, fields["chooser"]["enum"])
    for output in outputs:
        choose("--result", output["format"], [known["name"] for known in menu["formats"]])
    if of_server:
        choose("--background", of_server, remote.backgrounds())
    limit = remote.largest_upload() if video else None
    if video and limit is not None and (size := video.stat().st_size) > limit:
        raise TooLarge(f"{video} has {_mib(size)} MiB; the server takes at most {_mib(limit)}")


def _mib(size: int) -> str:
    return f"{size / 2**20:,.1f}"


def uploaded_background(remote: "Remote", background: Background) -> str:
    """The spec of the background on the server, to which a picture or video is uploaded. Raises RemoteError."""
    if background.kind not in ("image", "video"):
        return background.spec()
    try:
        content = Path(background.path).read_bytes()
    except OSError as exc:
        raise BackgroundError(f"{background.path}: {exc.strerror}") from None
    return remote.add_background(content)


def uploaded_subjects(remote: "Remote", subjects: Sequence[Subject]) -> list[str]:
    """The specs of the subjects on the server, to which the files of their masks are uploaded, each once.

    Raises RemoteError, UsageError.
    """
    stored: dict[str, str] = {}

    def on_server(path: str) -> str:
        if path not in stored:
            stored[path] = path if path.startswith(_OF_SERVER) else remote.add_background(_mask(path))
        return stored[path]

    return specs(subject.with_masks(on_server) for subject in subjects)


def check_masks(subjects: Sequence[Subject]) -> None:
    """Raise UsageError if a mask is not a file that can be read."""
    for path in (path for subject in subjects for path in subject.masks):
        if not path.startswith(_OF_SERVER):
            _open_mask(path).close()


def _mask(path: str) -> bytes:
    with _open_mask(path) as file:
        return file.read()


def _open_mask(path: str) -> BinaryIO:
    try:
        return open(path, "rb")
    except OSError as exc:
        raise UsageError(f"--subject: mask:{path}: {exc.strerror}") from None


def body(
    options: Options, outputs: Sequence[dict[str, Any]], part: PartOptions, size: tuple[int, int]
) -> dict[str, Any]:
    """The fields of the request that do not depend on an upload. size: (width, height) in pixels, 0 where not set."""
    start_s, end_s = part.times_s()
    chosen = {"stream": part.stream, "metadata": part.metadata and part.metadata.value}
    return {
        "options": options.model_dump(mode="json", exclude_defaults=True),
        "outputs": list(outputs),
        "start_s": start_s,
        "end_s": end_s,
        "width": size[0],
        "height": size[1],
    } | {field: value for field, value in chosen.items() if value is not None}
