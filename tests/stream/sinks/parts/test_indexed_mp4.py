"""MP4 files that are written in fragments, and completed without an index in memory."""

import os
from fractions import Fraction
from itertools import count
from pathlib import Path
from typing import Any

import av
import pytest

from stream.address import Address
from stream.settings import Settings
from stream.sinks.live.header import HeaderFile, combined
from stream.sinks.live.packets import CLOCK, Packet, Tracks
from stream.sinks.live.recording import RecordingWriter
from stream.sinks.live.spec import OutputSpec
from stream.sinks.live.video import VideoEncoder, VideoKey
from stream.sinks.parts.indexed_mp4 import FRAGMENTS, IndexedMp4
from tests.feeding import INFO, RATE, SIZE, frame
from tests.media import numbered, remuxed, write_video

_SOUND_RATE = 48_000


def copied(source: Path, path: Path, indexed: bool, later_s: tuple[float, float] = (0.0, 0.0)) -> Path:
    """The packets of a file, as an ordinary MP4 file by FFmpeg, or in fragments that are then completed. later_s: of
    the picture and of the sound."""
    if not indexed:
        return remuxed(source, path, picture_s=later_s[0], sound_s=later_s[1])
    file = IndexedMp4(path)
    remuxed(source, file, picture_s=later_s[0], sound_s=later_s[1], options=FRAGMENTS)
    file.complete()
    return path


def contents(path: Path) -> tuple[Any, ...]:
    """Tracks and packets."""
    with av.open(path) as file:
        tracks = [(s.type, s.frames, s.start_time, s.time_base, s.metadata) for s in file.streams]
        packets = [(p.stream.index, p.pts, p.dts, p.duration, p.is_keyframe, bytes(p)) for p in file.demux() if p.size]
    return tracks, sorted(packets)


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """100 frames at irregular times with B-frames and a keyframe every 25, and sound."""
    times_ms = [40 * n + (n * 7) % 11 for n in range(100)]
    path = tmp_path_factory.mktemp("clip") / "clip.mp4"
    images = [numbered(n) for n in range(100)]
    return write_video(path, images, times_ms=times_ms, sound_s=4.0, options={"g": "25", "bf": "2"})


@pytest.mark.parametrize("later_s", [(0.0, 0.0), (0.0, 0.3), (0.25, 0.0)])
def test_it_is_the_file_that_the_muxer_writes_at_once(clip: Path, tmp_path: Path, later_s: tuple[float, float]) -> None:
    ordinary = copied(clip, tmp_path / "ordinary.mp4", indexed=False, later_s=later_s)
    completed = copied(clip, tmp_path / "completed.mp4", indexed=True, later_s=later_s)
    assert contents(completed) == contents(ordinary)
    assert len({packet[2] for packet in contents(completed)[1] if packet[4]}) > 4, "keyframes"
    assert len(list(tmp_path.iterdir())) == 2, "no temporary files are left"
    with av.open(completed) as one, av.open(ordinary) as other:
        assert abs((one.duration or 0) - (other.duration or 0)) < 50_000


def test_before_it_is_complete_it_plays_up_to_the_last_fragment(clip: Path, tmp_path: Path) -> None:
    file = IndexedMp4(tmp_path / "left.mp4")
    remuxed(clip, file, options=FRAGMENTS)
    with av.open(tmp_path / "left.mp4") as left:
        assert sum(1 for _ in left.decode(video=0)) == 100
    file.close()


def test_without_room_for_the_index_it_stays_in_fragments(clip: Path, small_disk: Path) -> None:
    path = small_disk / "out.mp4"
    file = IndexedMp4(path)
    remuxed(clip, file, options=FRAGMENTS)
    size, free = path.stat().st_size, os.statvfs(small_disk)
    (small_disk / "other").write_bytes(bytes(free.f_bavail * free.f_frsize))
    with pytest.raises(OSError, match="No space"):
        (small_disk / "another").write_bytes(bytes(4096))
    (small_disk / "another").unlink()
    file.complete()
    assert path.stat().st_size <= size
    with av.open(path) as left:
        assert sum(1 for _ in left.decode(video=0)) == 100


def test_it_seeks_to_every_keyframe(clip: Path, tmp_path: Path) -> None:
    path = copied(clip, tmp_path / "completed.mp4", indexed=True)
    with av.open(path) as file:
        stream = file.streams.video[0]
        assert stream.time_base is not None
        for time_s in (3.5, 0.5, 2.2):
            file.seek(round(time_s / stream.time_base), stream=stream)
            found = next(file.decode(stream))
            assert found.key_frame
            assert time_s - 1.2 < (found.time or 0.0) <= time_s


def test_times_of_several_days(tmp_path: Path) -> None:
    """On a clock of 90 kHz, 32 bits are enough for 13 hours."""
    path = tmp_path / "long.mp4"
    file = IndexedMp4(path)
    encoder = VideoEncoder(VideoKey(*SIZE, 400_000), INFO, Settings(hw_encode=False))
    (packet,) = encoder.encode(frame(0))
    with av.open(file, "w", format="mp4", options=FRAGMENTS) as out:
        stream = out.add_stream("h264", rate=RATE)
        stream.width, stream.height = SIZE
        stream.codec_context.extradata = encoder.track.extradata
        for hour in range(100):
            muxed = av.Packet(packet.data)
            muxed.stream, muxed.time_base, muxed.is_keyframe = stream, CLOCK, True
            muxed.pts = muxed.dts = hour * 3600 * 90_000
            out.mux(muxed)
    file.complete()
    with av.open(path) as result:
        assert result.duration is not None
        assert result.duration >= 99 * 3600 * 1_000_000
        (video,) = result.streams
        hours = [float(p.pts * p.time_base) / 3600 for p in result.demux(video) if p.pts is not None and p.time_base]
    assert hours == list(range(100))


class _NoControl:
    def request_key(self) -> None: ...

    def limit(self, bps: int) -> None: ...


@pytest.mark.slow
def test_memory_does_not_grow_with_a_recording(tmp_path: Path) -> None:
    """200,000 frames and their sound: two hours at 25 frames a second. FFmpeg's index would grow by 35 MB."""
    settings = Settings(hw_encode=False)
    encoder = VideoEncoder(VideoKey(*SIZE, 400_000), INFO, settings)
    sound = HeaderFile()
    sound.container.add_stream("aac", rate=_SOUND_RATE)
    tracks = Tracks(encoder.track, None, combined([encoder.header, sound.header()]))
    writer = RecordingWriter.from_spec(OutputSpec(Address.file(tmp_path / "out.mp4")), settings, _NoControl())
    writer.open(tracks)
    (picture,) = encoder.encode(frame(0))
    heard = count()
    sizes: list[int] = []
    for n in range(200_000):
        pts = n * 90_000 // RATE
        writer.write(Packet("video", picture.data, pts, pts, 3600, CLOCK, n % 50 == 0))
        for _ in range(2):
            time = next(heard) * 1024
            writer.write(Packet("sound", bytes(8), time, time, 1024, Fraction(1, _SOUND_RATE)))
        if n in (50_000, 199_999):
            sizes.append(_resident(writer))
    writer.close()
    assert sizes[1] - sizes[0] < 2_000_000, sizes
    with av.open(tmp_path / "out.mp4") as result:
        assert [stream.frames for stream in result.streams] == [200_000, 400_000]


def _resident(writer: RecordingWriter) -> int:
    """Bytes of the child's memory."""
    assert writer._child is not None
    statm = Path(f"/proc/{writer._child.pid}/statm").read_text().split()
    return int(statm[1]) * 4096
