"""EdgeTAM: as SAM 2, with a small convolutional backbone and less memory per frame; for live video."""

from typing import Any

import torch
from transformers import AutoConfig, AutoModel, PreTrainedConfig, PreTrainedModel
from transformers.modeling_outputs import BaseModelOutput
from transformers.models.edgetam_video.modeling_edgetam_video import EdgeTamVideoInferenceSession

from stream.records.options import Options
from stream.settings import Settings
from workers.choosers.tracking import Tracker
from workers.models.repvit import RepVit
from workers.weights import transformers_loading
from workers.weights.known import Say, silent
from workers.weights.transformers_repos import CATALOGUES

_BACKBONE = "repvit_m1"  # its name in timm


class EdgeTam(Tracker):
    """Raises UsageError and WeightsError on creation."""

    name = "edgetam"

    def __init__(self, options: Options, settings: Settings, say: Say = silent) -> None:
        catalogue = CATALOGUES[self.name]
        folder = catalogue.find(settings.edgetam, settings, say)
        model = transformers_loading.load(folder, catalogue.model, with_own_backbone)
        _correct_scores_of_masks(model)
        super().__init__(model, EdgeTamVideoInferenceSession, settings)


class RepVitConfig(PreTrainedConfig):  # type: ignore[misc]
    """channels, depths: of the stages of `RepVit`."""

    model_type = "mattebox_repvit"

    channels: list[int] | None = None
    depths: list[int] | None = None


class RepVitBackbone(PreTrainedModel):  # type: ignore[misc]
    """The backbone as transformers expects it, in the place of its wrapper around timm, whose names it keeps."""

    config_class = RepVitConfig
    base_model_prefix = "timm_model"
    main_input_name = "pixel_values"

    def __init__(self, config: RepVitConfig) -> None:
        super().__init__(config)
        self.timm_model = RepVit(config.channels or (48, 96, 192, 384), config.depths or (2, 2, 14, 2))
        self.post_init()

    def forward(self, pixel_values: torch.Tensor, **_: Any) -> BaseModelOutput:
        return BaseModelOutput(last_hidden_state=self.timm_model(pixel_values))


AutoConfig.register(RepVitConfig.model_type, RepVitConfig, exist_ok=True)
AutoModel.register(RepVitConfig, RepVitBackbone, exist_ok=True)


def with_own_backbone(config: Any) -> Any:
    """The content of `config.json` with our backbone instead of timm's. Raises ValueError if it has another one."""
    backbone = config["vision_config"]["backbone_config"]
    name = str(backbone.get("architecture"))
    if backbone.get("model_type") != "timm_wrapper" or name.partition(".")[0] != _BACKBONE:
        raise ValueError(f"the backbone {name} is not supported; use {_BACKBONE}")
    arguments = backbone.get("model_args") or {}
    own = {
        "model_type": RepVitConfig.model_type,
        "channels": arguments.get("embed_dim"),
        "depths": arguments.get("depth"),
    }
    return config | {"vision_config": config["vision_config"] | {"backbone_config": own}}


def _correct_scores_of_masks(model: Any) -> None:
    """Give the score of a subject with a mask the shape that all other scores have, so that they can be joined."""
    untouched = model._use_mask_as_output

    def corrected(*arguments: Any, **options: Any) -> Any:
        result = untouched(*arguments, **options)
        if result.object_score_logits.dim() == 2:
            result.object_score_logits = result.object_score_logits.unsqueeze(-1)
        return result

    model._use_mask_as_output = corrected
