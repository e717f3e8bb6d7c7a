"""SAM 2.1: follows subjects from points, boxes and masks. The large sizes need a GPU."""

from transformers.models.sam2_video.modeling_sam2_video import Sam2VideoInferenceSession

from stream.records.options import Options
from stream.settings import Settings
from workers.choosers.tracking import Tracker
from workers.weights import transformers_loading
from workers.weights.known import Say, silent
from workers.weights.transformers_repos import CATALOGUES


class Sam2(Tracker):
    """Raises UsageError and WeightsError on creation."""

    name = "sam2"

    def __init__(self, options: Options, settings: Settings, say: Say = silent) -> None:
        catalogue = CATALOGUES[self.name]
        model = transformers_loading.load(catalogue.find(settings.sam2, settings, say), catalogue.model)
        super().__init__(model, Sam2VideoInferenceSession, settings)
