"""What is remembered of a tracked subject: frames with prompts, and the model's outputs to which later frames refer.

The sessions of transformers keep every frame and output of a video. Here a session is made for each frame, from outputs
as old as the model looks back, so that memory does not grow with the length of a video. Masks are the same.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor

from stream.records.subjects import Prompt, Subject
from workers.choosers.kept_pictures import KeptPictures

Output = Mapping[str, Tensor]
"""Of one frame and subject: "object_pointer" and, while frames look back to them, "maskmem_features" and
"maskmem_pos_enc"."""

_POINTER, _FEATURES = "object_pointer", ("maskmem_features", "maskmem_pos_enc")


@dataclass(frozen=True, slots=True)
class Prompted:
    """A frame with prompts, from which the memory is computed again when prompts are withdrawn. index: of the frame.
    width, height: of the frame in pixels."""

    index: int
    width: int
    height: int
    prompts: tuple[Prompt, ...]


@dataclass(frozen=True, slots=True)
class Track:
    """A subject. conditioning: outputs of the frames that began it, used by all later frames. recent: outputs of the
    frames before. Both by index of the frame."""

    prompted: tuple[Prompted, ...] = ()
    conditioning: Mapping[int, Output] = field(default_factory=dict)
    recent: Mapping[int, Output] = field(default_factory=dict)

    @property
    def started(self) -> bool:
        return bool(self.conditioning)

    @property
    def prompts(self) -> tuple[Prompt, ...]:
        """The prompts that were applied."""
        return tuple(prompt for frame in self.prompted for prompt in frame.prompts)


@dataclass(frozen=True, slots=True)
class Tracks:
    """A chooser's memory of one video. next_index: of the next frame. tracks: by the names of subjects. pictures: of
    their frames with prompts, the networks' inputs, uint8 (size, size, 3), RGB."""

    next_index: int = 0
    tracks: Mapping[str, Track] = field(default_factory=dict)
    pictures: KeptPictures = field(default_factory=KeptPictures)


def by_need(tracks: Iterable[Track]) -> list[int]:
    """The frames with prompts, by index, in the order in which they are needed: those that began a subject, then
    corrections, of which the effect passes, the latest first."""
    prompted = [[frame.index for frame in track.prompted] for track in tracks if track.prompted]
    begun = [indices[0] for indices in prompted]
    return [*begun, *sorted({index for indices in prompted for index in indices[1:]}, reverse=True)]


def renamed(tracks: Mapping[str, Track], subjects: Sequence[Subject]) -> dict[str, Track]:
    """The tracks under the names that their subjects have now. A subject of a new name, with all prompts that were
    applied to one of a name that is gone, is that one: else its prompts would be applied again, to a later frame."""
    names = {subject.name for subject in subjects}
    found = {name: track for name, track in tracks.items() if name in names}
    gone = [track for name, track in tracks.items() if name not in names and track.prompted]
    for subject in subjects:
        same = next((track for track in gone if set(track.prompts) <= set(subject.prompts)), None)
        if subject.name not in tracks and same is not None:
            found[subject.name] = same
            gone.remove(same)
    return found


@dataclass(frozen=True, slots=True)
class Reach:
    """How many frames the model looks back. features: for the memory of pictures. pointers: for object pointers."""

    features: int
    pointers: int


def restore(session: Any, tracks: Sequence[Track]) -> None:
    """Put the outputs into a new session, whose objects become 0, 1, … in this order."""
    for number, track in enumerate(tracks):
        session.output_dict_per_obj[session.obj_id_to_idx(number)] = {
            "cond_frame_outputs": dict(track.conditioning),
            "non_cond_frame_outputs": dict(track.recent),
        }


def outputs(session: Any, number: int, index: int, reach: Reach) -> tuple[dict[int, Output], dict[int, Output]]:
    """(conditioning, recent) outputs of an object after frame `index`, without those that no later frame uses."""
    stored = session.output_dict_per_obj[number]
    begun, tracked = stored["cond_frame_outputs"], stored["non_cond_frame_outputs"]
    # Points that correct a mask on its own frame have their pointer in `tracked`, but their features in `begun`.
    conditioning = {frame: _kept({**output, **tracked.get(frame, {})}, True) for frame, output in begun.items()}
    recent = {
        frame: _kept(output, index - frame < reach.features)
        for frame, output in tracked.items()
        if frame not in begun and index - frame < max(reach.features, reach.pointers)
    }
    return conditioning, recent


def _kept(output: Mapping[str, Any], features: bool) -> Output:
    return {key: output[key] for key in (_POINTER, *(_FEATURES if features else ()))}
