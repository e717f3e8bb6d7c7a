"""A file matted in segments and joined, compared with the same file in one pass."""

import io
import sys
import zipfile
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from av.stream import Disposition

from stream.errors import UnreadableMedia
from stream.picture.frames import Frame, to_av
from stream.progress import LineReporter
from stream.records.jobs import Job, Output
from stream.records.metadata import Metadata
from stream.records.options import Background, Options, View
from stream.settings import Settings
from stream.sinks.parts.joined import Part
from stream.sources.pattern import PatternSource
from tests.media import number_of, numbered, read, remuxed, write_video
from tests.rich_clips import CHAPTERS, PHONE, attachments_of, chapters_of, cues_of, rich_clip, tags_of
from tests.sounds import clip_with, heard, tones
from tests.tracks import Video, write_streams
from workers import engines
from workers.engines.rvm import Rvm
from workers.engines.selfie import Selfie
from workers.files import plan, segments
from workers.files.join import Whole
from workers.files.note import Note, judge
from workers.files.plan import Plan, make_plan
from workers.files.segments import Segment
from workers.files.watcher import Stopped, Watcher
from workers.files.work import Work
from workers.runs.file import FileRun, run_file

SETTINGS = Settings(hw_encode=False, threads=1)


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    """Segments of about 30 frames, regardless of how many are decoded twice."""
    monkeypatch.setattr(plan, "_SHORTEST", 30)
    monkeypatch.setattr(plan, "_MAX_OVERLAP", 10.0)


def job_of(*outputs: Output, options: dict[str, Any] | None = None, **fields: Any) -> Job:
    chosen = Options.read(**{"engine": "chroma"} | (options or {}))
    return Job(id="j", source="s", outputs=outputs or (Output(format="mkv"),), options=chosen, **fields)


def in_segments(job: Job, clip: Path, folder: Path) -> tuple[Plan, list[Path]]:
    """Every segment, the last one first, and the joined outputs."""
    engine = engines.load(job.options.engine, job.options, SETTINGS)
    plan, _, _ = make_plan(job, clip, engine, SETTINGS)
    work = Work(job, plan, clip, SETTINGS, Watcher())
    parts = [Segment(work, number) for number in range(len(plan.spans))]
    notes = {part.number: segments.run_segment(part, folder, engine) for part in reversed(parts)}
    if plan.whole:
        return plan, parts[0].files(folder)
    assert notes[0].first == Note.expected(plan, 0).first, "it is known even if the note is lost"
    finals = []
    for n, output in enumerate(job.outputs):
        finals.append(folder / f"joined{output.kind.result_suffix}")
        with Whole(work) as whole:
            whole.join(output, [Part(p.files(folder)[n], notes[p.number].first) for p in parts], finals[-1])
    return plan, finals


def in_one_pass(job: Job, output: Output, clip: Path, folder: Path) -> Path:
    path = folder / ("pictures" if output.format == "png" else f"one.{output.format}")
    requested = (job.start_s, job.end_s, (job.width, job.height), job.stream, job.metadata)
    task = FileRun(clip, path, output.options(job.options), *requested)
    run_file(task, SETTINGS, LineReporter(io.StringIO()))
    return path


def packets(path: Path, kind: str) -> list[tuple[int, bytes]]:
    with av.open(str(path)) as container:
        streams = getattr(container.streams, kind)
        return [(p.pts, bytes(p)) for p in container.demux(streams[0]) if p.size] if streams else []


def apart(ours: list[Frame], theirs: list[Frame]) -> float:
    """Mean difference in levels, including alpha, of the frame with the largest. Times must be equal."""
    assert [frame.time_s for frame in ours] == [frame.time_s for frame in theirs]
    pairs = [(a.pixels, b.pixels) for a, b in zip(ours, theirs, strict=True)]
    pairs += [
        (a.alpha, b.alpha) for a, b in zip(ours, theirs, strict=True) if a.alpha is not None and b.alpha is not None
    ]
    return float(max(np.abs(a.astype(int) - b).mean() for a, b in pairs))


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("clip") / "clip.mp4"
    return write_video(path, (numbered(n) for n in range(120)), sound_s=4.0, options={"g": "20"})


