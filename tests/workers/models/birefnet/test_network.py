"""The network against the public implementation's logits, and the strict loading of its weights."""

import copy
import re
from collections.abc import Callable

import numpy as np
import pytest

from stream.errors import WeightsError
from tests.workers.models.birefnet import deterministic
from tests.workers.models.birefnet.deterministic import Array

pytest.importorskip("torch")

import torch

from tests.workers.models.birefnet.networks import cached_state_dict, difference, image, lite, run
from workers.models.birefnet.fuse import fuse
from workers.models.birefnet.network import BiRefNet
from workers.models.birefnet.swin import WindowAttention

PATCHES = "bb.patch_embed.proj.weight"
HEAD = "decoder.conv_out1.0.weight"


@pytest.mark.long
@pytest.mark.parametrize("variant", ["lite", pytest.param("general", marks=pytest.mark.slow)])
def test_logits_match_the_public_implementation(variant: str) -> None:
    model = BiRefNet.from_state_dict(deterministic.state_dict(variant))
    logits = run(model, image(256, 320))
    assert difference(logits, torch.from_numpy(deterministic.logits(variant))) <= 2e-4


@pytest.mark.long
@pytest.mark.parametrize("prepare", [copy.deepcopy, fuse], ids=["plain", "fused"])
@pytest.mark.parametrize(
    ("dtype", "size"), [("bfloat16", (256, 320)), pytest.param("float16", (96, 128), marks=pytest.mark.slow)]
)
def test_half_precision_gives_nearly_the_same_alpha(
    prepare: Callable[[BiRefNet], BiRefNet], dtype: str, size: tuple[int, int]
) -> None:
    half, x = prepare(lite()).to(getattr(torch, dtype)), image(*size)
    off = (run(half, x.to(getattr(torch, dtype))).sigmoid() - run(lite(), x).sigmoid()).abs()
    assert off.max() <= 0.02
    assert off.mean() <= 0.002


@pytest.mark.long
def test_a_batch_matches_its_images_run_alone() -> None:
    one, two = image(96, 160, seed=1), image(96, 160, seed=2)
    both = run(lite(), torch.cat([one, two]))
    assert difference(both, torch.cat([run(lite(), one), run(lite(), two)])) <= 1e-5
    assert difference(both[:1], both[1:]) > 0.01


@pytest.mark.parametrize(("height", "width"), [(32, 32), (32, 192), (224, 96)])
def test_small_and_elongated_images(height: int, width: int) -> None:
    logits = run(lite(), image(height, width))
    assert logits.shape == (1, 1, height, width)
    assert logits.isfinite().all()


def test_a_size_that_is_not_a_multiple_of_32_is_refused() -> None:
    with pytest.raises(ValueError, match="100x64 is not a multiple of 32"):
        lite()(torch.zeros(1, 3, 64, 100))


def test_the_loaded_network_is_ready_for_inference() -> None:
    tensors = cached_state_dict("lite")
    loaded = lite().state_dict()
    assert not lite().training
    assert not any(p.requires_grad for p in lite().parameters())
    assert all(np.array_equal(loaded[key].numpy(), value) for key, value in tensors.items())
    assert {key for key in deterministic.shapes("lite") if not key.endswith("index")} == set(loaded)


@pytest.mark.long
def test_half_precision_checkpoints_and_those_with_counters_load() -> None:
    halves = {key: torch.from_numpy(value).half() for key, value in cached_state_dict("lite").items()}
    counters = {key: torch.tensor(7) for key in deterministic.shapes("lite") if key.endswith(deterministic.IGNORED)}
    assert counters
    model = BiRefNet.from_state_dict(halves | counters)
    assert {p.dtype for p in model.parameters()} == {torch.float32}
    assert torch.equal(model.get_parameter(HEAD), halves[HEAD].float())


def test_read_only_tensors_load() -> None:
    tensors = dict(cached_state_dict("lite"))
    tensors[HEAD] = tensors[HEAD].copy()
    tensors[HEAD].flags.writeable = False
    assert torch.equal(BiRefNet.from_state_dict(tensors).get_parameter(HEAD), lite().get_parameter(HEAD))


def truncated(tensors: dict[str, Array]) -> None:
    for key in list(tensors)[400:]:
        del tensors[key]


def without_the_last_blocks(tensors: dict[str, Array]) -> None:
    for key in [key for key in tensors if key.startswith("bb.layers.2.blocks.5")]:
        del tensors[key]


def renamed(tensors: dict[str, Array]) -> None:
    for key in [key for key in tensors if key.startswith("decoder.")]:
        tensors["module." + key] = tensors.pop(key)


def of_the_wrong_shape(tensors: dict[str, Array]) -> None:
    tensors[HEAD] = tensors[HEAD][:, :7]


def of_an_unknown_width(tensors: dict[str, Array]) -> None:
    tensors[PATCHES] = tensors[PATCHES][:90]


def with_an_extra_tensor(tensors: dict[str, Array]) -> None:
    tensors["decoder.extra"] = tensors[HEAD]


def quantised(tensors: dict[str, Array]) -> None:
    tensors[HEAD] = tensors[HEAD].astype(np.int8)


def empty(tensors: dict[str, Array]) -> None:
    tensors.clear()


@pytest.mark.parametrize(
    ("damage", "expected"),
    [
        (truncated, "missing (decoder."),
        (without_the_last_blocks, "13 missing (bb.layers.2.blocks.5.norm1.weight, "),
        (renamed, "unknown (module.decoder."),
        (of_the_wrong_shape, f"1 of the wrong shape ({HEAD} 1x7x1x1, not 1x120x1x1)"),
        (of_an_unknown_width, f"{PATCHES} is 90x3x4x4"),
        (with_an_extra_tensor, "1 unknown (decoder.extra)"),
        (quantised, f"{HEAD} has dtype int8"),
        (empty, f"{PATCHES} is missing"),
    ],
)
def test_incomplete_or_foreign_checkpoints_are_refused(
    damage: Callable[[dict[str, Array]], None], expected: str
) -> None:
    tensors = dict(cached_state_dict("lite"))
    damage(tensors)
    with pytest.raises(WeightsError) as caught:
        BiRefNet.from_state_dict(tensors)
    message = str(caught.value)
    assert expected in message
    assert "\n" not in message
    assert len(message) < 600


def test_the_backbone_follows_from_the_tensors_and_a_truncated_one_is_not_a_smaller_one() -> None:
    tensors = {key: torch.zeros(()).expand(shape) for key, shape in deterministic.shapes("general").items()}
    attention = BiRefNet.from_state_dict(tensors).get_submodule("bb.layers.2.blocks.17.attn")
    assert isinstance(attention, WindowAttention)
    assert (attention.heads, attention.window, attention.shift) == (24, 12, 6)
    shallow = {k: t for k, t in tensors.items() if not re.match(r"bb\.layers\.2\.blocks\.([6-9]|1\d)\.", k)}
    with pytest.raises(WeightsError, match=r"156 missing \(bb\.layers\.2\.blocks\.6\."):
        BiRefNet.from_state_dict(shallow)


@pytest.mark.slow
def test_it_can_be_exported() -> None:
    x = image(64, 96)
    exported = torch.export.export(fuse(lite()), (x,)).module()
    assert difference(run(exported, x), run(lite(), x)) <= 1e-5
