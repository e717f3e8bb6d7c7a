"""Uploads with tus 1.0 over real sockets: interruptions, concurrent writers, limits and invalid requests."""

import asyncio
import base64
import hashlib
import io
import os
import random
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest
from PIL import Image
from starlette.requests import Request
from starlette.types import Message

from stream.records.upload_records import Busy
from stream.settings import Settings
from stream.sources.probe import AT_ONCE, Prober
from stream.storage import open_storage
from tests.media import numbered_clip
from tests.processes import children
from tests.servers import asynctest
from tests.waiting import PATIENCE_S, until
from tests.web.http_checks import problem
from tests.web.running_site import Site, running
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
from web.stores.folder_uploads import FolderUploads
from web.stores.uploads import Upload
from web.videos import uploads


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return numbered_clip(tmp_path_factory.mktemp("clip") / "c.mp4", 12).read_bytes()


def stored(site: Site, id: str) -> bytes:
    return b"".join(site.context.storage.read(f"uploads/{id}/source"))


def wait_for_offset(http: httpx.Client, path: str, offset: int) -> None:
    """Poll until the server has noticed the end of a connection."""
    until(lambda: offset_of(http, path) == offset, f"the offset is {offset}")


def patched(http: httpx.Client, path: str, offset: int, content: bytes) -> httpx.Response:
    """Like a client after an interruption: retries while the server has not noticed the end of the old connection."""

    def answered() -> list[httpx.Response]:
        response = sent(http, path, offset, content)
        return [response] if response.status_code != 423 else []

    return until(answered, "the upload is unlocked")[0]


def test_the_servers_capabilities(http: httpx.Client) -> None:
    response = http.options(PATH)
    assert response.status_code == 204
    assert response.headers["tus-version"] == response.headers["tus-resumable"] == "1.0.0"
    extensions = set(response.headers["tus-extension"].split(","))
    assert extensions == {"creation", "creation-with-upload", "termination", "expiration", "checksum"}
    assert response.headers["tus-max-size"] == str(20 * 2**30)


def test_an_upload_in_pieces(http: httpx.Client, site: Site, clip: bytes) -> None:
    path = begun(http, len(clip), "Urlaub 🏖 2024.mp4")
    half = len(clip) // 2
    first = sent(http, path, 0, clip[:half])
    assert (first.status_code, first.headers["upload-offset"]) == (204, str(half))
    assert first.headers["upload-expires"].endswith("GMT")
    second = sent(http, path, half, clip[half:])
    assert (second.status_code, second.headers["upload-offset"]) == (204, str(len(clip)))
    id = path.rpartition("/")[2]
    assert stored(site, id) == clip
    assert offset_of(http, path) == len(clip)
    known = http.get(path).json()
    assert (known["state"], known["title"], known["bytes"]) == ("ready", "Urlaub 🏖 2024.mp4", len(clip))
    assert (known["media"]["width"], known["media"]["height"]) == (64, 48)
    assert known["media"]["duration_s"] == pytest.approx(0.4, abs=0.05)
    again = sent(http, path, len(clip), b"")
    assert again.status_code == 204, "the client may have missed the answer to the last bytes"


@pytest.mark.long
def test_creation_with_upload(http: httpx.Client, site: Site, clip: bytes) -> None:
    response = http.post(PATH, content=clip, headers=BODY | creation_headers(len(clip)))
    assert (response.status_code, response.headers["upload-offset"]) == (201, str(len(clip)))
    assert stored(site, response.headers["location"].rpartition("/")[2]) == clip


@pytest.mark.long
@pytest.mark.parametrize("seed", range(4))
def test_an_upload_survives_random_interruptions(http: httpx.Client, site: Site, clip: bytes, seed: int) -> None:
    dice = random.Random(seed)
    content = clip + dice.randbytes(3_000_000)  # what follows an MP4's boxes is ignored
    path = begun(http, len(content))
    while (at := offset_of(http, path)) < len(content):
        if dice.random() < 0.7:
            after = dice.randrange(len(content) - at)
            cut_off(site.url, path, at, content[at:], after)
        else:
            response = patched(http, path, at, content[at : at + dice.randrange(1, 600_000)])
            assert response.status_code in (204, 409), "409: more bytes of the interrupted connection arrived meanwhile"
    time.sleep(0.05)
    assert patched(http, path, len(content), b"").status_code == 204
    assert stored(site, path.rpartition("/")[2]) == content