@pytest.mark.long
@pytest.mark.usefixtures("short")
@pytest.mark.parametrize(
    ("background", "formats"),
    [("green", ("mp4", "gif", "png", "webm")), ("transparent", ("mov", "mkv", "webm", "gif"))],
)
def test_every_format_is_the_same_as_in_one_pass(
    tmp_path: Path, clip: Path, background: str, formats: tuple[Any, ...]
) -> None:
    job = job_of(*(Output(name=f"o-{name}", format=name) for name in formats), options={"background": background})
    plan, joined = in_segments(job, clip, tmp_path)
    assert len(plan.spans) == 4
    for output, ours in zip(job.outputs, joined, strict=True):
        theirs = in_one_pass(job, output, clip, tmp_path)
        if output.format == "png":
            with zipfile.ZipFile(ours) as packed:
                assert {n: packed.read(n) for n in packed.namelist()} == {
                    file.name: file.read_bytes() for file in theirs.iterdir()
                }
            continue
        assert packets(ours, "audio") == packets(theirs, "audio")
        assert sorted(pts for pts, _ in packets(ours, "video")) == sorted(pts for pts, _ in packets(theirs, "video"))
        assert apart(read(ours), read(theirs)) <= (0.0 if output.format in ("mkv", "gif") else 1.0)
        assert abs(length_s(ours) - length_s(theirs)) < 1 / 30


@pytest.mark.long
@pytest.mark.usefixtures("short")
@pytest.mark.parametrize("metadata", list(Metadata))
def test_metadata_is_the_same_as_in_one_pass(tmp_path: Path, metadata: Metadata) -> None:
    """Also if the output is written in two passes, for storage that cannot seek."""
    font = ("font.ttf", "application/x-truetype-font", b"font")
    clip = rich_clip(
        tmp_path / "in.mkv", PHONE, chapters=CHAPTERS, subtitles="subrip", attachments=[font], timecode="01:00:00:00",
        frames=120,
    )  # fmt: skip
    outputs = tuple(Output(name=name, format=name) for name in ("mp4", "mov", "mkv", "webm"))
    job = job_of(*outputs, start_s=0.5, metadata=metadata)
    plan, joined = in_segments(job, clip, tmp_path)
    assert len(plan.spans) == 3
    work = Work(job, plan, clip, SETTINGS, Watcher())
    for n, (output, ours) in enumerate(zip(outputs, joined, strict=True)):
        theirs = carried(in_one_pass(job, output, clip, tmp_path))
        assert carried(ours) == theirs
        assert len(theirs["cues"]) == 2
        assert len(theirs["chapters"]) == (0 if metadata is Metadata.DROP else 2)
        assert ("location" in theirs["tags"]) == (metadata is Metadata.KEEP)
        parts = [Part(Segment(work, number).files(tmp_path)[n], span[0] or 0) for number, span in enumerate(plan.spans)]
        with Whole(work) as whole:
            first = whole.first_pass(output, parts)
        with Whole(work) as whole:
            sent = tmp_path / f"sent.{output.format}"
            sent.write_bytes(b"".join(whole.second_pass(first, output, parts)))
        assert carried(sent) == theirs


def carried(path: Path) -> dict[str, Any]:
    with av.open(str(path)) as container:
        tracks = [
            (
                stream.type,
                {name.lower(): text for name, text in stream.metadata.items()}.get("timecode"),
                stream.metadata.get("language"),
                int(stream.disposition),
            )
            for stream in container.streams
        ]
    return {
        "tags": tags_of(path),
        "chapters": chapters_of(path),
        "cues": cues_of(path),
        "attachments": attachments_of(path),
        "tracks": tracks,
    }


@pytest.mark.long
@pytest.mark.usefixtures("short")
def test_lost_metadata_is_reported_as_in_one_pass(tmp_path: Path) -> None:
    clip = rich_clip(tmp_path / "in.mkv", PHONE, chapters=CHAPTERS, subtitles="subrip", frames=120)
    job = job_of(Output(name="gif", format="gif"), Output(name="png", format="png"))
    engine = engines.load("chroma", job.options, SETTINGS)
    plan, _, _ = make_plan(job, clip, engine, SETTINGS)
    work = Work(job, plan, clip, SETTINGS, Watcher())
    parts = [Segment(work, number) for number in range(len(plan.spans))]
    notes = [segments.run_segment(part, tmp_path, engine) for part in parts]
    assert [note.warnings for note in notes] == [[], [], [], []]
    for n, output in enumerate(job.outputs):
        files = [Part(part.files(tmp_path)[n], note.first) for part, note in zip(parts, notes, strict=True)]
        with Whole(work) as whole:
            warnings = whole.join(output, files, tmp_path / f"joined{output.kind.result_suffix}")
        assert [code for code, _ in warnings] == ["no_metadata", "no_chapters", "no_subtitles"]


