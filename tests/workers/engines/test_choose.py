"""Which engine `auto` takes, and why."""

import subprocess
import sys
from pathlib import Path

import pytest

from stream.errors import UsageError
from stream.records.options import Options
from stream.settings import Settings
from tests.media import ROOT
from workers.engines import choose, cuda, load
from workers.engines.estimated import Estimated


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
    wanted = ("birefnet", "best matte, and a GPU to run it")
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

    assert choose(Options(engine="rvm"), True, Settings(), never) == ("rvm", "asked for")
    assert choose(Options(key=(0, 255, 0)), True, Settings(), never)[0] == "chroma"


@pytest.mark.parametrize(
    ("fields", "word"),
    [({"engine": "rvm", "key": "#00ff00"}, "key"), ({"engine": "selfie", "roi": True}, "roi")],
)
def test_options_of_another_engine_are_refused(fields: dict[str, object], word: str) -> None:
    with pytest.raises(UsageError, match=f"^{word}"):
        choose(Options.read(**fields), False, Settings(), no)


def test_torch_is_not_loaded_where_there_is_no_driver() -> None:
    code = "import sys; from workers.engines import cuda; sys.exit(('torch' in sys.modules) if not cuda() else 0)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False, timeout=60)
    assert done.returncode == 0


@pytest.mark.gpu
def test_a_gpu_is_seen() -> None:
    assert cuda()


def test_colours_are_estimated_for_any_engine_that_is_asked() -> None:
    assert isinstance(load("chroma", Options(foreground="estimate"), Settings()), Estimated)
    assert not isinstance(load("chroma", Options(), Settings()), Estimated)
