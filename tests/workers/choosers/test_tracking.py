"""The trackers, from a folder of weights to the regions of 60 frames, against transformers' own unbounded sessions."""

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")

from PIL import Image

from stream.errors import InputError, UsageError
from stream.picture.frames import Alpha
from stream.records.choosers import CHOOSERS
from stream.records.options import Options
from stream.records.subjects import Subject, parse_subjects
from stream.registry import find
from stream.settings import Settings
from tests.workers.choosers import tiny_models
from workers.choosers import network_input
from workers.choosers.base import Choice, Question
from workers.choosers.tracking import Tracker
from workers.choosers.tracks import Reach, Tracks
from workers.weights.imagenet import DEVIATION, MEAN

FOLDERS = {"sam2": tiny_models.sam2, "edgetam": tiny_models.edge_tam}
WIDTH, HEIGHT = 96, 64
Script = Mapping[int, Sequence[str]]
"""The specs of subjects that are added at a frame, by its number."""

CORRECTED: Script = {0: ["point:0.2,0.5", "other=box:60,10,20,20"], 25: ["point:-0.9,0.1"], 31: ["other=point:70,20"]}


@pytest.fixture(scope="module")
def choosers(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Tracker]:
    """One of each kind, by name. Tests do not change them."""
    return {name: load(name, make(tmp_path_factory.mktemp(name))) for name, make in FOLDERS.items()}


@pytest.fixture(params=FOLDERS)
def chooser(request: pytest.FixtureRequest, choosers: dict[str, Tracker]) -> Tracker:
    return choosers[request.param]


def load(name: str, folder: Path) -> Tracker:
    settings = Settings(half=False, offline=True, threads=1).model_copy(update={name: str(folder)})
    made: Tracker = find(CHOOSERS[name].place)(Options(), settings)
    return made


def subjects_at(number: int, script: Script) -> tuple[Subject, ...]:
    return parse_subjects(spec for at, specs in script.items() if at <= number for spec in specs)


def ask(chooser: Tracker, number: int, subjects: Sequence[Subject], state: Any = None) -> Choice:
    frame = tiny_models.frame(number, WIDTH, HEIGHT)
    question = Question(chooser.prepare(frame), subjects, WIDTH, HEIGHT, frame.time_s)
    (choice,) = chooser.choose([question], [state])
    return choice


def follow(chooser: Tracker, count: int, script: Script, state: Any = None) -> list[Choice]:
    choices: list[Choice] = []
    for number in range(count):
        choices.append(ask(chooser, number, subjects_at(number, script), choices[-1].state if choices else state))
    return choices


def largest_difference(first: Alpha, second: Alpha) -> float:
    return float(np.abs(first - second).max())


class Unbounded:
    """transformers' own session, which keeps everything, used as its documentation shows."""

    def __init__(self, chooser: Tracker) -> None:
        self._chooser, self._model = chooser, chooser._model
        self._session = chooser._session(dtype=torch.float32)

    def regions(self, number: int, added: Sequence[Subject]) -> list[Alpha]:
        picture = self._chooser.prepare(tiny_models.frame(number, WIDTH, HEIGHT))
        pixels = network_input.normalised(picture, MEAN, DEVIATION, torch.device("cpu"))
        first = {subject for subject in added if number == 0}
        self._add(number, first)
        with self._chooser._precision():
            result = self._model(self._session, frame=pixels, frame_idx=number)
            if later := [subject for subject in added if subject not in first]:
                self._add(number, later)
                result = self._model(self._session, frame=pixels, frame_idx=number)
        return [mask[0].float().sigmoid().numpy() for mask in result.pred_masks]

    def _add(self, number: int, subjects: Any) -> None:
        numbers = {"subject": 0, "other": 1}
        for subject in sorted(subjects, key=lambda each: numbers[each.name]):
            index = self._session.obj_id_to_idx(numbers[subject.name])
            self._session.add_point_inputs(index, number, _inputs(subject))
            self._session.obj_with_new_inputs.append(numbers[subject.name])


def _inputs(subject: Subject) -> dict[str, Any]:
    (prompt,) = subject.prompts
    place = prompt.in_pixels(WIDTH, HEIGHT)
    points, labels = [place], [int(prompt.inside)]
    if prompt.kind == "box":
        x, y, w, h = place
        points, labels = [(x, y), (x + w, y + h)], [2, 3]
    scaled = [[x * tiny_models.SIZE / WIDTH, y * tiny_models.SIZE / HEIGHT] for x, y in points]
    return {
        "point_coords": torch.tensor([[scaled]], dtype=torch.float32),
        "point_labels": torch.tensor([[labels]], dtype=torch.int32),
    }


