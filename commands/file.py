"""`mattebox file`: mattes videos and pictures: one, many, or from standard input to standard output."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from commands import shared_options
from commands.matting_options import MattingOptions, PartOptions, SequenceOptions, with_matting_options
from commands.output_subjects import read_outputs
from commands.overwriting import check_outputs, keeps_existing
from commands.record_options import with_flags
from stream.errors import UsageError
from stream.records.formats import FORMATS, PICTURE_DEFAULT, PICTURES, SUFFIXES, OutputFormat, still_for
from stream.records.metadata import Metadata
from stream.records.options import Edges

if TYPE_CHECKING:
    from stream.address import Address
    from stream.progress import Reporter
    from stream.settings import Settings
    from workers.runs.file import FileRun

_PIPE = "-"


@with_matting_options
@with_flags(PartOptions)
@with_flags(SequenceOptions)
def file(
    sources: Annotated[
        list[str],
        typer.Argument(
            metavar="IN...",
            help="The videos, pictures and folders to matte, or a picture sequence such as shot.%04d.exr; "
            "- is standard input.",
        ),
    ],
    outputs: shared_options.Outputs,
    matting: MattingOptions,
    edges: Edges,
    part: PartOptions,
    sequence: SequenceOptions,
    formats: Annotated[
        list[str] | None,
        typer.Option(
            "--format",
            metavar="FORMAT",
            help="The format, if OUT is a folder or -. Repeat it to set one for videos and one for pictures.",
        ),
    ] = None,
    recursive: Annotated[
        bool, typer.Option("--recursive", help="Include subfolders; OUT gets the same subfolders.")
    ] = False,
    weights: shared_options.Weights = None,
    overwrite: shared_options.Overwrite = False,
    as_json: shared_options.Json = False,
    verbose: shared_options.Verbose = 0,
) -> None:
    """Matte videos and pictures.

    Several inputs, or a folder, need a folder as OUT; an input that fails does not stop the others.

    With - as OUT, the result is written to standard output, and messages to standard error.
    """
    from stream import loading, log
    from stream.progress import reporter
    from workers.runs.file import FileRun, Target, check, run_file

    loading.end()
    if any(text == _PIPE or text.startswith(f"{_PIPE}:") for text in outputs):
        from stream.sinks.parts.stdout import reserve

        reserve()
    log.configure(verbose, as_json)
    options = matting.options(edges, weights)
    settings = shared_options.settings_with(weights, options.engine)
    common = FileRun(
        Path(),
        Path(),
        options,
        *part.times_s(),
        matting.size_px,
        part.stream,
        part.metadata or Metadata.KEEP,
        **sequence.fields(),
    )
    report = reporter(as_json)
    named = read_outputs(outputs, options)
    if any(_is_many(sources, name, formats or []) for name, _ in named):
        if len(named) > 1 or named[0][1]:
            raise UsageError("several outputs, and outputs of single subjects, are for one input at a time")
        _many([shared_options.local(source) for source in sources], named[0][0], formats or [], recursive, overwrite,
              common, settings, report)  # fmt: skip
        return
    targets = [Target(_output(name, formats or []), subject) for name, subject in named]
    task = replace(
        common,
        source=_source(sources[0]),
        output=targets[0].output,
        subject=targets[0].subject,
        others=tuple(targets[1:]),
    )
    check(task)
    check_outputs([target.output for target in targets], overwrite)
    report.done(run_file(task, settings, report))


def _is_many(sources: Sequence[str], output: str, formats: Sequence[str]) -> bool:
    """Whether the results are named by their inputs, in a folder."""
    from stream.sources.numbered_files import holds_sequence
    from stream.sources.signatures import is_picture

    is_folder = output.endswith("/") or Path(output).is_dir()
    if len(sources) > 1:
        return True
    if Path(sources[0]).is_dir():
        return is_folder or not Path(output).suffix or not holds_sequence(Path(sources[0]))
    return sources[0] != _PIPE and is_folder and (bool(formats) or is_picture(Path(sources[0])))


def _source(text: str) -> "Address | Path":
    from stream.address import Address

    return Address("stdin", "") if text == _PIPE else shared_options.local(text)


def _output(text: str, formats: Sequence[str]) -> "Address | Path":
    """Raises UsageError for a format that is missing, or differs from that of a file's name."""
    from stream.address import Address
    from stream.sinks.encodings import format_of
    from stream.sinks.stdout import check_format

    if len(formats) > 1:
        raise UsageError("--format: a single input takes one format only")
    if text == _PIPE:
        return Address("stdout", check_format(_one_picture(formats[0]) if formats else "").name)
    path = shared_options.local(text)
    if formats and format_of(path).name not in (formats[0], _one_picture(formats[0])):
        raise UsageError(f"--format {formats[0]} differs from the format of {path}; --format is for folders and for -")
    return path


def _one_picture(name: str) -> str:
    """The name of the format; of a sequence, that of one picture."""
    kind = FORMATS.get(name)
    single: OutputFormat | None = still_for(kind.suffix) if kind and kind.pictures else None
    return single.name if single else name


def _sequence_hint(paths: Sequence[Path], least: int) -> str:
    """The text that names the sequence of at least `least` files among these; "" if there is none."""
    from stream.sources.numbered_files import sequence_among

    found = sequence_among(paths, least)
    if found is None:
        return ""
    first, last = (found.numbering.name(found.numbers[n]) for n in (0, -1))
    return f"; {first} to {last} are a sequence, which is one input: {str(found.pattern)!r}"


def _many(
    sources: Sequence[Path],
    output: str,
    formats: Sequence[str],
    recursive: bool,
    overwrite: bool,
    common: "FileRun",
    settings: "Settings",
    report: "Reporter",
) -> None:
    """Raises typer.Exit(1) if an input failed."""
    from stream.records.formats import check_alpha
    from stream.sinks import existing
    from stream.sources.numbered_files import MANY
    from workers.runs.many import Formats, find_inputs, plan, run_many

    results = shared_options.local(output)
    if results.suffix.lower() in {*SUFFIXES, *PICTURES} and not results.is_dir():
        hint = _sequence_hint(sources, least=2)
        raise UsageError(f"{results} is one file; several inputs need a folder: -o FOLDER --format FORMAT{hint}")
    if results.exists() and not results.is_dir():
        raise UsageError(f"{results} is not a folder")
    chosen = Formats.read(formats, common.options.wants_alpha)
    if common.options.wants_alpha:
        check_alpha(chosen.video)
        check_alpha(chosen.picture)
    inputs = find_inputs(sources, recursive, results)
    each = any(FORMATS[name].still for name in formats)
    if not each and (hint := _sequence_hint([found.path for found in inputs], MANY)):
        raise UsageError(f"{len(inputs)} inputs{hint}; to matte each picture by itself, add --format {PICTURE_DEFAULT}")
    runs = plan(inputs, chosen, results, common)
    present = {run.output for run in runs if existing(run.output)}
    kept = keeps_existing([path for path in present if isinstance(path, Path)], overwrite)
    skipped = [run for run in runs if kept and run.output in present]
    summary = run_many([run for run in runs if run not in skipped], skipped, settings, report)
    if summary.failed:
        raise typer.Exit(1)
