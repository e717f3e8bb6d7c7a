"""Videos that are stored rotated or mirrored: all eight orientations, in each header and message."""

import io
from fractions import Fraction
from pathlib import Path
from typing import cast

import av
import numpy as np
import pytest
from PIL import Image

from stream.address import Address
from stream.picture.display_matrix import Display
from stream.picture.orientation import Orientation
from stream.settings import Settings
from stream.sources.file import FileSource
from stream.sources.live.connection import Connection, Picture, SoundPacket
from stream.sources.live.protocols import PROTOCOLS
from tests.media import drain, mattebox, read, write_video
from tests.orientations import MATRIX, UPRIGHT, corners, quartered, set_matrix, with_message
from tests.pictures import exif, stored

BT709 = (1, 1, 1, 1)
ALL = pytest.mark.parametrize("orientation", range(1, 9))


def sizes(path: Path) -> set[tuple[int, int]]:
    return {(frame.width, frame.height) for frame in read(path)}


@ALL
def test_by_the_track_header_of_mp4(tmp_path: Path, orientation: int) -> None:
    """Moved by its own size, as recorders do, so that it is shown at positive coordinates."""
    path = write_video(tmp_path / "a.mp4", [stored(quartered(), orientation)] * 2, colour=BT709)
    set_matrix(path, MATRIX[orientation], translation=(48, 96))
    frames = read(path)
    assert [(f.width, f.height, corners(f)) for f in frames] == [(96, 48, UPRIGHT)] * 2


@pytest.mark.parametrize("suffix", [".mov", ".mkv"])
@ALL
def test_by_the_header_of_other_containers(tmp_path: Path, suffix: str, orientation: int) -> None:
    images = [stored(quartered(), orientation)]
    path = write_video(tmp_path / f"a{suffix}", images, display=MATRIX[orientation])
    (frame,) = read(path)
    assert (frame.width, frame.height, corners(frame)) == (96, 48, UPRIGHT)


def test_by_the_movie_header_and_the_track_header_together(tmp_path: Path) -> None:
    """Rotated by the track, then mirrored by the movie: 180° and a horizontal flip are a vertical flip."""
    path = write_video(tmp_path / "a.mp4", [stored(quartered(), 4)])
    set_matrix(path, MATRIX[3])
    set_matrix(path, MATRIX[2], box="mvhd")
    assert [corners(frame) for frame in read(path)] == [UPRIGHT]


@pytest.mark.parametrize("suffix", [".avi", ".mov"])
@ALL
def test_by_the_exif_data_of_motion_jpeg(tmp_path: Path, suffix: str, orientation: int) -> None:
    pixels, jpeg = stored(quartered(), orientation), io.BytesIO()
    Image.fromarray(pixels).save(jpeg, "JPEG", exif=exif(orientation).tobytes())
    with av.open(str(tmp_path / f"a{suffix}"), "w") as out:
        stream = out.add_stream("mjpeg", rate=25)
        stream.height, stream.width = pixels.shape[:2]
        stream.pix_fmt = "yuvj420p"
        _mux(out, stream, jpeg.getvalue(), 0, 0, Fraction(1, 25), True)
    (frame,) = read(tmp_path / f"a{suffix}")
    assert (frame.width, frame.height, corners(frame)) == (96, 48, UPRIGHT)


def messages(path: Path, orientation: int, codec: str = "h264", frames: int = 12) -> Path:
    """A video with a display orientation message in each keyframe; there is one every four frames."""
    image = stored(quartered(192, 128), orientation)
    with av.open(str(path), "w") as out:
        stream = cast(av.VideoStream, out.add_stream({"h264": "libx264", "hevc": "libx265"}[codec], rate=25))
        context = stream.codec_context
        context.height, context.width, context.pix_fmt, context.time_base = *image.shape[:2], "yuv420p", Fraction(1, 25)
        x265 = "log-level=none:keyint=4:repeat-headers=1:pools=none"
        context.options = {"g": "4", "bf": "2"} if codec == "h264" else {"x265-params": x265}
        for n in (*range(frames), None):
            frame = None if n is None else av.VideoFrame.from_ndarray(image, format="rgb24")
            if frame is not None:
                frame.pts, frame.time_base = n, Fraction(1, 25)
            for packet in stream.encode(frame):
                data = with_message(bytes(packet), orientation, codec) if packet.is_keyframe else bytes(packet)
                _mux(out, stream, data, packet.pts, packet.dts, packet.time_base, packet.is_keyframe)
    return path