def single(spec: str) -> Subject:
    """A subject of one prompt, which may be a point that is not the subject."""
    subject = parse_subjects([spec.replace(":-", ":")])[0]
    if ":-" not in spec:
        return subject
    prompts = tuple(prompt.model_copy(update={"inside": False}) for prompt in subject.prompts)
    return subject.model_copy(update={"prompts": prompts})


def compare(chooser: Tracker, count: int, tolerance: float) -> None:
    reference = Unbounded(chooser)
    for number, choice in enumerate(follow(chooser, count, CORRECTED)):
        expected = reference.regions(number, [single(spec) for spec in CORRECTED.get(number, ())])
        for subject, region in zip(("subject", "other"), expected, strict=True):
            assert largest_difference(choice.regions[subject], region) <= tolerance, (number, subject)


@pytest.mark.slow
def test_bounded_memory_gives_the_masks_of_an_unbounded_session(chooser: Tracker) -> None:
    compare(chooser, 60, 1e-4)


@pytest.mark.long
def test_so_it_does_in_half_precision(choosers: dict[str, Tracker], monkeypatch: pytest.MonkeyPatch) -> None:
    exact = follow(choosers["sam2"], 3, CORRECTED)[-1].regions["subject"]
    monkeypatch.setattr(choosers["sam2"], "_dtype", torch.bfloat16)
    assert largest_difference(follow(choosers["sam2"], 3, CORRECTED)[-1].regions["subject"], exact) > 0.0
    compare(choosers["sam2"], 28, 0.02)


@pytest.mark.long
def test_what_is_kept_is_all_that_the_model_looks_back_to(
    choosers: dict[str, Tracker], monkeypatch: pytest.MonkeyPatch
) -> None:
    chooser = choosers["sam2"]
    complete = follow(chooser, 18, {0: ["point:0.2,0.5"]})
    assert np.ptp([choice.regions["subject"][8, 8] for choice in complete]) > 1e-3  # the frames differ
    for reach in (Reach(5, 5), Reach(6, 14)):
        monkeypatch.setattr(chooser, "_reach", reach)
        short = follow(chooser, 18, {0: ["point:0.2,0.5"]})
        assert largest_difference(short[-1].regions["subject"], complete[-1].regions["subject"]) > 1e-5, reach


@pytest.mark.long
def test_memory_is_bounded(chooser: Tracker) -> None:
    state = follow(chooser, 20, {0: ["point:0.2,0.5", "other=box:60,10,20,20"], 9: ["point:-0.9,0.1"]})[-1].state
    for track in state.tracks.values():
        assert len(track.conditioning) == 1
        assert sorted(track.recent) == list(range(5, 20))
        assert [frame for frame, kept in track.recent.items() if "maskmem_features" in kept] == list(range(14, 20))
        assert not {key for kept in track.recent.values() for key in kept} & {"pred_masks", "high_res_masks"}
    assert [frame.index for frame in state.tracks["subject"].prompted] == [0, 9]


def test_a_state_can_be_used_twice(chooser: Tracker) -> None:
    state = follow(chooser, 5, {0: ["point:0.2,0.5"]})[-1].state
    subjects = subjects_at(0, {0: ["point:0.2,0.5"]})
    first, second = (ask(chooser, 5, subjects, state).regions["subject"] for _ in range(2))
    assert largest_difference(first, second) == 0.0


def test_regions_and_confidence_before_and_after_the_first_prompt(chooser: Tracker) -> None:
    subjects = parse_subjects(["point:0.2,0.5@0.1", "point:-0.9,0.9"])
    state, choices = None, []
    for number in range(5):
        choices.append(ask(chooser, number, subjects, state))
        state = choices[-1].state
    for choice in choices[:3]:
        assert not choice.regions["subject"].any()
        assert "subject" not in choice.confidence
    for choice in choices[3:]:
        region = choice.regions["subject"]
        assert region.dtype == np.float32
        assert region.shape == (16, 16)
        assert 0.0 < region.min() <= region.max() < 1.0
        assert 0.0 < choice.confidence["subject"] <= 1.0
    assert {prompt.inside for prompt in choices[3].state.tracks["subject"].prompts} == {True, False}


