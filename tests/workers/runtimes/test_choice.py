"""What is chosen, on what it depends, and what is stored."""

from dataclasses import replace
from pathlib import Path

import pytest

from stream.settings import Settings
from workers.runtimes import Choice, Precision, choice, processor
from workers.runtimes.choice import Case, Measured, candidates, choose, fastest, nearest, precision, read, write

OWN, EXACT, REDUCED = Choice("onnxruntime"), Choice("openvino"), Choice("openvino", Precision.BFLOAT16)
CASE = Case("rvm", "88d4", (640, 480), OWN)
AMX = frozenset({"amx_bf16", "avx2"})
GOOD = [Measured(OWN, 75.0, 150.0), Measured(EXACT, 56.0, 112.0), Measured(REDUCED, 37.0, 74.0, 0.0002, 1.004, 1.006)]


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(runtime="", cache_dir=tmp_path)


def test_precision_follows_the_processor_and_the_settings(settings: Settings) -> None:
    assert precision(settings, AMX) is Precision.BFLOAT16
    assert precision(settings, frozenset({"avx512_bf16"})) is Precision.BFLOAT16
    assert precision(settings, frozenset({"avx512f", "avx2"})) is Precision.FLOAT32
    assert precision(settings.model_copy(update={"half": False}), AMX) is Precision.FLOAT32


def test_candidates_begin_with_the_own_runtime(settings: Settings) -> None:
    assert candidates(OWN, settings, has_openvino=False, flags=AMX) == [OWN]
    assert candidates(OWN, settings, has_openvino=True, flags=frozenset()) == [OWN, EXACT]
    assert candidates(OWN, settings, has_openvino=True, flags=AMX) == [OWN, EXACT, REDUCED]


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, REDUCED),
        ({"mean": 0.0011}, EXACT),
        ({"mad": 1.011}, EXACT),
        ({"dtssd": 1.011}, EXACT),
        ({"error": "it failed"}, EXACT),
        ({"mad": None, "dtssd": None}, REDUCED),
        ({"mad": 0.9}, REDUCED),  # better than the own runtime
        ({"ms": 90.0}, EXACT),
    ],
)
def test_the_fastest_accurate_one_is_chosen(changes: dict[str, object], expected: Choice) -> None:
    assert fastest([*GOOD[:2], replace(GOOD[2], **changes)]) == expected  # type: ignore[arg-type]


def test_a_gain_within_the_error_changes_nothing() -> None:
    assert fastest([GOOD[0], Measured(EXACT, 73.0, 147.0)]) == OWN
    assert fastest(GOOD[:1]) == OWN


def test_other_sizes_count_as_the_nearest() -> None:
    assert nearest(640, 360) == nearest(480, 640) == (640, 480)
    assert nearest(720, 1280) == nearest(1024, 768) == (1280, 720)
    assert nearest(3840, 2160) == (1920, 1080)


def test_nothing_is_chosen_before_it_is_measured(settings: Settings) -> None:
    assert choose(CASE, settings, has_openvino=True) == OWN
    write(CASE, GOOD, settings)
    assert read(CASE, settings) == GOOD
    assert choose(CASE, settings, has_openvino=True) == REDUCED
    assert choose(replace(CASE, size=(1280, 720)), settings, has_openvino=True) == OWN


def test_without_openvino_nothing_changes(settings: Settings) -> None:
    write(CASE, GOOD, settings)
    for runtime in ("", "openvino", "onnxruntime"):
        assert choose(CASE, settings.model_copy(update={"runtime": runtime}), has_openvino=False) == OWN


def test_the_settings_force_a_runtime(settings: Settings) -> None:
    write(CASE, GOOD, settings)
    assert choose(CASE, settings.model_copy(update={"runtime": "onnxruntime"}), has_openvino=True) == OWN
    exact = settings.model_copy(update={"runtime": "openvino", "half": False})
    assert choose(CASE, exact, has_openvino=True) == EXACT


def test_a_change_of_the_machine_asks_for_a_new_measurement(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(CASE, GOOD, settings)
    assert read(replace(CASE, sha256="other"), settings) is None
    assert read(CASE, settings.model_copy(update={"threads": settings.cores() + 1})) is None
    assert read(CASE, settings.model_copy(update={"half": False})) is None
    with monkeypatch.context() as patch:
        patch.setattr(processor, "name", lambda: "another processor")
        assert read(CASE, settings) is None
    with monkeypatch.context() as patch:
        patch.setattr(choice, "version", lambda package: "0.1")
        assert read(CASE, settings) is None
    assert read(CASE, settings) == GOOD


@pytest.mark.parametrize("damage", ["", "{", "{}", '{"key": 1, "measured": []}'])
def test_a_damaged_file_counts_as_none(settings: Settings, damage: str) -> None:
    write(CASE, GOOD, settings)
    choice.path(CASE, settings).write_text(damage)
    assert read(CASE, settings) is None


def test_the_processor_is_named_with_what_it_can_do(tmp_path: Path) -> None:
    cpuinfo = tmp_path / "cpuinfo"
    cpuinfo.write_text("processor\t: 0\nmodel name\t: Some CPU\nflags\t\t: fpu avx2 amx_bf16\n\nprocessor\t: 1\n")
    assert processor.flags(cpuinfo) == {"fpu", "avx2", "amx_bf16"}
    assert processor.name(cpuinfo) == "Some CPU amx_bf16 avx2"
    assert processor.flags(tmp_path / "none") == frozenset()
    assert processor.name(tmp_path / "none")
