from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from stream.errors import UsageError, WeightsError
from stream.picture.frames import Frame
from stream.records.options import Options
from stream.settings import Settings
from tests.workers.device.test_birefnet_runner import reference
from tests.workers.engines.engine_runs import clip, disc, infer, over, run
from workers.device.tensors import rgb_bytes
from workers.edges import foreground
from workers.engines.birefnet import Birefnet, Item, Memory, network_size
from workers.engines.birefnet_roi import Box
from workers.weights import birefnet_hub


def engine(weights: Path, size: str = "96x64", half: bool = False) -> Birefnet:
    return Birefnet(Options(), Settings(birefnet=f"{weights}@{size}", half=half))


def test_alpha_matches_the_plain_network(birefnet_weights: Path) -> None:
    (frame,) = clip(count=1)
    (result,) = infer(engine(birefnet_weights, "160x96"), [frame], [None])
    (expected,) = reference(torch.from_numpy(rgb_bytes(frame, 160, 96))[None]).numpy()
    assert result.alpha.shape == (96, 160)
    np.testing.assert_allclose(result.alpha, expected, rtol=0, atol=2e-3)  # weights in float16


@pytest.mark.long
def test_half_precision_is_close(birefnet_weights: Path) -> None:
    half, full = engine(birefnet_weights, "256x160", half=True), engine(birefnet_weights, "256x160")
    frames = clip(count=2)
    for a, b in zip(run(half, frames), run(full, frames), strict=True):
        error = np.abs(a.alpha - b.alpha)
        assert error.max() <= 0.02
        assert error.mean() <= 0.002


class Overflowing(Birefnet):
    """Half precision gives NaN for bright pictures."""

    def _alphas(self, pictures: Any, exact: bool) -> Any:
        alphas = super()._alphas(pictures, exact).clone()
        self.calls.append((len(pictures), exact))
        if not exact:
            alphas[torch.from_numpy(pictures.mean(axis=(1, 2, 3)) > 200)] = torch.nan
        return alphas

    calls: list[tuple[int, bool]]


@pytest.mark.slow
def test_frames_that_overflow_half_precision_are_computed_in_full_and_finally_all_are(birefnet_weights: Path) -> None:
    overflowing = Overflowing(Options(), Settings(birefnet=f"{birefnet_weights}@96x64"))
    calls: list[tuple[int, bool]] = []
    overflowing.calls = calls
    (dark,) = clip(count=1)
    bright = dark.with_pixels(np.full_like(dark.pixels, 235))
    state, overflows = None, []
    for frame in (dark, bright, bright, bright, bright, dark):
        (result,) = infer(overflowing, [frame], [state])
        state = result.state
        overflows.append(state.overflows)
        assert np.isfinite(result.alpha).all()
    assert overflows == [0, 1, 2, 3, 3, 3]
    assert calls[-2:] == [(1, True), (1, True)]


@pytest.mark.long
@pytest.mark.parametrize("damage", ["short", "text", "renamed", "other size"])
def test_files_that_are_not_its_weights_are_refused(birefnet_weights: Path, tmp_path: Path, damage: str) -> None:
    from safetensors.numpy import load_file, save_file

    path = tmp_path / "bad.safetensors"
    if damage == "short":
        path.write_bytes(birefnet_weights.read_bytes()[:1_000_000])
    elif damage == "text":
        path.write_text("these are no weights")
    else:
        tensors = load_file(birefnet_weights)
        key = "decoder.conv_out1.0.weight" if "decoder.conv_out1.0.weight" in tensors else next(iter(tensors))
        value = tensors.pop(key)
        tensors[key if damage == "other size" else f"x.{key}"] = value[:, :1].copy() if value.ndim > 1 else value[:1]
        save_file(tensors, path)
    with pytest.raises(WeightsError) as caught:
        Birefnet(Options(), Settings(birefnet=str(path)))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("spec", "size"),
    [("general", (1024, 1024)), ("512", (512, 512)), ("lite-2K", (2560, 1440)), ("me/mine@640x352", (640, 352))],
)
def test_a_variant_has_its_input_size(spec: str, size: tuple[int, int]) -> None:
    checkpoint, file = birefnet_hub.parse(spec)
    assert file is None
    assert network_size(checkpoint, 1920, 1080) == size


@pytest.mark.parametrize(("width", "height"), [(1920, 1080), (1080, 1920), (640, 480), (4000, 100)])
def test_native_variants_keep_the_aspect_ratio(width: int, height: int) -> None:
    w, h = network_size(birefnet_hub.VARIANTS["dynamic"], width, height)
    assert w % 32 == h % 32 == 0
    assert max(w, h) <= 2304
    if max(width, height) < 3 * min(width, height):
        assert w / h == pytest.approx(width / height, rel=0.06)
        assert w * h == pytest.approx(1024 * 1024, rel=0.06)


@pytest.mark.parametrize(
    "spec", ["nonsense", "general@wide", "general@100x100", "a/b/c", "lite@0x32", "lite@99999968x32", "../x", "a/", ""]
)
def test_an_invalid_name_is_refused(spec: str) -> None:
    with pytest.raises(UsageError, match="weights"):
        birefnet_hub.parse(spec)


