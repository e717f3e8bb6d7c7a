from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from stream.errors import UsageError, WeightsError
from stream.session import Options
from stream.settings import Settings
from tests.workers.engines import clip, infer, run
from tests.workers.test_runner import by_hand
from workers import hub
from workers.engines.birefnet import Birefnet, network_size
from workers.tensors import rgb_bytes


def engine(weights: Path, size: str = "96x64", half: bool = False) -> Birefnet:
    return Birefnet(Options(), Settings(birefnet=f"{weights}@{size}", half=half))


def test_alpha_is_the_sigmoid_of_the_plain_networks_logits(birefnet_weights: Path) -> None:
    (frame,) = clip(count=1)
    (result,) = infer(engine(birefnet_weights, "160x96"), [frame], [None])
    (wanted,) = by_hand(torch.from_numpy(rgb_bytes(frame, 160, 96))[None]).numpy()
    assert result.alpha.shape == (96, 160)
    np.testing.assert_allclose(result.alpha, wanted, rtol=0, atol=2e-3)  # weights in float16


def test_half_precision_is_close(birefnet_weights: Path) -> None:
    half, full = engine(birefnet_weights, "256x160", half=True), engine(birefnet_weights, "256x160")
    frames = clip(count=2)
    for a, b in zip(run(half, frames), run(full, frames), strict=True):
        error = np.abs(a.alpha - b.alpha)
        assert error.max() <= 0.02
        assert error.mean() <= 0.002


class Overflowing(Birefnet):
    """Half precision gives no numbers for bright pictures."""

    def _alphas(self, pictures: Any, exact: bool) -> Any:
        alphas = super()._alphas(pictures, exact)
        self.calls.append((len(pictures), exact))
        if not exact:
            alphas[pictures.mean(axis=(1, 2, 3)) > 200] = np.nan
        return alphas

    calls: list[tuple[int, bool]]


def test_what_half_precision_cannot_hold_is_computed_in_full_and_then_stays_so(birefnet_weights: Path) -> None:
    given = Overflowing(Options(), Settings(birefnet=f"{birefnet_weights}@96x64"))
    calls: list[tuple[int, bool]] = []
    given.calls = calls
    (dark,) = clip(count=1)
    bright = dark.with_pixels(np.full_like(dark.pixels, 235))
    state, seen = None, []
    for frame in (dark, bright, bright, bright, bright, dark):
        (result,) = infer(given, [frame], [state])
        state = result.state
        seen.append(state)
        assert np.isfinite(result.alpha).all()
    assert seen == [0, 1, 2, 3, 3, 3]
    assert calls[-2:] == [(1, True), (1, True)]


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
def test_a_variant_has_its_size(spec: str, size: tuple[int, int]) -> None:
    checkpoint, file = hub.parse(spec)
    assert file is None
    assert network_size(checkpoint, 1920, 1080) == size


@pytest.mark.parametrize(("width", "height"), [(1920, 1080), (1080, 1920), (640, 480), (4000, 100)])
def test_native_variants_keep_the_aspect(width: int, height: int) -> None:
    w, h = network_size(hub.VARIANTS["dynamic"], width, height)
    assert w % 32 == h % 32 == 0
    assert max(w, h) <= 2304
    if max(width, height) < 3 * min(width, height):
        assert w / h == pytest.approx(width / height, rel=0.06)
        assert w * h == pytest.approx(1024 * 1024, rel=0.06)


@pytest.mark.parametrize(
    "spec", ["nonsense", "general@wide", "general@100x100", "a/b/c", "lite@0x32", "lite@99999968x32", "../x", "a/", ""]
)
def test_a_name_that_means_nothing_is_refused(spec: str) -> None:
    with pytest.raises(UsageError, match="weights"):
        hub.parse(spec)


def test_offline_without_weights_names_the_command_that_fetches_them(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="mattebox models pull birefnet:lite"):
        Birefnet(Options(), Settings(birefnet="lite", offline=True, cache_dir=tmp_path))


def test_a_path_may_hold_an_at_sign(birefnet_weights: Path) -> None:
    for spec in ("a dir@x/j.safetensors", "m@512x512.safetensors"):
        assert hub.parse(spec)[1] == Path(spec)
    checkpoint, file = hub.parse("a dir@x/j.safetensors@640x352")
    assert file == Path("a dir@x/j.safetensors")
    assert (checkpoint.width, checkpoint.height) == (640, 352)


def test_weights_that_nothing_vouches_for_are_not_called_verified(birefnet_weights: Path) -> None:
    with pytest.raises(WeightsError, match="cannot be verified"):
        hub.verify(str(birefnet_weights), Settings())
