"""Which engine `auto` takes, and why."""

import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from stream.errors import UsageError
from stream.records.engines import ENGINES, EngineRecord, Rank
from stream.records.options import Options
from stream.settings import Settings
from tests.media import ROOT
from tests.workers.engines.engine_runs import clip, run
from workers.device.automatic import cuda
from workers.engines import choose, load


def yes() -> bool:
    return True


def no() -> bool:
    return False


@pytest.mark.parametrize(
    ("live", "name", "reason"),
    [(True, "selfie", "fastest on a CPU, for live video"), (False, "rvm", "best matte on a CPU, for files")],
)
def test_without_a_gpu_it_is_what_a_cpu_does_best(live: bool, name: str, reason: str) -> None:
    assert choose(Options(), live, Settings(), no) == (name, reason)


@pytest.mark.parametrize("live", [True, False])
def test_a_gpu_gets_birefnet_if_its_weights_can_be_had(live: bool, tmp_path: Path) -> None:
    pytest.importorskip("huggingface_hub")
    wanted = ("birefnet", "best matte; a GPU is available")
    own = tmp_path / "mine.safetensors"
    own.touch()
    reachable = Settings(cache_dir=tmp_path)
    at_hand = Settings(cache_dir=tmp_path, offline=True, birefnet=f"{own}@512x512")
    assert choose(Options(), live, reachable, yes) == wanted
    assert choose(Options(), live, at_hand, yes) == wanted


@pytest.mark.parametrize("spec", ["general", "lite@512x512", "me/mine", "/none/mine.safetensors"])
def test_offline_without_weights_it_says_what_would_fetch_them(spec: str, tmp_path: Path) -> None:
    pytest.importorskip("huggingface_hub")
    name, reason = choose(Options(), False, Settings(cache_dir=tmp_path, offline=True, birefnet=spec), yes)
    assert name == "rvm"
    assert f"mattebox models pull birefnet:{spec}" in reason


def test_weights_in_the_cache_are_at_hand(tmp_path: Path) -> None:
    pytest.importorskip("huggingface_hub")
    folder = tmp_path / "hub" / "models--ZhengPeng7--BiRefNet_lite"
    (folder / "refs").mkdir(parents=True)
    (folder / "refs" / "main").write_text("0" * 40)
    (folder / "snapshots" / ("0" * 40)).mkdir(parents=True)
    (folder / "snapshots" / ("0" * 40) / "model.safetensors").touch()
    settings = Settings(cache_dir=tmp_path, offline=True, birefnet="lite@512x512")
    assert choose(Options(), True, settings, yes)[0] == "birefnet"


def test_what_was_asked_for_is_taken() -> None:
    def never() -> bool:
        raise AssertionError("nobody needs to know")

    assert choose(Options(engine="rvm"), True, Settings(), never) == ("rvm", "requested")
    assert choose(Options(key=(0, 255, 0)), True, Settings(), never)[0] == "chroma"


@pytest.mark.parametrize(
    ("fields", "word"),
    [({"engine": "rvm", "key": "#00ff00"}, "key"), ({"engine": "selfie", "roi": True}, "roi")],
)
def test_options_of_another_engine_are_refused(fields: dict[str, object], word: str) -> None:
    with pytest.raises(UsageError, match=f"^{word}"):
        choose(Options.read(**fields), False, Settings(), no)


def test_torch_is_not_loaded_where_there_is_no_driver() -> None:
    code = (
        "import sys; from workers.device.automatic import cuda; sys.exit(('torch' in sys.modules) if not cuda() else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False, timeout=60)
    assert done.returncode == 0


@pytest.mark.gpu
def test_a_gpu_is_seen() -> None:
    assert cuda()


@pytest.mark.parametrize("name", ["rvm", "selfie"])
def test_colours_are_estimated_for_any_engine_that_is_asked(name: str) -> None:
    """And has none of its own."""
    frames = clip(160, 120, 1)
    (asked,) = run(load(name, Options(foreground="estimate"), Settings()), frames)
    (plain,) = run(load(name, Options(), Settings()), frames)
    assert asked.foreground is not None
    assert plain.foreground is None
    np.testing.assert_array_equal(asked.alpha, plain.alpha)


def test_a_missing_package_is_named_with_what_installs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    for extra, words in (("birefnet", r"'mattebox\[birefnet\]'$"), ("", "no_such_package$")):
        record = EngineRecord("odd", "no_such_package:Odd", "odd", "Needs what is not there.", extra=extra)
        monkeypatch.setitem(ENGINES, "odd", record)
        pip = f"{re.escape(sys.executable)} -m pip install"
        with pytest.raises(UsageError, match=f"odd needs no_such_package; install it: {pip} {words}"):
            load("odd", Options(), Settings())


def ranked(monkeypatch: pytest.MonkeyPatch, **fields: Any) -> None:
    """An engine whose rank for files is above all others'."""
    record = EngineRecord("best", "none:Best", "best", "The best.", files=Rank(99, "the best"), **fields)
    monkeypatch.setitem(ENGINES, "best", record)


def test_the_highest_rank_wins(monkeypatch: pytest.MonkeyPatch) -> None:
    ranked(monkeypatch)
    assert choose(Options(), False, Settings(), no) == ("best", "the best")
    assert choose(Options(), True, Settings(), no)[0] == "selfie"  # it has a rank for files only


def test_an_engine_whose_packages_are_missing_is_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    ranked(monkeypatch, modules=("no_such_package",))
    assert choose(Options(), False, Settings(), no)[0] == "rvm"


def test_where_no_engine_is_left_it_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ENGINES:
        monkeypatch.setitem(ENGINES, name, replace(ENGINES[name], modules=("no_such_package",)))
    with pytest.raises(UsageError, match="engine: none is available here; see: mattebox doctor"):
        choose(Options(), False, Settings(), no)
