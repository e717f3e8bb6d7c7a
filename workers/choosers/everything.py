"""Everything that a network of SAM's family finds in one picture, asked at a grid of points.

`automatic_masks.py` has the steps that know nothing about networks. Each thing gets the prompt that finds it again: the
first of a point inside it, the point of the grid and its box for which the network answers with the same mask.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from stream.records.subjects import Prompt
from workers.choosers import automatic_masks
from workers.choosers.automatic_masks import Mask, Thresholds
from workers.choosers.base import Region, Search
from workers.choosers.prompt_tensors import points
from workers.device.tensors import Bytes

_SIDE = {"cpu": 16, "cuda": 32}  # points along each side of the grid; 32 are the published ones
_BATCH = {"cpu": 16, "cuda": 64}  # points in one pass
_SAME = 0.8  # overlap of a prompt's mask with the mask that it is to find
_DECIMALS = 3  # of coordinates in prompts


@dataclass(frozen=True, slots=True)
class _Thing:
    """packed: its mask, by `np.packbits`: there may be thousands. box: int64 (4,). point: of
    the grid, x and y from 0 to 1."""

    packed: Bytes
    box: Tensor
    score: float
    point: tuple[float, float]


class Decoder:
    """Masks for prompts on one picture.

    model: with the parts of transformers' `Sam2VideoModel`. pixels: float32 (1, 3, s, s), normalised. size: (height,
    width) of the masks. usual_side: points along each side of a grid, for this device. The picture is encoded once,
    here.
    """

    def __init__(self, model: Any, pixels: Tensor, size: tuple[int, int]) -> None:
        self._model, self.size, self._side = model, size, pixels.shape[-1]
        self._batch, self.usual_side = _BATCH[pixels.device.type], _SIDE[pixels.device.type]
        self._features = model.get_image_embeddings(pixels)
        self._positions = model.get_image_wide_positional_embeddings()

    def at_points(self, places: Tensor) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
        """In batches of n points: the points, the logits (n, M, h, w) of their M masks in the network's size, and the
        overlaps (n, M) that it predicts. places: float32 (N, 2), 0 to 1."""
        for start in range(0, len(places), self._batch):
            some = places[start : start + self._batch]
            logits, overlaps = self._masks(some[:, None] * self._side, torch.ones(len(some), 1, dtype=torch.int32))
            yield some, logits, overlaps

    def for_prompts(self, prompts: Sequence[Prompt]) -> list[Mask]:
        """The mask of each prompt as the tracker would begin with it. prompts: points or boxes, all of one kind."""
        height, width = self.size
        placed = [points([prompt], width, height, self._side) for prompt in prompts]
        found: list[Mask] = []
        for start in range(0, len(placed), self._batch):
            some = [one for one in placed[start : start + self._batch] if one is not None]
            coordinates = torch.cat([one.coordinates for one in some], 1)[0]
            labels = torch.cat([one.labels for one in some], 1)[0]
            logits, overlaps = self._masks(coordinates, labels)
            best = logits[torch.arange(len(some)), overlaps.argmax(-1)]
            found.extend(self.resized(best).gt(0).numpy(force=True))
        return found

    def _masks(self, coordinates: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """coordinates: (n, P, 2) in pixels of the network's input. labels: (n, P)."""
        config, device = self._model.config, self._positions.device
        sparse, dense = self._model.get_prompt_embeddings(coordinates[None].to(device), labels[None].to(device))
        logits, overlaps, *_ = self._model.mask_decoder(
            image_embeddings=self._features[-1],
            image_positional_embeddings=self._positions,
            sparse_prompt_embeddings=sparse,
            dense_prompt_embeddings=dense,
            multimask_output=config.multimask_output_in_sam and labels.shape[1] <= config.multimask_max_pt_num,
            high_resolution_features=self._features[:-1],
        )
        return logits[0].float(), overlaps[0].float()

    def resized(self, logits: Tensor) -> Tensor:
        """(n, h, w) in the size of the masks."""
        return functional.interpolate(logits[:, None], self.size, mode="bilinear", align_corners=False)[:, 0]