def _mux(
    out: "av.container.OutputContainer", stream: av.VideoStream, data: bytes, pts: int | None, dts: int | None,
    time_base: Fraction, key: bool,
) -> None:  # fmt: skip
    packet = av.Packet(data)
    packet.stream, packet.pts, packet.dts, packet.time_base, packet.is_keyframe = stream, pts, dts, time_base, key
    out.mux(packet)


@pytest.mark.parametrize("orientation", range(2, 9))
def test_by_messages_in_h264_which_hold_until_the_next_keyframe(tmp_path: Path, orientation: int) -> None:
    frames = read(messages(tmp_path / "a.ts", orientation))
    assert [(f.width, f.height, corners(f)) for f in frames] == [(192, 128, UPRIGHT)] * 12


def test_by_messages_in_h265(tmp_path: Path) -> None:
    frames = read(messages(tmp_path / "a.mp4", 7, "hevc", frames=5))
    assert [(f.width, f.height, corners(f)) for f in frames] == [(192, 128, UPRIGHT)] * 5


def test_a_message_before_the_start_of_a_range_counts(tmp_path: Path) -> None:
    frames = read(messages(tmp_path / "a.mp4", 5), start_s=5.5 / 25)
    assert [(f.width, f.height, corners(f)) for f in frames] == [(192, 128, UPRIGHT)] * 6


def test_the_container_overrides_messages(tmp_path: Path) -> None:
    path = messages(tmp_path / "a.mp4", 2)
    set_matrix(path, MATRIX[4])
    (top_left, top_right), (bottom_left, bottom_right) = UPRIGHT
    assert {corners(frame) for frame in read(path)} == {((bottom_right, bottom_left), (top_right, top_left))}


def test_a_message_holds_for_the_pictures_of_a_camera(tmp_path: Path) -> None:
    received: list[Picture | SoundPacket] = []
    connection = Connection(Address.read("rtsp://camera/1"), PROTOCOLS["rtsp"], Settings(), received.append)
    with av.open(str(messages(tmp_path / "a.ts", 5))) as container:
        connection._read(container)
    pictures = [item for item in received if isinstance(item, Picture)]
    assert [Display.of_frame(item.decoded).orientation for item in pictures] == [Orientation.of_exif(5)] * 12


@ALL
def test_a_rotated_video_is_scaled_to_the_requested_size(tmp_path: Path, orientation: int) -> None:
    path = write_video(tmp_path / "a.mp4", [stored(quartered(), orientation)], colour=BT709)
    set_matrix(path, MATRIX[orientation])
    (frame,) = read(path, size=(48, 0))
    assert (frame.width, frame.height, corners(frame)) == (48, 24, UPRIGHT)


@pytest.mark.parametrize("orientation", [2, 4, 5, 6])
def test_non_square_pixels_of_a_rotated_video_are_made_square(tmp_path: Path, orientation: int) -> None:
    """The aspect ratio is that of stored pixels. ProRes has it only in the container."""
    images = [stored(quartered(), orientation)]
    path = write_video(
        tmp_path / "a.mov", images, codec="prores_ks", pix_fmt="yuv422p10le", sar=Fraction(4, 3),
        display=MATRIX[orientation],
    )  # fmt: skip
    assert sizes(path) == {(96, 64) if orientation > 4 else (128, 48)}
    assert {corners(frame) for frame in read(path)} == {UPRIGHT}


@pytest.mark.parametrize(("abcd", "size"), [((-2, 0, 0, 1), (192, 48)), ((0, 2, 1, 0), (48, 192))])
def test_a_matrix_that_scales_the_axes_differently_stretches(
    tmp_path: Path, abcd: tuple[float, ...], size: tuple[int, int]
) -> None:
    path = write_video(tmp_path / "a.mp4", [quartered()])
    set_matrix(path, abcd)
    assert sizes(path) == {size}


