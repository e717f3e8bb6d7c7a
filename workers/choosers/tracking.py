"""Trackers of SAM's family: they find a subject on the frames with prompts, and follow it through the others.

One class for all of them, because transformers gives their models one interface. What belongs to one model is in its
own file. Knows nothing about files, engines and edges.
"""

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from stream.errors import EngineError
from stream.picture.frames import Alpha, Frame
from stream.records.subjects import Prompt, Subject
from stream.settings import Settings
from workers.choosers import automatic_masks, everything, network_input, prompt_tensors
from workers.choosers.base import Choice, Lister, Question, Region, Search
from workers.choosers.readable import Readable
from workers.choosers.tracks import Prompted, Reach, Track, Tracks, by_need, outputs, renamed, restore
from workers.device.precision import best_device, chosen_precision, label
from workers.device.tensors import Bytes
from workers.weights.imagenet import DEVIATION, MEAN

KINDS = ("point", "box", "mask")
_ROUNDING_S = 1e-4  # of times in prompts


@dataclass(frozen=True, slots=True)
class Found:
    """A subject on one frame. logits: float32 (h, w), above 0 inside. confidence: 0 to 1."""

    track: Track
    logits: Tensor
    confidence: float


class Tracker(Lister):
    """A video's state is its `Tracks`. model: with transformers' interface of `Sam2VideoModel`. session: the class of
    its sessions. thresholds: of `candidates`."""

    recurrent = True
    thresholds = automatic_masks.Thresholds()
    mean: Sequence[float] = MEAN
    deviation: Sequence[float] = DEVIATION

    def __init__(self, model: Any, session: Any, settings: Settings) -> None:
        torch.set_num_threads(settings.cores())
        self._device = best_device()
        self._dtype = chosen_precision(self._device, settings)
        self._model, self._session, self._settings = model.to(self._device), session, settings
        config = self._model.config
        self._size = int(config.image_size)
        self._reach = Reach(config.num_maskmem - 1, config.max_object_pointers_in_encoder - 1)
        self._nothing: Alpha = np.zeros(self._model.prompt_encoder.mask_input_size, np.float32)
        self._overlaps: list[Tensor] = []  # predicted by the calls of the mask decoder, which the model does not return
        self._model.mask_decoder.register_forward_hook(
            lambda _module, _inputs, output: self._overlaps.append(output[1])
        )
        self.device = label(self._device, self._dtype)
        self._readable = Readable(lambda text: bool(prompt_tensors.read_mask(text, self._size, settings).any()))

    def check(self, subjects: Sequence[Subject], size: tuple[int, int]) -> None:
        for subject in subjects:
            for text in subject.masks:
                self._readable(text)

    def prepare(self, frame: Frame) -> Bytes:
        return network_input.square(frame, self._size)

    def choose(self, questions: Sequence[Question], states: Sequence[Tracks | None]) -> list[Choice]:
        return [self._answer(one, state or Tracks()) for one, state in zip(questions, states, strict=True)]

    def candidates(self, frame: Frame, search: Search) -> list[Region]:
        pixels = network_input.normalised(self.prepare(frame), self.mean, self.deviation, self._device)
        try:
            with torch.inference_mode(), self._precision():
                size = automatic_masks.size_for(frame.width, frame.height)
                decoder = everything.Decoder(self._model, pixels, size)
                return everything.regions(decoder, search, self.thresholds)
        except RuntimeError as exc:
            raise EngineError(f"{self.name}: {str(exc).splitlines()[0]}") from exc
        finally:
            self._overlaps.clear()

    def _answer(self, question: Question, memory: Tracks) -> Choice:
        memory = replace(memory, tracks=renamed(memory.tracks, question.subjects))
        tracks = {subject.name: self._current(memory, subject, question.time_s) for subject in question.subjects}
        added = {subject.name: _added(tracks[subject.name], subject, question.time_s) for subject in question.subjects}
        index = memory.next_index
        frames = {
            name: Prompted(index, question.width, question.height, prompts)
            for name, prompts in added.items()
            if prompts
        }
        found = self._advanced(index, question.seen, tracks, frames)
        regions = {
            name: found[name].logits.sigmoid().cpu().numpy() if name in found else self._nothing for name in tracks
        }
        tracks |= {name: one.track for name, one in found.items()}
        pictures = memory.pictures.adding(index, question.seen) if frames else memory.pictures
        state = Tracks(index + 1, tracks, pictures.only(by_need(tracks.values())))
        return Choice(regions, state, {name: one.confidence for name, one in found.items()})

    def _current(self, memory: Tracks, subject: Subject, time_s: float) -> Track:
        """The subject's track as if prompts that were withdrawn had never been applied.

        Where a picture was not kept, prompts that corrected the subject have had their effect; those that would have to
        begin it are left out, and are therefore applied to the next frame.
        """
        track = memory.tracks.get(subject.name, Track())
        valid = set(_due(subject, time_s))
        if valid.issuperset(track.prompts):
            return track
        again = Track()
        for frame in track.prompted:
            left = tuple(prompt for prompt in frame.prompts if prompt in valid)
            if not left or not (again.started or any(prompt.inside for prompt in left)):
                continue
            only = replace(frame, prompts=left)
            if (picture := memory.pictures.picture(frame.index)) is not None:
                tracks = {subject.name: again}
                again = self._advanced(frame.index, picture, tracks, {subject.name: only})[subject.name].track
            elif again.started:
                again = replace(again, prompted=(*again.prompted, only))
        return again

    def _advanced(
        self, index: int, picture: Bytes, tracks: Mapping[str, Track], prompted: Mapping[str, Prompted]
    ) -> dict[str, Found]:
        """All subjects that were found before or have prompts on this frame, by name. Raises EngineError."""
        names = [name for name, track in tracks.items() if track.started or name in prompted]
        if not names:
            return {}
        try:
            with torch.inference_mode(), self._precision():
                return self._tracked(index, picture, {name: tracks[name] for name in names}, prompted)
        except RuntimeError as exc:
            raise EngineError(f"{self.name}: {str(exc).splitlines()[0]}") from exc

    def _precision(self) -> AbstractContextManager[Any]:
        return nullcontext() if self._dtype is torch.float32 else torch.autocast(self._device.type, self._dtype)

    def _tracked(
        self, index: int, picture: Bytes, tracks: Mapping[str, Track], prompted: Mapping[str, Prompted]
    ) -> dict[str, Found]:
        """A mask, or a subject's first points, begin its memory. Later points correct what was tracked to the frame."""
        session = self._new_session(list(tracks.values()))
        pixels = network_input.normalised(picture, self.mean, self.deviation, self._device)
        self._look(session, index, picture, pixels)
        names, overlaps = list(tracks), dict[str, float]()
        masked = {name: only for name, frame in prompted.items() if (only := _of_kinds(frame, masks=True)).prompts}
        placed = {name: only for name, frame in prompted.items() if (only := _of_kinds(frame, masks=False)).prompts}
        beginning = {name: frame for name, frame in placed.items() if name not in masked and not tracks[name].started}
        corrections = {name: frame for name, frame in placed.items() if name not in beginning}
        result = self._pass(session, index, pixels, names, masked | beginning, overlaps)
        if corrections:
            for name in corrections:  # the model then takes the frame as tracked, and uses its memory
                session.frames_tracked_per_obj[names.index(name)][index] = {"reverse": False}
            result = self._pass(session, index, pixels, names, corrections, overlaps)
        scores = result.object_score_logits.float().flatten().sigmoid().tolist()
        masks = result.pred_masks.float().flatten(0, -3)
        return {
            name: Found(
                _extended(track, prompted.get(name), *outputs(session, number, index, self._reach)),
                masks[number],
                min(1.0, scores[number] * min(1.0, max(0.0, overlaps[name]))),
            )
            for number, (name, track) in enumerate(tracks.items())
        }

    def _look(self, session: Any, index: int, picture: Bytes, pixels: Tensor) -> None:
        """Put the features of a frame into the session. By default the model computes them itself, once per frame."""

    def _new_session(self, tracks: Sequence[Track]) -> Any:
        device = self._device
        session = self._session(
            inference_device=device, inference_state_device=device, video_storage_device=device, dtype=torch.float32
        )
        restore(session, tracks)
        return session

    def _pass(
        self,
        session: Any,
        index: int,
        pixels: Tensor,
        names: Sequence[str],
        prompted: Mapping[str, Prompted],
        overlaps: dict[str, float],
    ) -> Any:
        """One call of the model. overlaps: receives the predicted overlap of each mask that it computes."""
        masked: set[str] = set()
        for name, frame in prompted.items():
            number = names.index(name)
            if (drawn := prompt_tensors.mask(frame.prompts, self._size, self._settings)) is not None:
                session.add_mask_inputs(number, index, drawn)
                masked.add(name)
            elif points := prompt_tensors.points(frame.prompts, frame.width, frame.height, self._size):
                inputs = {"point_coords": points.coordinates, "point_labels": points.labels}
                session.mask_inputs_per_obj[number].pop(index, None)
                session.add_point_inputs(number, index, inputs)
        session.obj_with_new_inputs = [names.index(name) for name in prompted]
        reused = [name for number, name in enumerate(names) if index in _conditioning(session, number)]
        computed = [name for name in names if name in prompted or name not in reused]
        self._overlaps.clear()
        result = self._model(session, frame=pixels, frame_idx=index)
        for name, predicted in zip(computed, self._overlaps, strict=True):
            overlaps[name] = 1.0 if name in masked else float(predicted.max())
        return result


