"""SAM 3: finds everything that words describe, and follows subjects from points, boxes and masks. Needs a GPU.

Words are looked for on every frame; nothing of earlier frames is used, so a subject is found as soon as it appears.
Points, boxes and masks are for its tracker, which shares the features of the picture.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tokenizers import Tokenizer
from torch import Tensor
from transformers.models.sam3_tracker_video.modeling_sam3_tracker_video import Sam3TrackerVideoInferenceSession

from stream.errors import EngineError, WeightsError
from stream.picture.frames import Alpha
from stream.records.options import Options
from stream.records.subjects import Subject
from stream.settings import Settings
from workers.choosers import network_input
from workers.choosers.base import Choice, Question
from workers.choosers.tracking import Tracker
from workers.choosers.tracks import Tracks
from workers.device.tensors import Bytes
from workers.weights import transformers_loading
from workers.weights.known import Say, silent
from workers.weights.transformers_repos import CATALOGUES

_TOKENIZER = "tokenizer.json"
_TOKENS = 32  # of a prompt, as the network was trained
_PADDING = "<|endoftext|>"
_PHRASES = 64  # whose tokens are kept


@dataclass(frozen=True, slots=True)
class Phrase:
    """Tokens of words. ids, attention: int64 (1, 32)."""

    ids: Tensor
    attention: Tensor


class Sam3(Tracker):
    """Raises UsageError and WeightsError on creation."""

    name = "sam3"
    mean = deviation = (0.5, 0.5, 0.5)

    def __init__(self, options: Options, settings: Settings, say: Say = silent) -> None:
        catalogue = CATALOGUES[self.name]
        folder = catalogue.find(settings.sam3, settings, say)
        self._tokenizer = _tokenizer(folder / _TOKENIZER)
        self._video = transformers_loading.load(folder, catalogue.model)
        self._phrases: dict[str, Phrase] = {}
        self._last: tuple[Bytes, Any] | None = None  # a picture and its features, which words and tracker share
        super().__init__(self._video.tracker_model, Sam3TrackerVideoInferenceSession, settings)
        self._video.to(self._device)

    def _answer(self, question: Question, memory: Tracks) -> Choice:
        choice = super()._answer(question, memory)
        regions, confidence = dict(choice.regions), dict(choice.confidence)
        for subject in question.subjects:
            if texts := _texts(subject):
                region, score = self._described(question.seen, texts)
                regions[subject.name] = np.maximum(regions[subject.name], region)
                confidence[subject.name] = max(confidence.get(subject.name, 0.0), score)
        return replace(choice, regions=regions, confidence=confidence)

    def _look(self, session: Any, index: int, picture: Bytes, pixels: Tensor) -> None:
        features, positions = self._video.get_vision_features_for_tracker(vision_embeds=self._features(picture, pixels))
        session.cache.cache_vision_features(index, {"vision_feats": features, "vision_pos_embeds": positions})

    def _features(self, picture: Bytes, pixels: Tensor | None = None) -> Any:
        """pixels: the picture, normalised, if it is at hand."""
        if self._last is None or self._last[0] is not picture:
            if pixels is None:
                pixels = network_input.normalised(picture, self.mean, self.deviation, self._device)
            self._last = picture, self._video.detector_model.get_vision_features(pixel_values=pixels)
        return self._last[1]

    def _described(self, picture: Bytes, texts: Sequence[str]) -> tuple[Alpha, float]:
        """The region of all that any of the texts describes, and the best score. Raises EngineError."""
        try:
            with torch.inference_mode(), self._precision():
                features = self._features(picture)
                found = [self._detected(features, self._phrase(text)) for text in texts]
        except RuntimeError as exc:
            raise EngineError(f"{self.name}: {str(exc).splitlines()[0]}") from exc
        region: Alpha = torch.stack([mask for mask, _ in found]).amax(0).cpu().numpy()
        return region, max(score for _, score in found)

    def _detected(self, features: Any, phrase: Phrase) -> tuple[Tensor, float]:
        detector = self._video.detector_model
        text = detector.get_text_features(input_ids=phrase.ids, attention_mask=phrase.attention, return_dict=True)
        output = detector(vision_embeds=features, text_embeds=text, attention_mask=phrase.attention)
        scores = (output.pred_logits.float().sigmoid() * output.presence_logits.float().sigmoid())[0]
        kept = output.pred_masks[0][scores > self._video.score_threshold_detection].float().sigmoid()
        nothing = torch.from_numpy(self._nothing).to(self._device)
        return torch.cat([nothing[None], kept]).amax(0), float(scores.max())

    def _phrase(self, text: str) -> Phrase:
        if text not in self._phrases:
            while len(self._phrases) >= _PHRASES:
                self._phrases.pop(next(iter(self._phrases)))
            encoded = self._tokenizer.encode(text)
            ids, attention = (torch.tensor([one], device=self._device) for one in (encoded.ids, encoded.attention_mask))
            self._phrases[text] = Phrase(ids, attention)
        return self._phrases[text]


def _texts(subject: Subject) -> list[str]:
    return [prompt.text for prompt in subject.prompts if prompt.kind == "words"]


def _tokenizer(file: Path) -> Tokenizer:
    try:
        tokenizer = Tokenizer.from_file(str(file))
    except Exception as exc:  # it raises nothing more specific
        raise WeightsError(f"{file} is not a tokenizer: {str(exc).splitlines()[0]}") from exc
    padding = tokenizer.token_to_id(_PADDING)
    if padding is None:
        raise WeightsError(f"{file} has no token {_PADDING}")
    tokenizer.enable_truncation(_TOKENS)
    tokenizer.enable_padding(length=_TOKENS, pad_id=padding, pad_token=_PADDING)
    return tokenizer
