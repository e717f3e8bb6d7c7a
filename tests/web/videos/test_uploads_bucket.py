"""Uploads to a bucket through two web machines that share no disk: any of them continues what another began."""

import base64
import hashlib
import io
import random
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import pytest

from stream.settings import Settings
from stream.storage.multipart import LEAST_PART_BYTES
from tests.media import numbered_clip
from tests.waiting import PATIENCE_S, until
from tests.web.http_checks import problem
from tests.web.running_site import Site, running
from tests.web.videos.test_uploads import patched, wait_for_offset
from tests.web.videos.tus import (
    BODY,
    PATH,
    TUS,
    begun,
    creation_headers,
    cut_off,
    offset_of,
    opened,
    sent,
    uploaded,
    writing,
)
from web.stores import bucket_uploads
from web.stores.scratch import Scratch
from web.stores.uploads import Rewound
from web.videos.sweeper import Sweeper

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

DAY_S = 86_400.0
PART = LEAST_PART_BYTES


@dataclass(frozen=True)
class Webs:
    """Two web processes, a client of each, and the address of their bucket."""

    sites: tuple[Site, Site]
    a: httpx.Client
    b: httpx.Client
    bucket: str

    def stored(self, path: str) -> bytes:
        return b"".join(self.sites[0].context.storage.read(f"uploads/{path.rpartition('/')[2]}/source"))

    def objects(self) -> list[str]:
        return self.sites[0].context.storage.keys("uploads/")

    def unfinished(self) -> int:
        """The number of multipart uploads in progress."""
        return httpx.get(f"{self.bucket}?uploads", timeout=PATIENCE_S).text.count("<Upload>")

    def files(self) -> set[str]:
        """The names of the files on the disks of both, except the secrets."""
        folders = (site.context.settings.data_dir for site in self.sites)
        return {path.name for folder in folders for path in folder.rglob("*") if path.is_file()} - {"secret"}


@contextmanager
def two_webs(s3: Settings, redis_url: str, tmp_path: Path) -> Iterator[Webs]:
    own = [s3.model_copy(update={"data_dir": tmp_path / name}) for name in "ab"]
    with (
        running(own[0], redis_url, worker=False) as first,
        running(own[1], redis_url, worker=False) as second,
        first.client() as a,
        second.client() as b,
    ):
        yield Webs((first, second), a, b, f"{s3.s3_endpoint}/films")


@pytest.fixture
def webs(s3: Settings, redis_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Webs]:
    monkeypatch.setattr(bucket_uploads, "_PART_BYTES", PART)
    with two_webs(s3, redis_url, tmp_path) as webs:
        yield webs


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return numbered_clip(tmp_path_factory.mktemp("clip") / "c.mp4", 12).read_bytes()


@pytest.fixture(scope="module")
def film(clip: bytes) -> bytes:
    """A video of 13 MB; what follows an MP4's boxes is ignored."""
    return clip + random.Random(5).randbytes(13_000_000 - len(clip))


@pytest.mark.long
def test_an_upload_that_moves_between_web_machines(webs: Webs, film: bytes) -> None:
    path = begun(webs.a, len(film), "Urlaub 🏖.mp4")
    at = 0
    for number, size in enumerate((1_000, 2_000_000, 1, 7_000_000, 3_000_000, len(film))):
        client, other = (webs.a, webs.b) if number % 2 == 0 else (webs.b, webs.a)
        response = sent(client, path, at, film[at : at + size])
        at = min(len(film), at + size)
        assert (response.status_code, response.headers["upload-offset"]) == (204, str(at)), response.text
        assert offset_of(other, path) == at
    assert webs.stored(path) == film
    for client in (webs.a, webs.b):
        known = client.get(path).json()
        assert (known["state"], known["title"], known["media"]["width"]) == ("ready", "Urlaub 🏖.mp4", 64)
        assert client.get(f"{path}/source").content == film
        assert sent(client, path, len(film), b"").status_code == 204
    assert sorted(key.rpartition("/")[2] for key in webs.objects()) == ["info", "source"], "no tails are left"
    assert (webs.unfinished(), webs.files()) == (0, set())


@pytest.mark.long
def test_small_uploads_need_no_parts(webs: Webs, clip: bytes) -> None:
    response = webs.a.post(PATH, content=clip, headers=BODY | creation_headers(len(clip)))
    assert (response.status_code, response.headers["upload-offset"]) == (201, str(len(clip)))
    assert webs.stored(response.headers["location"]) == clip
    path = begun(webs.b, len(clip))
    size = len(clip) // 18  # more tails than are kept apart
    for number, at in enumerate(range(0, len(clip), size)):
        assert sent(webs.a if number % 2 else webs.b, path, at, clip[at : at + size]).status_code == 204
    assert webs.stored(path) == clip
    assert len(webs.objects()) == 4