def test_two_writers(http: httpx.Client, site: Site, clip: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    path, locked = begun(http, len(clip)), writing(monkeypatch)
    with opened(site.url, path, 0, len(clip)) as connection:
        connection.sendall(clip[:100])
        assert locked.wait(PATIENCE_S)
        refused = sent(http, path, 0, clip)
        problem(refused, 423, "busy")
        assert refused.headers["retry-after"]
        problem(http.delete(path, headers=TUS), 423, "busy")
        connection.sendall(clip[100:])
        assert connection.recv(4096).startswith(b"HTTP/1.1 204")
    assert stored(site, path.rpartition("/")[2]) == clip


@pytest.mark.long
def test_two_web_processes_share_the_lock(
    http: httpx.Client, site: Site, valkey: str, clip: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    with running(site.context.settings, valkey, worker=False) as other, other.client() as client:
        path, locked = begun(http, len(clip)), writing(monkeypatch)
        with opened(site.url, path, 0, len(clip)) as connection:
            connection.sendall(clip[:100])
            assert locked.wait(PATIENCE_S)
            problem(sent(client, path, 0, clip), 423, "busy")
        wait_for_offset(client, path, 100)
        assert patched(client, path, 100, clip[100:]).status_code == 204
    assert stored(site, path.rpartition("/")[2]) == clip


@pytest.mark.clocked
def test_a_stalled_writer_loses_its_lock(http: httpx.Client, site: Site, valkey: str, clip: bytes) -> None:
    impatient = site.context.settings.model_copy(update={"body_timeout_s": 0.2})
    path = begun(http, len(clip))
    with running(impatient, valkey, worker=False) as other, opened(other.url, path, 0, len(clip)) as connection:
        connection.sendall(clip[:100])
        assert connection.recv(4096).startswith(b"HTTP/1.1 408")
        assert patched(http, path, 100, clip[100:]).status_code == 204


@pytest.mark.long
def test_what_a_server_stores_is_private(settings: Settings, redis_url: str, clip: bytes, tmp_path: Path) -> None:
    """In a data folder and a storage folder of the user's own, which others may read."""
    assert os.umask(0o022) == 0o022, "the usual umask, with which files are readable by all"
    picture = io.BytesIO()
    Image.new("RGB", (32, 18)).save(picture, "PNG")
    own = settings.model_copy(update={"data_dir": tmp_path / "data", "storage": str(tmp_path / "storage")})
    for folder in ("data", "storage"):
        (tmp_path / folder).mkdir(mode=0o755)
    with running(own, redis_url, worker=False, tls="auto") as site, site.client() as http:
        uploaded(http, clip)
        assert sent(http, begun(http, len(clip)), 0, clip[:100]).status_code == 204
        assert http.post("/api/backgrounds", content=picture.getvalue()).status_code == 201
        assert http.get("/api/backgrounds/gallery/dusk/thumbnail").is_success
        modes = {
            path: path.stat().st_mode & 0o777 for path in (*own.data_dir.rglob("*"), *Path(own.storage).rglob("*"))
        }
    assert len(modes) > 15
    assert {path: oct(mode) for path, mode in modes.items() if mode != (0o700 if path.is_dir() else 0o600)} == {}


def test_a_wrong_offset(http: httpx.Client, clip: bytes) -> None:
    path = begun(http, len(clip))
    for offset in (1, 10**12):
        problem(sent(http, path, offset, b"x"), 409, "wrong_offset")
    assert sent(http, path, 0, clip[:10]).status_code == 204
    refused = sent(http, path, 0, clip[:10])
    problem(refused, 409, "wrong_offset")
    assert refused.headers["upload-offset"] == "10"
    assert offset_of(http, path) == 10


@pytest.mark.long
def test_a_body_longer_than_announced(http: httpx.Client, site: Site, clip: bytes) -> None:
    path = begun(http, len(clip))
    problem(sent(http, path, 0, clip + b"more"), 413, "too_large")
    refused = http.patch(path, content=iter([clip, b"more"]), headers=BODY | {"Upload-Offset": "0"})
    problem(refused, 413, "too_large")
    assert offset_of(http, path) == 0, "none of it is kept"
    assert sent(http, path, 0, clip).status_code == 204


@pytest.mark.parametrize(("headers", "status"), [
    ({"Tus-Resumable": "0.2.2"}, 412), ({"Upload-Length": "-1"}, 400), ({"Upload-Length": "many"}, 400),
    ({"Upload-Length": "9" * 18}, 413), ({"Upload-Length": ""}, 400), ({"Upload-Metadata": "filename ???"}, 400),
    ({"Upload-Metadata": "filename " + "A" * 9000}, 400),
])  # fmt: skip
def test_invalid_creations(http: httpx.Client, headers: dict[str, str], status: int) -> None:
    response = http.post(PATH, headers=creation_headers(10) | headers)
    assert response.status_code == status, response.text
    assert response.headers["tus-resumable"] == "1.0.0"
    assert response.headers["content-type"] == "application/problem+json"


def test_invalid_patches(http: httpx.Client) -> None:
    path = begun(http, 10)
    problem(http.patch(path, content=b"x", headers=TUS | {"Upload-Offset": "0"}), 415, "content_type")
    problem(http.patch(path, content=b"x", headers=BODY), 400, "bad_header")
    problem(sent(http, path, 0, b"x", **{"Upload-Checksum": "crc32 AAAA"}), 400, "bad_header")
    for name in ("f" * 32, "..%2f..%2fx", "x", "-", "F" * 32, "a\u00e9"):
        problem(http.patch(f"{PATH}/{name}", content=b"x", headers=BODY | {"Upload-Offset": "0"}), 404, "not_found")


@pytest.mark.long
def test_a_complete_upload_that_was_not_probed(http: httpx.Client, site: Site, clip: bytes) -> None:
    """As after a crash between the last bytes and the probe."""
    path = begun(http, len(clip))
    folder = site.context.settings.data_dir / "uploads" / "-" / path.rpartition("/")[2]
    (folder / "data").write_bytes(clip)
    assert http.get(path).json()["state"] == "arriving"
    assert sent(http, path, len(clip), b"").status_code == 204
    assert http.get(path).json()["state"] == "ready"
    assert stored(site, path.rpartition("/")[2]) == clip


@pytest.mark.long
def test_each_piece_extends_the_time_to_expiry(http: httpx.Client, clip: bytes) -> None:
    path = begun(http, len(clip))
    first = http.get(path).json()["expires_s"]
    time.sleep(0.05)
    assert sent(http, path, 0, clip[:10]).status_code == 204
    second = http.get(path).json()["expires_s"]
    time.sleep(0.05)
    assert sent(http, path, 10, clip[10:]).status_code == 204
    assert first < second < http.get(path).json()["expires_s"]


@pytest.mark.long
def test_a_checksum(http: httpx.Client, site: Site, clip: bytes) -> None:
    path, wrong = begun(http, len(clip)), base64.b64encode(hashlib.sha1(b"else").digest()).decode()
    problem(sent(http, path, 0, clip, **{"Upload-Checksum": f"sha1 {wrong}"}), 460, "checksum")
    assert offset_of(http, path) == 0
    right = base64.b64encode(hashlib.sha256(clip).digest()).decode()
    assert sent(http, path, 0, clip, **{"Upload-Checksum": f"sha256 {right}"}).status_code == 204
    assert stored(site, path.rpartition("/")[2]) == clip


@pytest.mark.long
def test_clients_file_names_are_not_used_on_disk(http: httpx.Client, site: Site, clip: bytes) -> None:
    for name in ("../../x", "a\0b", "n" * 4000, ""):
        id = uploaded(http, clip, name)
        title = http.get(f"{PATH}/{id}").json()["title"]
        assert len(title) <= 200
        assert title.isprintable()
    names = {path.name for path in (site.context.settings.data_dir / "uploads").rglob("*") if path.is_file()}
    assert names <= {"info", "lock", "data", ".lock"}


@pytest.mark.long
@pytest.mark.parametrize(
    "content", [b"", bytes(5000), b"just a text\n" * 50, b"ffconcat version 1.0\nfile /etc/passwd\n"]
)
def test_a_file_that_is_not_a_video_is_rejected_at_once(http: httpx.Client, site: Site, content: bytes) -> None:
    id = uploaded(http, content)
    known = http.get(f"{PATH}/{id}").json()
    assert (known["state"], known["problem"]) == ("unusable", "unreadable_media")
    assert known["detail"]
    assert str(site.context.settings.data_dir) not in known["detail"]
    assert site.context.storage.keys(f"uploads/{id}/") == [f"uploads/{id}/info"], "its bytes are removed"


@pytest.mark.long
@pytest.mark.parametrize(
    ("content", "code", "detail"),
    [
        (b"ID3\4\0\0\0\0\0\0" + bytes(500), "no_video_stream", "the file has only sound, no video"),
        (
            b"\xff\xd8\xff\xe0\0\x10JFIF" + bytes(500),
            "unreadable_media",
            "the file is a picture that is damaged or of an unknown kind",
        ),
        (b"\0\0\x01\0" + bytes(500), "unreadable_media", "the file is a picture, not a video"),
        (b"just a text\n" * 50, "unreadable_media", "the file is text, not a video"),
        (b"", "unreadable_media", "the file is empty"),
    ],
)
def test_the_error_names_the_kind_of_a_file_that_is_not_a_video(
    http: httpx.Client, content: bytes, code: str, detail: str
) -> None:
    known = http.get(f"{PATH}/{uploaded(http, content)}").json()
    assert (known["problem"], known["detail"]) == (code, detail)
    refused = http.post("/api/jobs", json={"upload": known["id"]})
    problem(refused, 422, code)
    assert refused.json()["detail"] == detail


@pytest.mark.long
def test_the_offset_of_an_upload_that_was_completed_after_it_was_read(
    http: httpx.Client, site: Site, clip: bytes
) -> None:
    path, upload_store = begun(http, len(clip)), site.context.upload_store
    before = site.call(upload_store.get("", path.rpartition("/")[2]))
    assert before is not None
    sent(http, path, 0, clip)
    assert site.call(upload_store.offset(before)) == len(clip)
    http.delete(path, headers=TUS)
    with pytest.raises(FileNotFoundError):
        site.call(upload_store.offset(before))


@pytest.mark.long
def test_a_patch_of_an_upload_that_was_completed_after_it_was_read(
    http: httpx.Client, site: Site, clip: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = begun(http, len(clip))
    name, owned = path.rpartition("/")[2], uploads.owned
    stale = site.call(owned(site.context, "", name))
    assert sent(http, path, 0, clip).is_success
    records = [stale]

    async def first_stale(*args: Any) -> Upload:
        return records.pop() if records else await owned(*args)

    monkeypatch.setattr(uploads, "owned", first_stale)
    again = sent(http, path, len(clip), b"")
    assert (again.status_code, again.headers["upload-offset"]) == (204, str(len(clip)))
    records.append(stale)
    problem(sent(http, path, 5, clip[5:]), 409, "wrong_offset")
    http.delete(path, headers=TUS)
    records.append(stale)
    problem(sent(http, path, 0, clip), 404, "not_found")


@asynctest
async def test_unverified_bytes_are_discarded_when_the_server_stops(settings: Settings, clip: bytes) -> None:
    storage, root = open_storage(settings), settings.data_dir / "uploads"
    upload_store = FolderUploads(settings, storage, root, Prober(settings))
    upload = await upload_store.create("", len(clip), "", "")
    received = asyncio.Event()

    async def receive() -> Message:
        if not received.is_set():
            received.set()
            return {"type": "http.request", "body": clip[:-1] + bytes(2 * 2**20), "more_body": True}
        await asyncio.sleep(3600)
        raise AssertionError

    digest = base64.b64encode(hashlib.sha1(clip).digest())
    scope = {"type": "http", "headers": [(b"upload-checksum", b"sha1 " + digest)]}
    async with upload_store.open(upload) as draft:
        await draft.write(b"before")
        writing = asyncio.create_task(uploads._write_body(Request(scope, receive), draft, 2**30, PATIENCE_S))
        while draft.offset == len(b"before"):
            await asyncio.sleep(0.005)
        writing.cancel()
        await asyncio.wait([writing])
        assert writing.cancelled()
        assert draft.offset == len(b"before")
    assert await upload_store.offset(upload) == len(b"before")


@pytest.mark.long
def test_removal(http: httpx.Client, site: Site, clip: bytes) -> None:
    path = f"{PATH}/{uploaded(http, clip)}"
    assert http.delete(path, headers=TUS).status_code == 204
    problem(http.delete(path, headers=TUS), 404, "not_found")
    assert http.head(path, headers=TUS).status_code == 404
    assert not site.context.storage.keys(f"uploads/{path.rpartition('/')[2]}/")
    half = begun(http, len(clip))
    sent(http, half, 0, clip[:10])
    assert http.post(half, headers=TUS | {"X-HTTP-Method-Override": "DELETE"}).status_code == 204
    problem(sent(http, half, 10, b"x"), 404, "not_found")


def test_limits(settings: Settings, redis_url: str, clip: bytes) -> None:
    small = settings.model_copy(update={"max_upload_bytes": 10_000_000, "uploads_per_user": 15_000_000})
    with running(small, redis_url) as site, site.client() as http:
        problem(http.post(PATH, headers=creation_headers(10_000_001)), 413, "too_large")
        first = begun(http, 10_000_000)
        problem(http.post(PATH, headers=creation_headers(6_000_000)), 413, "over_quota")
        assert http.delete(first, headers=TUS).status_code == 204
        begun(http, 6_000_000)


@pytest.mark.long
def test_uploads_have_owners(users: Site, clip: bytes) -> None:
    with users.client("alice-token") as alice, users.client("bob-token") as bob, users.client() as anonymous:
        path = begun(alice, len(clip))
        assert bob.head(path, headers=TUS).status_code == 404
        problem(sent(bob, path, 0, clip), 404, "not_found")
        problem(bob.delete(path, headers=TUS), 404, "not_found")
        problem(anonymous.post(PATH, headers=creation_headers(5)), 401, "sign_in")
        assert sent(alice, path, 0, clip).status_code == 204
        problem(bob.get(path), 404, "not_found")


@pytest.mark.long
def test_a_full_disk(small_disk: Path, redis_url: str) -> None:
    content = random.Random(1).randbytes(1_500_000)
    with running(Settings(data_dir=small_disk), redis_url) as site, site.client() as http:
        problem(http.post(PATH, headers=creation_headers(50_000_000)), 507, "disk")
        path = begun(http, len(content))
        (small_disk / "filler").write_bytes(bytes(1_000_000))
        problem(sent(http, path, 0, content), 507, "disk")
        at = offset_of(http, path)
        assert 0 < at < len(content)
        (small_disk / "filler").unlink()
        assert sent(http, path, at, content[at:]).status_code == 204, "it resumes where the disk was full"


def test_simultaneous_creations_do_not_exceed_the_quota(settings: Settings, redis_url: str) -> None:
    small = settings.model_copy(update={"uploads_per_user": 15_000_000})
    with running(small, redis_url, worker=False) as site, site.client() as http, ThreadPoolExecutor(8) as pool:
        headers = creation_headers(6_000_000)
        responses = list(pool.map(lambda _: http.post(PATH, headers=headers), range(8)))
    assert Counter(response.status_code for response in responses) == {201: 2, 413: 6}


@pytest.mark.slow
def test_many_uploads_that_complete_at_once(http: httpx.Client, clip: bytes) -> None:
    paths, numbers, over = [begun(http, len(clip)) for _ in range(8)], list[int](), threading.Event()

    def watch() -> None:
        while not over.wait(0.05):
            numbers.append(len(children(os.getpid(), "stream.sources.probe")))

    with ThreadPoolExecutor(9) as pool:
        watching = pool.submit(watch)
        responses = list(pool.map(lambda path: sent(http, path, 0, clip), paths))
        over.set()
        watching.result()
    assert {response.status_code for response in responses} == {204}
    assert {http.get(path).json()["state"] for path in paths} == {"ready"}
    assert max(numbers) <= AT_ONCE


@pytest.mark.long
def test_a_client_that_disconnects_releases_its_place_before_the_probe(
    http: httpx.Client, site: Site, clip: bytes
) -> None:
    path, free = begun(http, len(clip)), prober(site)._free
    for _ in range(AT_ONCE):
        site.call(free.acquire())
    with opened(site.url, path, 0, len(clip)) as connection:
        connection.sendall(clip)
        wait_for_offset(http, path, len(clip))
        problem(sent(http, path, len(clip), b""), 423, "busy")
    upload = site.call(site.context.upload_store.get("", path.rpartition("/")[2]))
    assert upload is not None
    until(lambda: unlocked(site, upload), "the upload is unlocked")
    for _ in range(AT_ONCE):
        site.call(released(free))
    assert patched(http, path, len(clip), b"").status_code == 204
    assert http.get(path).json()["state"] == "ready"


def unlocked(site: Site, upload: Upload) -> bool:
    async def opened() -> bool:
        try:
            async with site.context.upload_store.open(upload):
                return True
        except Busy:
            return False

    return site.call(opened())


def prober(site: Site) -> Prober:
    store = site.context.upload_store
    assert isinstance(store, FolderUploads)
    return store._prober


async def released(free: asyncio.Semaphore) -> None:
    free.release()


@pytest.mark.long
def test_too_many_uploads_that_wait_to_be_probed(
    http: httpx.Client, site: Site, clip: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("stream.sources.probe.WAIT_S", 0.05)
    path, free = begun(http, len(clip)), prober(site)._free
    for _ in range(AT_ONCE):
        site.call(free.acquire())
    refused = sent(http, path, 0, clip)
    problem(refused, 503, "overloaded")
    assert refused.headers["retry-after"]
    problem(http.post("/api/jobs", json={"upload": path.rpartition("/")[2]}), 503, "overloaded")
    for _ in range(AT_ONCE):
        site.call(released(free))
    assert patched(http, path, len(clip), b"").status_code == 204