@pytest.mark.long
@pytest.mark.usefixtures("short")
def test_sound_that_changes_is_the_same_as_in_one_pass(tmp_path: Path, clip: Path) -> None:
    """AC-3 that goes on in 5.1, in the MP4 that a recorder made of it."""
    sounds = [
        clip_with(tmp_path / f"{layout}.ts", tones(count, 2.0), layout=layout, codec="ac3")
        for layout, count in (("stereo", 2), ("5.1(side)", 6))
    ]
    video = with_sound(tmp_path / "in.mp4", clip, sounds)
    job = job_of(Output(name="a", format="mp4"), Output(name="b", format="webm"), Output(name="c", format="mkv"))
    plan, results = in_segments(job, video, tmp_path)
    assert len(plan.spans) == 4
    for output, ours in zip(job.outputs, results, strict=True):
        theirs = in_one_pass(job, output, video, tmp_path)
        assert packets(ours, "audio") == packets(theirs, "audio")
        wave, rate, layout = heard(ours)
        assert len(wave) / rate == pytest.approx(4, abs=0.1)
        assert layout == "stereo"


def with_sound(path: Path, clip: Path, sounds: list[Path]) -> Path:
    """The video of `clip` with the sound of `sounds` one after the other."""
    with av.open(str(clip)) as pictures, av.open(str(path), "w") as out:
        first = av.open(str(sounds[0]))
        video = out.add_stream_from_template(pictures.streams.video[0])
        sound = out.add_stream_from_template(first.streams.audio[0])
        for number, source in enumerate(sounds):
            with av.open(str(source)) as container:
                start = None
                for packet in container.demux(audio=0):
                    if packet.size and packet.pts is not None and packet.time_base is not None:
                        start = packet.pts if start is None else start
                        packet.pts = packet.dts = packet.pts - start + round(2 * number / packet.time_base)
                        packet.stream = sound
                        out.mux(packet)
        for picture in pictures.demux(video=0):
            if picture.size:
                picture.stream = video
                out.mux(picture)
        first.close()
    return path


def length_s(path: Path) -> float:
    with av.open(str(path)) as container:
        return float(Fraction(container.duration or 0, av.time_base))