@pytest.mark.parametrize("orientation", [2, 4, 7])
def test_alpha_is_rotated_with_the_picture(tmp_path: Path, orientation: int) -> None:
    alpha = np.where(quartered()[..., :1] > 100, 255, 0)  # the lower half
    rgba = stored(np.dstack([quartered(), alpha]).astype(np.uint8), orientation)
    images = [av.VideoFrame.from_ndarray(rgba, format="rgba").reformat(format="argb")]
    path = write_video(tmp_path / "a.mov", images, codec="qtrle", pix_fmt="argb", display=MATRIX[orientation])
    (frame,) = read(path)
    assert corners(frame) == UPRIGHT
    assert frame.alpha is not None
    assert (frame.alpha[:22].max(), frame.alpha[26:].min()) == (0, 255)


@pytest.mark.parametrize("orientation", [2, 4, 5])
def test_hdr_and_interlaced_video_is_rotated(tmp_path: Path, orientation: int) -> None:
    deep = av.VideoFrame.from_ndarray(stored(quartered(), orientation), format="rgb24").reformat(format="yuv420p10le")
    hdr = write_video(
        tmp_path / "a.mkv", [deep], codec="ffv1", pix_fmt="yuv420p10le", colour=(9, 1, 9, 18),
        display=MATRIX[orientation],
    )  # fmt: skip
    (frame,) = read(hdr)
    luma = frame.planes()[0][12::24, 24::48].astype(int).ravel()
    assert list(np.argsort(luma)) == [0, 1, 2, 3]
    interlaced = write_video(
        tmp_path / "b.mp4", [stored(quartered(), orientation)] * 3, display=MATRIX[orientation],
        options={"flags": "+ildct+ilme", "x264-params": "tff=1"},
    )  # fmt: skip
    assert [corners(frame) for frame in read(interlaced)] == [UPRIGHT] * 3


@pytest.mark.parametrize(
    ("abcd", "warned"), [((0.5, 0, 0, 0.5), []), ((1, 0.01, -0.01, 1), []), ((0, 0, 0, 0), []),
                         ((1, 1, -1, 1), ["odd_angle"]), ((0.9, 0.4, -0.4, 0.9), ["odd_angle"])],
)  # fmt: skip
def test_other_matrices_count_as_the_nearest_orientation(
    tmp_path: Path, abcd: tuple[float, ...], warned: list[str]
) -> None:
    path = write_video(tmp_path / "a.mp4", [quartered()])
    set_matrix(path, abcd)
    frames, warnings = drain(path)
    assert [(f.width, f.height, corners(f)) for f in frames] == [(96, 48, UPRIGHT)]
    assert warnings == warned


def test_the_warning_names_the_angle(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mp4", [quartered()], display=(1, 1, -1, 1))
    source = FileSource(path, Settings())
    source.close()
    assert "45° of its rotation were left out" in source.warnings[0][1]


@pytest.mark.long
@pytest.mark.parametrize(("name", "orientation"), [("o.mp4", 2), ("o.mkv", 5), ("o.mov", 4)])
def test_results_are_upright_and_carry_no_matrix(tmp_path: Path, name: str, orientation: int) -> None:
    """A front camera's recording, through the command."""
    path = write_video(tmp_path / "in.mp4", [stored(quartered(), orientation)] * 2, display=MATRIX[orientation])
    done = mattebox(
        "file", path, "-o", tmp_path / name, "--engine", "chroma", "--key", "#00ff00", "--background", "none"
    )
    assert done.returncode == 0, done.stderr
    assert "warning" not in done.stderr
    assert [corners(frame) for frame in read(tmp_path / name)] == [UPRIGHT] * 2
    with av.open(str(tmp_path / name)) as container:
        frame = next(container.decode(video=0))
        assert (frame.width, frame.height) == (96, 48)
        assert "DISPLAYMATRIX" not in [data.type.name for data in frame.side_data]  # type: ignore[attr-defined]
