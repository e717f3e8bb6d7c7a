"""Which chooser is taken for the prompts of a video, and why."""

import re
import sys
from dataclasses import replace
from typing import Any

import pytest

from stream.errors import UsageError
from stream.records.engines import Rank
from stream.records.options import Options
from stream.settings import Settings
from tests.chooser_records import FOLLOWING, NAMING, QUICK, READING, registered
from workers.choosers import choose, installed, is_recurrent, load

POINT, CLASS, WORDS = "point:0.5,0.5", "class:dog", "words:a hat"


def chosen(*specs: str, chooser: str = "auto", live: bool = False, has_cuda: bool = False) -> tuple[str, str]:
    options = Options.read(subjects=list(specs), chooser=chooser)
    return choose(options, live, Settings(), lambda: has_cuda)


class Plain:
    """A chooser as `load` creates it."""

    def __init__(self, *arguments: Any) -> None:
        self.options, self.settings, self.say = arguments


def test_auto_takes_the_highest_rank_that_understands_the_prompts() -> None:
    with registered():
        assert chosen(POINT, live=True) == ("quick", "fastest for points")
        assert chosen(POINT) == ("following", "follows points")
        assert chosen(POINT, "mask:a.png", live=True) == ("following", "follows points live")
        assert chosen(CLASS) == ("naming", "finds classes")


def test_a_video_without_subjects_has_no_chooser() -> None:
    with registered():
        assert chosen() == ("", "")
        assert not is_recurrent("")


def test_the_requested_one_is_taken() -> None:
    with registered():
        assert chosen(POINT, chooser="quick") == ("quick", "requested")
        assert chosen(WORDS, chooser="reading") == ("reading", "requested")
        assert is_recurrent("following")
        assert not is_recurrent("quick")


def test_one_that_auto_does_not_select_is_named() -> None:
    with registered(), pytest.raises(UsageError, match="auto does not select reading; name it with --chooser"):
        chosen(WORDS)


def test_prompts_that_are_not_understood_are_refused_with_those_that_are() -> None:
    with registered(FOLLOWING, NAMING):
        with pytest.raises(UsageError, match=r"^subjects: no chooser understands point and class prompts together; "):
            chosen(POINT, CLASS)
        with pytest.raises(UsageError, match=r"^subjects: the chooser naming does not understand point prompts; foll"):
            chosen(POINT, chooser="naming")


def test_an_unknown_chooser_is_refused_with_the_nearest() -> None:
    options = Options().model_copy(update={"chooser": "quik"})
    with registered(), pytest.raises(UsageError, match=r"unknown chooser 'quik'; use one of: auto, .*mean quick\?$"):
        choose(options, False, Settings())


def test_a_missing_package_is_named_with_what_installs_it() -> None:
    command = (
        rf"quick needs no_such_package; install it: {re.escape(sys.executable)} -m pip install 'mattebox\[subjects\]'"
    )
    lacking = replace(QUICK, modules=("sys", "no_such_package"), extra="subjects")
    with registered(lacking):
        with pytest.raises(UsageError, match=f"^chooser: none for point prompts is available here; {command}$"):
            chosen(POINT)
        with pytest.raises(UsageError, match=f"^chooser: {command}$"):
            chosen(POINT, chooser="quick")
        with pytest.raises(UsageError, match=f"^chooser: {command}$"):
            load("quick", Options(), Settings())
    with registered(lacking, FOLLOWING):
        assert chosen(POINT, live=True)[0] == "following"
    lower = replace(FOLLOWING, modules=("no_such_package",), files=Rank(1, "follows points"))
    with registered(lower, lacking), pytest.raises(UsageError, match=f"prompts is available here; {command}$"):
        chosen(POINT)  # only the better one is named


def test_a_rank_for_gpus_counts_only_with_one() -> None:
    fast = replace(READING, files=Rank(1, "reads on a GPU", cuda=True))
    with registered(fast):
        assert chosen(WORDS, has_cuda=True) == ("reading", "reads on a GPU")
        with pytest.raises(
            UsageError, match="none for words prompts is available here; auto selects reading only with"
        ):
            chosen(WORDS)


def test_a_chooser_is_created_from_its_record() -> None:
    options, settings = Options(), Settings()
    with registered(replace(QUICK, place=f"{__name__}:Plain")):
        loaded: Any = load("quick", options, settings, print)
    assert isinstance(loaded, Plain)
    assert (loaded.options, loaded.settings, loaded.say) == (options, settings, print)
    with registered(), pytest.raises(UsageError, match="unknown chooser 'other'"):
        load("other", options, settings)


def test_choosers_without_their_packages_are_not_installed() -> None:
    without = replace(QUICK, name="without", modules=("no_such_module",))
    with registered(FOLLOWING, without, QUICK):
        assert installed() == ("following", "quick")