def drifting(number: int) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """A grey square in front of a screen whose colour drifts, so that a later measurement would differ."""
    image = np.full((48, 64, 3), (30 + number // 2, 200 - number // 2, 60), np.uint8)
    image[12:36, 20 + number % 20 : 40 + number % 20] = 190
    return image


@pytest.mark.long
@pytest.mark.usefixtures("short")
def test_measurements_and_moving_backgrounds_are_shared_by_all_segments(tmp_path: Path, clip: Path) -> None:
    """Screen colour and tint are those of the first frame; the background video is shorter than the video."""
    video = write_video(tmp_path / "drift.mp4", map(drifting, range(120)), options={"g": "20"})
    film = write_video(tmp_path / "film.mp4", (numbered(n) for n in range(25)), rate=Fraction(10))
    job = job_of(options={"background": f"video:{film}", "edges": {"spill": 1.0}})
    plan, (ours,) = in_segments(job, video, tmp_path)
    assert len(plan.spans) == 4
    assert apart(read(ours), read(in_one_pass(job, job.outputs[0], video, tmp_path))) == 0.0


@pytest.mark.long
@pytest.mark.usefixtures("short")
def test_smoothing_leaves_no_seam(tmp_path: Path) -> None:
    frames = (item for item in PatternSource(128, 96, 66) if isinstance(item, Frame))
    pictures = (to_av(frame, "yuv420p") for frame in frames)
    video = write_video(tmp_path / "clip.mp4", pictures, options={"g": "11"}, colour=(1, 1, 1, 1))
    job = job_of(Output(format="mkv", view=View.MATTE), options={"temporal": "offline"})
    plan, (ours,) = in_segments(job, video, tmp_path)
    theirs = read(in_one_pass(job, job.outputs[0], video, tmp_path))
    assert len(plan.spans) == 2
    assert apart(read(ours), theirs) < 1.0


@pytest.mark.slow
@pytest.mark.usefixtures("short")
def test_refinement_is_the_same_as_in_one_pass(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("transformers")
    from tests.tiny_vitmatte import tiny_vitmatte

    refining = SETTINGS.model_copy(update={"vitmatte": str(tiny_vitmatte(tmp_path / "weights"))})
    monkeypatch.setattr(sys.modules[__name__], "SETTINGS", refining)
    video = write_video(tmp_path / "clip.mp4", map(drifting, range(66)), options={"g": "11"})
    plain, job = (
        job_of(Output(format="mkv", view=View.MATTE), options={"edges": {"refine": refine}})
        for refine in ("off", "vitmatte")
    )
    plan, (ours,) = in_segments(job, video, tmp_path)
    assert len(plan.spans) == 2
    assert apart(read(ours), read(in_one_pass(job, job.outputs[0], video, tmp_path))) == 0.0
    assert apart(read(ours), read(in_one_pass(plain, plain.outputs[0], video, tmp_path))) > 1.0


@pytest.mark.long
@pytest.mark.usefixtures("short")
def test_part_of_a_video_with_variable_frame_rate(tmp_path: Path) -> None:
    times = [33 * n + 7 * (n % 3) + (400 if n > 70 else 0) for n in range(120)]
    images = (numbered(n) for n in range(120))
    video = write_video(tmp_path / "uneven.mkv", images, times_ms=times, sound_s=4.0, options={"g": "12"})
    job = job_of(Output(format="mp4"), start_s=0.5, end_s=3.9, width=96)
    plan, (ours,) = in_segments(job, video, tmp_path)
    assert len(plan.spans) > 1
    theirs = in_one_pass(job, job.outputs[0], video, tmp_path)
    assert apart(read(ours), read(theirs)) < 1.0
    assert packets(ours, "audio") == packets(theirs, "audio")


@pytest.fixture(scope="module")
def with_gap(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A recording whose clock begins at 3600 s, without its frames from 1.6 s to 2.8 s; its sound is complete."""
    folder = tmp_path_factory.mktemp("with_gap")
    whole = write_video(
        folder / "whole.mkv", (numbered(n) for n in range(150)), sound_s=5.0, options={"g": "12", "bf": "0"}
    )
    return remuxed(whole, folder / "with_gap.mkv", picture_s=3600, sound_s=3600, lost=(1.59, 2.79))


@pytest.mark.long
@pytest.mark.usefixtures("short")
@pytest.mark.parametrize("formats", [("mp4", "mkv", "webm"), ("mov", "gif", "png")])
def test_a_gap_stays_where_it_is_and_is_reported_once(tmp_path: Path, with_gap: Path, formats: tuple[Any, ...]) -> None:
    job = job_of(*(Output(name=f"o-{name}", format=name) for name in formats))
    engine = engines.load("chroma", job.options, SETTINGS)
    _, media, warnings = make_plan(job, with_gap, engine, SETTINGS)
    plan, joined = in_segments(job, with_gap, tmp_path)
    assert len(plan.spans) == 3
    assert [code for code, _ in warnings] == ["gap"]
    assert warnings[0][1].startswith(
        "36 of about 150 frames were damaged or lost: they are missing in 1 place (0:01.6-"
    )
    assert media.duration_s == pytest.approx(5, abs=0.05)
    first_s = read(with_gap)[0].time_s
    times_s = [first_s + n / 30 for n in range(150) if not 48 <= n < 84]
    for output, ours in zip(job.outputs, joined, strict=True):
        theirs = in_one_pass(job, output, with_gap, tmp_path)
        if output.format == "png":
            with zipfile.ZipFile(ours) as packed:
                lines = packed.read("timestamps.txt").decode().splitlines()[1:]
            assert [float(line) / 1000 for line in lines] == pytest.approx(times_s, abs=0.002)
            continue
        origin_s = 0.0 if packets(ours, "audio") else first_s
        assert [frame.time_s + origin_s for frame in read(ours)] == pytest.approx(times_s, abs=0.011)
        assert [frame.time_s + origin_s for frame in read(theirs)] == pytest.approx(times_s, abs=0.011)
        assert packets(ours, "audio") == packets(theirs, "audio")


def test_a_gap_in_a_job_that_is_not_cut_is_reported_once(tmp_path: Path, with_gap: Path) -> None:
    job = job_of()
    engine = engines.load("chroma", job.options, SETTINGS)
    plan, _, warnings = make_plan(job, with_gap, engine, SETTINGS)
    assert plan.whole
    note = segments.run_segment(Segment(Work(job, plan, with_gap, SETTINGS, Watcher()), 0), tmp_path, engine)
    assert [code for code, _ in [*warnings, *judge([note], SETTINGS)]] == ["gap"]


def test_a_preview_in_a_gap_shows_the_frame_before_it(tmp_path: Path, with_gap: Path) -> None:
    job = job_of(Output(format="png"), start_s=2.2, end_s=2.3)
    plan, (ours,) = in_segments(job, with_gap, tmp_path)
    assert plan.whole
    whole = in_one_pass(job_of(), Output(format="png"), with_gap, tmp_path)
    with zipfile.ZipFile(ours) as packed:
        assert packed.read("00001.png") == sorted(whole.glob("*.png"))[47].read_bytes()


@pytest.mark.usefixtures("short")
def test_one_frame_for_a_preview(tmp_path: Path, clip: Path) -> None:
    job = job_of(Output(format="png"), start_s=1.0, end_s=1.0 + 1 / 60)
    plan, (ours,) = in_segments(job, clip, tmp_path)
    assert plan.whole
    with zipfile.ZipFile(ours) as packed:
        assert sorted(packed.namelist()) == ["00001.png", "timestamps.txt"]


def planned(clip: Path, **options: Any) -> Plan:
    job = job_of(options=options)
    return make_plan(job, clip, engines.load("chroma", job.options, SETTINGS), SETTINGS)[0]


@pytest.mark.long
def test_segments_are_cut_on_keyframes_and_cost_little(tmp_path: Path) -> None:
    images = (numbered(n % 256, 16, 16) for n in range(1800))
    video = write_video(tmp_path / "c.mp4", images, options={"g": "50", "sc_threshold": "0"})
    for warmup, count in ((0, 7), (45, 2), (80, 2), (200, 1)):
        job = job_of()
        engine = engines.load("chroma", job.options, SETTINGS)
        engine.warmup_frames = warmup
        plan, media, _ = make_plan(job, video, engine, SETTINGS)
        tick = round(Fraction(1, 30) / plan.time_base)
        cuts = [begin // tick for begin, _ in plan.spans if begin is not None]
        assert len(plan.spans) == count
        assert all(cut % 50 == 0 for cut in cuts)
        assert [end - begin for begin, end in pairwise([0, *cuts, 1800])] == list(plan.frames)
        reads = [(begin or 0, 1800 * tick if end is None else end) for begin, end in plan.reads]
        assert sum(end - begin for begin, end in reads) / tick <= 1.05 * 1800
    assert (media.duration_s, media.fps) == (60.0, 30.0)


@pytest.mark.long
def test_files_that_are_not_cut(tmp_path: Path) -> None:
    images = [numbered(n % 256, 16, 16) for n in range(600)]
    assert len(planned(write_video(tmp_path / "a.mp4", images, options={"g": "50"})).spans) == 2
    assert planned(write_video(tmp_path / "b.mp4", images, options={"g": "1000", "sc_threshold": "0"})).whole
    assert planned(write_video(tmp_path / "c.ts", images, options={"g": "50"})).whole  # no index
    grey = [np.full((16, 16, 3), 90, np.uint8)] * 30 + images
    video = write_video(tmp_path / "d.mp4", grey, options={"g": "50"})
    assert planned(video).whole  # the first frame does not show the screen
    assert len(planned(video, key="#3c78c8").spans) == 1
    cut = write_video(tmp_path / "e.mkv", images, options={"g": "50"})
    cut.write_bytes(cut.read_bytes()[: cut.stat().st_size // 2])
    assert planned(cut).whole  # so that the truncation is reported


def test_an_end_after_the_end_of_the_video(clip: Path) -> None:
    whole = make_plan(Job(id="1"), clip, engines.load("chroma", Options(), Settings()), Settings())[0]
    beyond = make_plan(Job(id="1", end_s=1e308), clip, engines.load("chroma", Options(), Settings()), Settings())[0]
    assert beyond == whole


def test_engines_declare_their_warm_up() -> None:
    assert Rvm.warmup_frames >= 45
    assert Selfie.warmup_frames == 0


def test_a_segment_can_be_stopped(tmp_path: Path, clip: Path) -> None:
    job = job_of()
    engine = engines.load("chroma", job.options, SETTINGS)
    plan, _, _ = make_plan(job, clip, engine, SETTINGS)
    watcher = Watcher()
    watcher.stop.set()
    with pytest.raises(Stopped):
        segments.run_segment(Segment(Work(job, plan, clip, SETTINGS, watcher), 0), tmp_path, engine)
    assert list(tmp_path.iterdir()) == []


def test_a_note_survives_json() -> None:
    note = Note(7, 1, 30, [("odd_size", "cropped")])
    assert Note.from_json(note.to_json()) == note


def test_damage_is_judged_for_the_whole_video() -> None:
    odd = ("odd_size", "cropped")
    notes = [Note(0, 60, 100, [odd]), Note(1, 2, 200, [odd])]
    (code, _), (_, damaged) = judge(notes, SETTINGS)
    assert (code, damaged[:9]) == ("odd_size", "62 of 300")
    with pytest.raises(UnreadableMedia):
        judge([Note(0, 160, 300, [])], SETTINGS)


@pytest.mark.long
def test_each_output_has_its_own_rendition(tmp_path: Path, clip: Path) -> None:
    outputs = Output(name="a", format="mkv"), Output(name="b", format="mkv", background=Background(kind="none"))
    job = job_of(*outputs, Output(name="c", format="mkv", view=View.MATTE))
    _, files = in_segments(job, clip, tmp_path)
    for output, ours in zip(job.outputs, files, strict=True):
        assert apart(read(ours), read(in_one_pass(job, output, clip, tmp_path))) == 0.0


@pytest.mark.long
def test_sound_is_encoded_again_for_several_outputs(tmp_path: Path, clip: Path) -> None:
    """Each output decodes it separately."""
    job = job_of(Output(name="o-webm", format="webm"), Output(name="matte", format="webm", view=View.MATTE))
    plan, joined = in_segments(job, clip, tmp_path)
    assert plan.whole
    theirs = packets(in_one_pass(job, job.outputs[0], clip, tmp_path), "audio")
    assert [packets(ours, "audio") == theirs for ours in joined] == [True, True]


@pytest.mark.long
@pytest.mark.usefixtures("short")
def test_a_later_segment_may_reorder_more_frames(tmp_path: Path, clip: Path) -> None:
    job = job_of(Output(format="mp4"), height=24)
    plan, (ours,) = in_segments(job, clip, tmp_path)
    assert len(plan.spans) == 4
    assert apart(read(ours), read(in_one_pass(job, job.outputs[0], clip, tmp_path))) <= 2.0


@pytest.mark.long
@pytest.mark.usefixtures("short")
@pytest.mark.parametrize(("start_s", "end_s"), [(0.0, 3.0), (0.3, 2.9), (0.51, 3.5)])
def test_a_frame_at_the_end_time_is_excluded(tmp_path: Path, clip: Path, start_s: float, end_s: float) -> None:
    job = job_of(start_s=start_s, end_s=end_s)
    plan, (ours,) = in_segments(job, clip, tmp_path)
    assert len(plan.spans) > 1
    assert apart(read(ours), read(in_one_pass(job, job.outputs[0], clip, tmp_path))) == 0.0


@pytest.mark.long
@pytest.mark.usefixtures("short")
@pytest.mark.parametrize("stream", [0, 1, None])
def test_every_segment_reads_the_same_video_stream(tmp_path: Path, stream: int | None) -> None:
    both = Disposition.default
    videos = [Video((64, 48), both, codec="mpeg4"), Video((128, 96), both, first=100, codec="mpeg4")]
    clip = write_streams(tmp_path / "two.mp4", videos, sounds=1, codec="aac", frames=120)
    job = job_of(options={"background": "none"}, stream=stream)
    plan, (joined,) = in_segments(job, clip, tmp_path)
    assert len(plan.spans) == 4
    video = videos[1 if stream is None else stream]
    assert plan.size == video.size
    frames = read(joined)
    assert [number_of(frame) for frame in frames] == list(range(video.first, video.first + 120))
    theirs = in_one_pass(job, job.outputs[0], clip, tmp_path)
    assert apart(frames, read(theirs)) == 0
    assert packets(joined, "audio") == packets(theirs, "audio") != []


def test_a_raw_stream_is_one_segment_whose_length_is_known(tmp_path: Path) -> None:
    clip = write_video(tmp_path / "a.h264", (numbered(n) for n in range(90)), options={"g": "10", "bf": "2"})
    job = job_of(options={"background": "none"}, start_s=1.0)
    engine = engines.load(job.options.engine, job.options, SETTINGS)
    plan, media, warnings = make_plan(job, clip, engine, SETTINGS)
    assert (plan.frames, media.duration_s, media.fps, warnings) == ((60,), 2.0, 30.0, [])
    _, (result,) = in_segments(job, clip, tmp_path)
    assert [number_of(frame) for frame in read(result)] == list(range(30, 90))
