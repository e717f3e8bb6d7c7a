import re
from pathlib import Path

import pytest
from pydantic import ValidationError

from stream.settings import Settings

PAGE = Path(__file__).parents[2] / "docs" / "settings.md"


def test_the_documentation_lists_every_setting_and_no_other() -> None:
    table = set(re.findall(r"^\| `MATTEBOX_([A-Z0-9_]+)` \|", PAGE.read_text(), re.MULTILINE))
    assert table == {name.upper() for name in Settings.model_fields}


def test_settings_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MATTEBOX_THREADS", "3")
    monkeypatch.setenv("MATTEBOX_OFFLINE", "1")
    settings = Settings()
    assert settings.cores() == 3
    assert settings.offline


def test_an_invalid_value_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MATTEBOX_THREADS", "-2")
    with pytest.raises(ValidationError):
        Settings()


@pytest.mark.parametrize(("threads", "codec"), [(1, 1), (2, 1), (8, 2), (64, 8)])
def test_codecs_leave_cores_to_the_engine(threads: int, codec: int) -> None:
    assert Settings(threads=threads).codec_threads() == codec


def test_redis_url_is_read_from_the_usual_variable_too(monkeypatch: pytest.MonkeyPatch) -> None:
    assert Settings().redis_url == ""
    monkeypatch.setenv("REDIS_URL", "redis://a")
    assert Settings().redis_url == "redis://a"
    monkeypatch.setenv("MATTEBOX_REDIS_URL", "redis://b")
    assert Settings().redis_url == "redis://b"
    assert Settings(redis_url="redis://c").redis_url == "redis://c"


def test_data_dir_follows_xdg_data_home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    assert Settings().data_dir == tmp_path / "mattebox"
    monkeypatch.setenv("MATTEBOX_DATA_DIR", "/srv/m b")
    assert Settings().data_dir == Path("/srv/m b")


def test_variables_may_be_in_lower_case_and_empty_ones_are_not_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("mattebox_threads", "3")
    monkeypatch.setenv("MATTEBOX_MAX_PIXELS", "")
    settings = Settings()
    assert settings.threads == 3
    assert settings.max_pixels == Settings.model_fields["max_pixels"].default


def test_arguments_replace_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MATTEBOX_RUNTIME")
    monkeypatch.setenv("MATTEBOX_THREADS", "3")
    assert Settings(threads=2).threads == 2
    assert Settings(threads=2).model_fields_set == {"threads"}