def test_offline_without_weights_names_the_command_that_downloads_them(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="mattebox models pull birefnet:lite"):
        Birefnet(Options(), Settings(birefnet="lite", offline=True, cache_dir=tmp_path))


def test_a_path_may_contain_an_at_sign(birefnet_weights: Path) -> None:
    for spec in ("a dir@x/j.safetensors", "m@512x512.safetensors"):
        assert birefnet_hub.parse(spec)[1] == Path(spec)
    checkpoint, file = birefnet_hub.parse("a dir@x/j.safetensors@640x352")
    assert file == Path("a dir@x/j.safetensors")
    assert (checkpoint.width, checkpoint.height) == (640, 352)


def test_weights_without_a_known_checksum_cannot_be_verified(birefnet_weights: Path) -> None:
    with pytest.raises(WeightsError, match="cannot be verified"):
        birefnet_hub.verify(str(birefnet_weights), Settings())


@pytest.mark.long
@pytest.mark.parametrize(
    ("fields", "estimated"), [({}, True), ({"foreground": "keep"}, False), ({"view": "matte"}, False)]
)
def test_the_foreground_is_estimated_only_if_it_is_used(
    birefnet_weights: Path, fields: dict[str, str], estimated: bool
) -> None:
    settings = Settings(birefnet=f"{birefnet_weights}@96x64", half=False)
    (frame,) = clip(count=1)
    (result,) = run(Birefnet(Options.read(**fields), settings), [frame])
    assert (result.foreground is not None) == estimated
    if result.foreground is not None:
        np.testing.assert_array_equal(result.foreground, foreground.estimate(frame.pixels, result.alpha))


class Bright(Birefnet):
    """The network is replaced by a rule: bright pixels are the subject."""

    shapes: list[tuple[int, ...]]

    def _alphas(self, pictures: Any, exact: bool) -> Any:
        self.shapes.append(pictures.shape[:3])
        return torch.from_numpy((pictures.mean(axis=-1) / 255 > 0.6).astype(np.float32))


def bright(weights: Path, roi: bool) -> Bright:
    engine = Bright(Options(roi=roi), Settings(birefnet=f"{weights}@512x288", half=False))
    engine.shapes = []
    return engine


def walking(x: float, count: int) -> list[Frame]:
    """A bright disc in front of a dark room, moving right a little in each frame."""
    alphas = [disc(512, 288, x + 0.01 * n) for n in range(count)]
    return [replace(over((240, 240, 240), alpha, (20, 30, 40)), pts=n) for n, alpha in enumerate(alphas)]


@pytest.mark.long
def test_processing_only_the_region_of_interest_gives_the_same_alpha(birefnet_weights: Path) -> None:
    whole, roi = bright(birefnet_weights, roi=False), bright(birefnet_weights, roi=True)
    frames = walking(0.3, 24)
    for one, other in zip(run(whole, frames), run(roi, frames), strict=True):
        np.testing.assert_array_equal(one.alpha, other.alpha)
    assert set(whole.shapes) == {(1, 288, 512)}
    assert np.mean([h * w for _, h, w in roi.shapes]) < 0.8 * 288 * 512
    assert roi.recurrent
    assert not whole.recurrent


@pytest.mark.slow
def test_a_subject_that_jumped_out_of_the_box_is_found_in_the_same_frame(birefnet_weights: Path) -> None:
    whole, engine = bright(birefnet_weights, roi=False), bright(birefnet_weights, roi=True)
    frames = [*walking(0.25, 3), *walking(0.8, 2)]
    for frame, result in zip(frames, run(engine, frames), strict=True):
        (expected,) = run(whole, [frame])
        np.testing.assert_array_equal(result.alpha, expected.alpha)


@pytest.mark.long
def test_boxes_of_one_size_of_several_videos_are_batched(birefnet_weights: Path) -> None:
    engine = bright(birefnet_weights, roi=True)
    left, right, late = walking(0.25, 4), walking(0.7, 4), walking(0.5, 1)
    alone = [run(engine, frames)[-1].alpha for frames in (left, right, late)]
    states = [run(engine, frames[:3])[-1].state for frames in (left, right)]
    engine.shapes.clear()
    together = infer(engine, [left[3], right[3], late[0]], [*states, None])
    assert sorted(engine.shapes) == [(1, 288, 512), (2, 288, engine.shapes[0][2])]
    for result, expected in zip(together, alone, strict=True):
        np.testing.assert_array_equal(result.alpha, expected)


@pytest.mark.long
def test_the_alpha_of_a_box_matches_the_network_on_that_crop(birefnet_weights: Path) -> None:
    settings = Settings(birefnet=f"{birefnet_weights}@256x160", half=False)
    engine, (frame,) = Birefnet(Options(roi=True), settings), clip(count=1)
    prepared = engine.prepare(frame)
    box = Box(32, 64, 128, 192)
    (matted,) = engine._matted([Item(prepared, Memory(), box, torch.zeros(0, 0))])
    (expected,) = reference(torch.from_numpy(prepared.picture[box.slices])[None]).numpy()
    np.testing.assert_allclose(matted.alpha, expected, rtol=0, atol=2e-3)