def _conditioning(session: Any, number: int) -> Mapping[int, Any]:
    stored: Mapping[int, Any] = session.output_dict_per_obj[number]["cond_frame_outputs"]
    return stored


def _due(subject: Subject, time_s: float) -> tuple[Prompt, ...]:
    """The prompts of a subject that apply at this time."""
    return tuple(prompt for prompt in subject.prompts if prompt.kind in KINDS and prompt.at_s <= time_s + _ROUNDING_S)


def _added(track: Track, subject: Subject, time_s: float) -> tuple[Prompt, ...]:
    """The prompts to be applied now. Points that are not the subject wait for what it is."""
    applied = set(track.prompts)
    added = tuple(prompt for prompt in _due(subject, time_s) if prompt not in applied)
    return added if track.started or any(prompt.inside for prompt in added) else ()


def _of_kinds(frame: Prompted, masks: bool) -> Prompted:
    """With the masks alone, or without them: in one pass the model takes one or the other."""
    return replace(frame, prompts=tuple(prompt for prompt in frame.prompts if (prompt.kind == "mask") is masks))


def _extended(track: Track, frame: Prompted | None, conditioning: Any, recent: Any) -> Track:
    prompted = track.prompted if frame is None else (*track.prompted, frame)
    return Track(prompted, conditioning, recent)