def regions(decoder: Decoder, search: Search, thresholds: Thresholds) -> list[Region]:
    """All things, without duplicates, the largest `search.most`."""
    pixels = search.smallest * decoder.size[0] * decoder.size[1]
    things = list(_things(decoder, search.side or decoder.usual_side, pixels, thresholds))
    things = _distinct(list(_cleaned(_distinct(things, thresholds), decoder.size, pixels)), thresholds)
    masks = [_unpacked(thing, decoder.size) for thing in things]
    order = sorted(range(len(things)), key=lambda index: np.count_nonzero(masks[index]), reverse=True)[: search.most]
    prompts = _prompts(decoder, [things[index] for index in order], [masks[index] for index in order])
    return [
        Region(masks[index], min(1.0, max(0.0, things[index].score)), prompt)
        for index, prompt in zip(order, prompts, strict=True)
    ]


def _things(decoder: Decoder, side: int, pixels: float, thresholds: Thresholds) -> Iterator[_Thing]:
    """The confident and stable masks at the points of the grid."""
    whole = thresholds.whole * decoder.size[0] * decoder.size[1]
    for places, logits, overlaps in decoder.at_points(automatic_masks.grid(side)):
        for place, own_logits, own_overlaps in zip(places.tolist(), logits, overlaps, strict=True):
            confident = own_overlaps > thresholds.overlap
            resized = decoder.resized(own_logits[confident])
            masks = resized > 0
            areas = masks.sum((-2, -1))
            stable = automatic_masks.stability(resized, thresholds.offset) > thresholds.stability
            kept = stable & (areas >= pixels) & (areas < whole) & (areas > 0)
            masks, scores = masks[kept], own_overlaps[confident][kept].tolist()
            for mask, box, score in zip(
                masks.numpy(force=True), automatic_masks.boxes(masks).cpu(), scores, strict=True
            ):
                yield _Thing(np.packbits(mask), box, score, (place[0], place[1]))


def _distinct(things: Sequence[_Thing], thresholds: Thresholds) -> list[_Thing]:
    if not things:
        return []
    found = torch.stack([thing.box for thing in things])
    scores = torch.tensor([thing.score for thing in things])
    return [things[index] for index in automatic_masks.distinct(found, scores, thresholds.duplicate)]


def _cleaned(things: Sequence[_Thing], size: tuple[int, int], pixels: float) -> Iterator[_Thing]:
    """Without small parts and holes; those of which too little is left are left out."""
    for thing in things:
        mask = automatic_masks.without_small_parts(_unpacked(thing, size), pixels)
        if np.count_nonzero(mask) >= pixels:
            (box,) = automatic_masks.boxes(torch.from_numpy(mask)[None])
            yield _Thing(np.packbits(mask), box, thing.score, thing.point)


def _unpacked(thing: _Thing, size: tuple[int, int]) -> Mask:
    return np.unpackbits(thing.packed, count=size[0] * size[1]).reshape(size).view(np.bool_)


def _prompts(decoder: Decoder, things: Sequence[_Thing], masks: Sequence[Mask]) -> list[Prompt]:
    """For each thing, the first prompt that finds it again, else the one that comes closest."""
    found: list[tuple[float, Prompt]] = [(-1.0, Prompt(kind="point", place=thing.point)) for thing in things]
    for kind in (_inside, _of_grid, _around):
        unsure = [index for index, (overlap, _) in enumerate(found) if overlap < _SAME]
        tried = [kind(things[index], masks[index]) for index in unsure]
        for index, prompt, answer in zip(unsure, tried, decoder.for_prompts(tried), strict=True):
            found[index] = max(found[index], (automatic_masks.mask_overlap(answer, masks[index]), prompt), key=_overlap)
    return [prompt for _, prompt in found]


def _overlap(found: tuple[float, Prompt]) -> float:
    return found[0]


def _inside(_: _Thing, mask: Mask) -> Prompt:
    return _placed("point", *automatic_masks.inner_point(mask))


def _of_grid(thing: _Thing, _: Mask) -> Prompt:
    return _placed("point", *thing.point)


def _around(thing: _Thing, mask: Mask) -> Prompt:
    left, top, right, bottom = thing.box.tolist()
    height, width = mask.shape
    return _placed("box", left / width, top / height, (right - left) / width, (bottom - top) / height)


def _placed(kind: Any, *place: float) -> Prompt:
    return Prompt(kind=kind, place=tuple(round(number, _DECIMALS) for number in place))