def test_confidence_is_the_score_of_the_object_times_the_predicted_overlap(chooser: Tracker) -> None:
    seen: list[tuple[float, float]] = []
    hook = chooser._model.mask_decoder.register_forward_hook(
        lambda _module, _inputs, output: seen.append((float(output[3]), float(output[1].max())))
    )
    choice = ask(chooser, 0, parse_subjects(["point:0.2,0.5"]))
    hook.remove()
    ((score, overlap),) = seen
    expected = 1 / (1 + np.exp(-score)) * np.clip(overlap, 0.0, 1.0)
    assert choice.confidence["subject"] == pytest.approx(expected, abs=1e-5)


def test_a_withdrawn_correction_leaves_no_trace(chooser: Tracker) -> None:
    plain, corrected = (subjects_at(9, {0: specs}) for specs in (["point:0.2,0.5"], ["point:0.2,0.5", "point:0.9,0.1"]))
    begun = ask(chooser, 0, plain)
    clicked = ask(chooser, 1, corrected, begun.state)
    expected = ask(chooser, 1, plain, begun.state).regions["subject"]
    assert largest_difference(clicked.regions["subject"], expected) > 1e-3
    undone = ask(chooser, 2, plain, clicked.state)
    again = ask(chooser, 2, plain, Tracks(2, begun.state.tracks))
    assert largest_difference(undone.regions["subject"], again.regions["subject"]) <= 1e-5
    assert len(undone.state.tracks["subject"].prompted) == 1


def test_a_first_prompt_that_is_withdrawn_leaves_the_others_of_its_frame(chooser: Tracker) -> None:
    both = subjects_at(0, {0: ["point:0.2,0.5", "point:0.7,0.5"]})
    left = subjects_at(0, {0: ["point:0.7,0.5"]})
    undone = ask(chooser, 1, left, ask(chooser, 0, both).state)
    expected = ask(chooser, 1, left, ask(chooser, 0, left).state)
    assert largest_difference(undone.regions["subject"], expected.regions["subject"]) <= 1e-5


def test_withdrawn_subjects_are_forgotten_and_do_not_affect_others(chooser: Tracker) -> None:
    two = ask(chooser, 0, subjects_at(0, CORRECTED))
    alone = parse_subjects(["point:0.2,0.5"])
    choice = ask(chooser, 1, alone, two.state)
    assert list(choice.regions) == list(choice.state.tracks) == ["subject"]
    expected = ask(chooser, 1, alone, ask(chooser, 0, alone).state)
    assert (
        largest_difference(choice.regions["subject"], expected.regions["subject"]) <= 1e-3
    )  # memory is stored in bfloat16


def test_a_mask_is_the_region_of_its_frame_and_points_correct_it(chooser: Tracker, tmp_path: Path) -> None:
    drawn = np.zeros((HEIGHT, WIDTH), np.uint8)
    drawn[16:48, 24:72] = 255
    Image.fromarray(drawn).save(tmp_path / "mask.png")
    prompt = f"mask:{tmp_path / 'mask.png'}"
    masked = ask(chooser, 0, parse_subjects([prompt, "other=point:0.2,0.5"]))
    region = masked.regions["subject"]
    assert region[6:10, 6:10].min() > 0.99
    assert region[:3].max() < 0.01
    assert masked.confidence["subject"] > 0.99
    assert ask(chooser, 1, parse_subjects([prompt]), masked.state).regions["subject"].any()
    both = ask(chooser, 0, parse_subjects([prompt, "point:0.9,0.9"]))
    assert largest_difference(both.regions["subject"], region) > 1e-3
    later = ask(chooser, 1, parse_subjects([prompt, "point:0.9,0.9"]), both.state)
    assert later.regions["subject"].any()


def test_unreadable_masks_are_refused_by_name(chooser: Tracker, tmp_path: Path) -> None:
    (tmp_path / "text.png").write_text("no picture")
    Image.new("L", (8, 8)).save(tmp_path / "black.png")
    for name, reason in [("text.png", r"text\.png"), ("none.png", r"none\.png does not exist"), ("black.png", "empty")]:
        with pytest.raises((UsageError, InputError), match=f"mask: .*{reason}"):
            ask(chooser, 0, parse_subjects([f"mask:{tmp_path / name}"]))


