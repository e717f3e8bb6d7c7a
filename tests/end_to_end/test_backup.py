"""Backup and restore as docs/deployment.md describes it: copies of the records and of the data folder are enough."""

import shutil
from pathlib import Path

import httpx
import pytest

from tests.end_to_end.serving import serving
from tests.media import DATA
from tests.waiting import PATIENCE_S, until


@pytest.mark.slow
def test_jobs_results_and_sign_ins_survive_in_a_copy(tmp_path: Path) -> None:
    before, after = tmp_path / "before", tmp_path / "after"
    before.mkdir()
    after.mkdir()
    users = {"tokens": "ann:ann-token"}
    with serving(before, **users) as served, httpx.Client(base_url=served.url, timeout=PATIENCE_S) as http:
        assert http.post("/api/login", json={"token": "ann-token"}).status_code == 204
        clip = (DATA / "talk_bikes.mp4").read_bytes()
        fields = {"background": "green", "engine": "chroma"}
        made = http.post("/api/jobs", files={"file": ("clip.mp4", clip)}, data=fields)
        assert made.status_code == 202, made.text
        path = made.headers["location"]
        until(lambda: http.get(path).json()["state"] == "done", "the job ends")
        result = http.get(f"{path}/result").content
        cookies = dict(http.cookies)
    shutil.copytree(before / "data", after / "data")
    shutil.rmtree(before / "data")
    with (
        serving(after, **users) as served,
        httpx.Client(base_url=served.url, timeout=PATIENCE_S, cookies=cookies) as http,
    ):
        assert http.get(path).json()["state"] == "done"
        assert http.get(f"{path}/result").content == result
        assert len(result) > 1000