@pytest.mark.long
def test_what_is_no_video_is_not_kept(webs: Webs, film: bytes) -> None:
    for content in (b"", b"just a text\n" * 50, bytes(PART + 10)):
        id = uploaded(webs.a, content)
        assert webs.b.get(f"{PATH}/{id}").json()["state"] == "unusable"
        problem(webs.b.post("/api/jobs", json={"upload": id}), 422, "unreadable_media")
    assert {key.rpartition("/")[2] for key in webs.objects()} == {"info"}
    assert (webs.unfinished(), webs.files()) == (0, set())


@pytest.mark.long
def test_interruptions(webs: Webs, film: bytes) -> None:
    dice = random.Random(3)
    path = begun(webs.a, len(film))
    while (at := offset_of(webs.b, path)) < len(film) - 1_000_000:
        site = dice.choice(webs.sites)
        cut_off(site.url, path, at, film[at:], dice.randrange(500_000, min(4_000_000, len(film) - at)))
        until(lambda: unlocked(webs.b, path), "its end is noticed")
    assert patched(webs.b, path, at, film[at:]).status_code == 204
    assert webs.stored(path) == film


def unlocked(http: httpx.Client, path: str) -> bool:
    """Whether no connection writes to the upload."""
    return sent(http, path, 10**12, b"").status_code == 409