def test_masks_are_checked_before_the_videos_share_a_call(chooser: Tracker, tmp_path: Path) -> None:
    good, size = tmp_path / "good.png", (WIDTH, HEIGHT)
    Image.new("L", size, 255).save(good)
    for name in ("text.png", "none.png", "black.png"):
        broken = tmp_path / name
        if name == "text.png":
            broken.write_text("no picture")
        elif name == "black.png":
            Image.new("L", size).save(broken)
        with pytest.raises((UsageError, InputError), match=f"mask: .*{name}"):
            chooser.check(parse_subjects([f"mask:{good}", f"other=mask:{broken}"]), size)
    chooser.check(parse_subjects([f"mask:{good}", "other=point:0.2,0.5"]), size)


def kept(state: Tracks) -> int:
    """Bytes."""
    return sum(map(len, state.pictures.encoded.values()))


@pytest.mark.long
def test_pictures_are_kept_once_per_frame_and_only_while_prompts_refer_to_them(chooser: Tracker) -> None:
    together = ["point:0.2,0.5", "point:0.3,0.5", *(f"s{number}=point:0.7,0.5" for number in range(3))]
    script = {0: together, 2: ["point:-0.9,0.1"], 3: ["s1=point:0.6,0.5"]}
    state = follow(chooser, 4, script)[-1].state
    assert sorted(state.pictures.encoded) == [0, 2, 3]
    seen = chooser.prepare(tiny_models.frame(2, WIDTH, HEIGHT))
    np.testing.assert_array_equal(state.pictures.picture(2), seen)
    assert kept(state) < 3 * seen.nbytes
    left = ask(chooser, 4, subjects_at(4, {0: together[:2], 2: script[2]}), state).state
    assert sorted(left.pictures.encoded) == [0, 2]
    assert not ask(chooser, 5, (), left).state.pictures.encoded


@pytest.mark.long
def test_a_renamed_subject_is_followed_on(chooser: Tracker) -> None:
    script = {0: ["a=point:0.2,0.5"], 1: ["a=point:-0.9,0.1"]}
    state = follow(chooser, 3, script)[-1].state
    before = ask(chooser, 3, subjects_at(3, script), state)
    now = ask(chooser, 3, parse_subjects(["ann=point:0.2,0.5", "ann=point:0.9,0.1"]), state)  # one prompt is another
    assert [frame.index for frame in now.state.tracks["ann"].prompted] == [3]
    specs = [spec.replace("a=", "ann=") for spec in (*script[0], *script[1])]
    after = ask(chooser, 3, parse_subjects(specs), state)
    assert largest_difference(after.regions["ann"], before.regions["a"]) == 0.0
    assert [frame.index for frame in after.state.tracks["ann"].prompted] == [0, 1]
    assert list(after.state.tracks) == ["ann"]


def test_a_correction_without_its_picture_stays_applied_and_a_beginning_is_applied_again(chooser: Tracker) -> None:
    script = {0: ["point:0.2,0.5"], 1: ["point:-0.9,0.1"], 2: ["point:0.3,0.5"]}
    state = follow(chooser, 3, script)[-1].state
    forgetful = dataclasses.replace(state, pictures=state.pictures.only([0]))
    corrected = ask(chooser, 3, parse_subjects(["point:0.2,0.5", "point:0.3,0.5"]), forgetful).state
    assert [frame.index for frame in corrected.tracks["subject"].prompted] == [0, 2]
    begun = ask(chooser, 3, parse_subjects(["point:0.3,0.5"]), forgetful).state
    assert [frame.index for frame in begun.tracks["subject"].prompted] == [3]
    assert sorted(begun.pictures.encoded) == [3]


def test_videos_are_independent(chooser: Tracker) -> None:
    subjects = parse_subjects(["point:0.2,0.5"])
    states: list[Any] = [None, ask(chooser, 0, subjects).state]
    questions = [
        Question(chooser.prepare(tiny_models.frame(number)), subjects, WIDTH, HEIGHT, number / 30) for number in (0, 1)
    ]
    together = chooser.choose(questions, states)
    for question, state, choice in zip(questions, states, together, strict=True):
        (alone,) = chooser.choose([question], [state])
        assert largest_difference(choice.regions["subject"], alone.regions["subject"]) == 0.0