@pytest.mark.long
def test_two_writers_at_two_web_machines(webs: Webs, film: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    path, locked = begun(webs.a, len(film)), writing(monkeypatch)
    with opened(webs.sites[0].url, path, 0, len(film)) as connection:
        connection.sendall(film[:100])
        assert locked.wait(PATIENCE_S)
        refused = sent(webs.b, path, 0, film)
        problem(refused, 423, "busy")
        assert refused.headers["retry-after"]
        problem(webs.b.delete(path, headers=TUS), 423, "busy")
        problem(webs.b.post("/api/jobs", json={"upload": path.rpartition("/")[2]}), 409, "incomplete")
        connection.sendall(film[100:])
        assert connection.recv(4096).startswith(b"HTTP/1.1 204")
    assert webs.stored(path) == film


@pytest.mark.long
def test_simultaneous_requests_at_two_web_machines(webs: Webs, film: bytes) -> None:
    path = begun(webs.a, len(film))
    with ThreadPoolExecutor(6) as pool:
        answers = pool.map(lambda n: sent(webs.a if n % 2 else webs.b, path, 0, film[: PART + 5]), range(6))
        found = Counter(answer.status_code for answer in answers)
    assert found[204] == 1, found
    assert set(found) <= {204, 409, 423}
    assert offset_of(webs.a, path) == PART + 5
    assert sent(webs.b, path, PART + 5, film[PART + 5 :]).status_code == 204
    assert webs.stored(path) == film


@pytest.mark.long
def test_a_checksum(webs: Webs, film: bytes) -> None:
    path, wrong = begun(webs.a, len(film)), base64.b64encode(hashlib.sha1(b"else").digest()).decode()
    assert sent(webs.a, path, 0, film[:9]).status_code == 204
    problem(sent(webs.b, path, 9, film[9:], **{"Upload-Checksum": f"sha1 {wrong}"}), 460, "checksum")
    assert offset_of(webs.a, path) == 9
    assert webs.unfinished() == 0
    right = base64.b64encode(hashlib.sha256(film[9:]).digest()).decode()
    assert sent(webs.b, path, 9, film[9:], **{"Upload-Checksum": f"sha256 {right}"}).status_code == 204
    assert webs.stored(path) == film


@pytest.mark.long
def test_a_body_longer_than_announced(webs: Webs, film: bytes) -> None:
    path = begun(webs.a, len(film))
    assert sent(webs.a, path, 0, film[:9]).status_code == 204
    problem(
        webs.b.patch(path, content=iter([film[9:], b"more"]), headers=BODY | {"Upload-Offset": "9"}), 413, "too_large"
    )
    assert offset_of(webs.a, path) == 9, "none of it is kept, although parts were stored"
    assert sent(webs.a, path, 9, film[9:]).status_code == 204
    assert webs.stored(path) == film


def test_the_quota_counts_at_all_web_machines(s3: Settings, redis_url: str, tmp_path: Path) -> None:
    with two_webs(s3.model_copy(update={"uploads_per_user": 15_000_000}), redis_url, tmp_path) as webs:
        with ThreadPoolExecutor(8) as pool:
            headers = creation_headers(6_000_000)
            answers = list(pool.map(lambda n: (webs.a if n % 2 else webs.b).post(PATH, headers=headers), range(8)))
        assert Counter(answer.status_code for answer in answers) == {201: 2, 413: 6}
        assert {answer.json()["code"] for answer in answers if answer.status_code == 413} == {"over_quota"}
        made = next(answer.headers["location"] for answer in answers if answer.status_code == 201)
        assert webs.a.delete(made, headers=TUS).status_code == 204
        assert webs.b.post(PATH, headers=headers).status_code == 201


@pytest.mark.long
def test_expired_uploads_are_removed_with_their_parts(webs: Webs, film: bytes, clip: bytes) -> None:
    whole, half = f"{PATH}/{uploaded(webs.a, clip)}", begun(webs.a, len(film))
    assert sent(webs.a, half, 0, film[: PART + 100]).status_code == 204
    wait_for_offset(webs.b, half, PART + 100)
    assert webs.unfinished() == 1
    sweeper = Sweeper(webs.sites[1].context)
    webs.sites[1].call(sweeper.sweep(DAY_S - 60))
    assert webs.a.get(whole).is_success
    assert offset_of(webs.a, half) == PART + 100
    webs.sites[1].call(sweeper.sweep(DAY_S + 60))
    for path in (whole, half):
        problem(webs.a.get(path), 404, "not_found")
    assert (webs.objects(), webs.unfinished()) == ([], 0)


@pytest.mark.long
def test_parts_without_a_record_are_removed_after_a_day(webs: Webs) -> None:
    multipart, storage = webs.sites[0].context.storage.multipart, webs.sites[0].context.storage
    assert multipart is not None
    multipart.begin("uploads/gone/source")
    storage.send("uploads/gone/tail-x-1", [b"x"])
    sweeper = Sweeper(webs.sites[0].context)
    for after_s in (0, DAY_S - 60):
        webs.sites[0].call(sweeper.sweep(after_s))
        assert webs.objects() == ["uploads/gone/tail-x-1"]
    webs.sites[0].call(sweeper.sweep(DAY_S + 60))
    assert (webs.objects(), webs.unfinished()) == ([], 0)


@pytest.mark.long
def test_bytes_that_redis_counts_but_the_bucket_has_lost_are_sent_again(webs: Webs, film: bytes) -> None:
    """As after a failover in which Redis has lost its last writes: a tail is part of a part already."""
    path = begun(webs.a, len(film))
    assert sent(webs.a, path, 0, film[: PART + 100]).status_code == 204
    tail = next(key for key in webs.objects() if "/tail-" in key)
    webs.sites[0].context.storage.remove(tail)
    refused = sent(webs.b, path, PART + 100, film[PART + 100 :])
    problem(refused, 409, "wrong_offset")
    assert refused.headers["upload-offset"] == str(PART)
    assert sent(webs.b, path, PART, film[PART:]).status_code == 204
    assert webs.stored(path) == film


class WaitingFile(io.BytesIO):
    """A temporary file. Once `slow` is set, its next write begins with a wait until `lost` returns true."""

    def __init__(self, slow: threading.Event, lost: Callable[[], bool]) -> None:
        super().__init__()
        self._slow, self._lost = slow, lost

    def write(self, piece: "ReadableBuffer") -> int:
        if self._slow.is_set():
            until(self._lost, "the upload is rewound")
        return super().write(piece)


@pytest.mark.long
def test_bytes_are_written_while_a_part_before_them_turns_out_to_be_lost(
    webs: Webs, film: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = begun(webs.a, len(film))
    assert sent(webs.a, path, 0, film[: PART + 100]).status_code == 204
    webs.sites[0].context.storage.remove(next(key for key in webs.objects() if "/tail-" in key))
    slow, here = threading.Event(), webs.sites[1].context
    monkeypatch.setattr(Scratch, "file", lambda self: WaitingFile(slow, lambda: offset_of(webs.a, path) == PART))

    async def write_on() -> None:
        upload = await here.upload_store.get("", path.rpartition("/")[2])
        assert upload is not None
        async with here.upload_store.open(upload) as draft:
            await draft.write(film[PART + 100 : 2 * PART])
            slow.set()
            await draft.write(film[2 * PART : 2 * PART + 100])
            assert draft.offset == 2 * PART + 100
            await draft.sync()

    with pytest.raises(Rewound) as raised:
        webs.sites[1].call(write_on())
    assert raised.value.offset == PART
    slow.clear()
    assert sent(webs.b, path, PART, film[PART:]).status_code == 204
    assert webs.stored(path) == film


@pytest.mark.long
def test_a_form_at_one_machine_and_its_job_at_the_other(webs: Webs, clip: bytes) -> None:
    answer = webs.a.post("/api/jobs", files={"file": ("c.mp4", clip)}, data={"background": "color:#0000ff"})
    assert answer.status_code == 202, answer.text
    job = webs.b.get(answer.headers["location"]).json()
    assert (job["title"], job["media"]["width"]) == ("c.mp4", 64)
    assert webs.b.get(f"{PATH}/{job['upload']}/source").content == clip


@pytest.mark.slow
def test_an_upload_begun_by_an_older_version_is_completed_where_it_is(
    settings: Settings, s3: Settings, redis_url: str, clip: bytes, tmp_path: Path
) -> None:
    before = settings.model_copy(update={"data_dir": tmp_path / "a"})
    with running(before, redis_url, worker=False) as old, old.client() as http:
        path = begun(http, len(clip))
        assert sent(http, path, 0, clip[:100]).status_code == 204
    with two_webs(s3, redis_url, tmp_path) as webs:
        assert offset_of(webs.a, path) == 100
        assert webs.b.head(path, headers=TUS).status_code == 404, "it is on the other machine"
        assert sent(webs.a, path, 100, clip[100:]).status_code == 204
        assert webs.b.get(path).json()["state"] == "ready"
        assert webs.stored(path) == clip
