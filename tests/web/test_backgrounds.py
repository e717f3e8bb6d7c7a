import io
import struct
import zlib
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest
from PIL import Image

from stream.settings import Settings
from stream.storage.local_copies import SCHEME, nearby
from tests.media import numbered_clip
from tests.web.http_checks import begin, problem, until
from tests.web.live_worker_double import Double
from tests.web.running_site import Site, running
from web.stores.painted_backgrounds import HEIGHT, PICTURES, WIDTH, painted

PATH = "/api/backgrounds"


def picture(kind: str = "PNG", size: tuple[int, int] = (64, 36), **options: object) -> bytes:
    out = io.BytesIO()
    Image.new("RGB", size, "#3366cc").save(out, kind, **options)
    return out.getvalue()


def huge() -> bytes:
    """A PNG of a few bytes whose header claims 400 megapixels."""
    head = struct.pack(">IIBBBBB", 20_000, 20_000, 8, 2, 0, 0, 0)
    parts = [(b"IHDR", head), (b"IDAT", zlib.compress(b"\0" * 100)), (b"IEND", b"")]
    chunks = [struct.pack(">I", len(d)) + n + d + struct.pack(">I", zlib.crc32(n + d)) for n, d in parts]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


def listed(http: httpx.Client) -> dict[str, dict[str, object]]:
    return {choice["spec"]: choice for choice in http.get(PATH).json()["backgrounds"]}


def settings_of(site: Site) -> Settings:
    found: Settings = site.server.config.app.state.context.settings  # type: ignore[union-attr]
    return found


def leftovers(site: Site) -> list[str]:
    data = settings_of(site).data_dir
    folders = data / "drafts", data / "storage" / "backgrounds"
    return [path.name for folder in folders for path in folder.rglob("*") if path.is_file()]


def opened(site: Site, path: str) -> Path:
    """The file that a worker opens for the path in its options."""
    return nearby(path.removeprefix(SCHEME), settings_of(site))


@pytest.mark.long
def test_the_gallery(http: httpx.Client, site: Site, worker: Double, camera_offer: str) -> None:
    choices = listed(http)
    assert {"blur:0.7", "transparent", *(f"gallery:{name}" for name in PICTURES)} <= set(choices)
    thumbnail = http.get(str(choices["gallery:dusk"]["thumbnail"]))
    assert thumbnail.headers["content-type"] == "image/jpeg"
    assert Image.open(io.BytesIO(thumbnail.content)).size == (320, 180)
    path = begin(http, camera_offer, options={"background": "gallery:dusk"}).headers["location"]
    record = until(http, path, state="live")
    assert record["options"]["background"] == "gallery:dusk", "no server path is shown"
    file = worker.sessions[record["id"]].options.background.path
    with Image.open(opened(site, file)) as image:
        assert image.size == (WIDTH, HEIGHT), "the worker gets a path"
    changed = http.patch(path, json={"options": {"view": "matte"}})
    assert changed.json()["options"]["background"] == "gallery:dusk"
    problem(http.get(f"{PATH}/gallery/nothing/thumbnail"), 404, "not_found")


@pytest.mark.long
def test_gallery_pictures_are_not_uniform(tmp_path: Path) -> None:
    for name in PICTURES:
        with Image.open(painted(tmp_path, name)) as image:
            assert len(set(image.resize((16, 9)).convert("L").tobytes())) > 8
    assert len(list(tmp_path.iterdir())) == len(PICTURES)


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "GIF", "BMP"])
def test_an_uploaded_picture(http: httpx.Client, site: Site, worker: Double, camera_offer: str, kind: str) -> None:
    """Its type is detected from its content, not from Content-Type."""
    response = http.post(PATH, content=picture(kind), headers={"Content-Type": "text/html"})
    assert response.status_code == 201, response.text
    choice = response.json()
    assert (choice["kind"], choice["own"]) == ("image", True)
    assert http.get(choice["thumbnail"]).headers["content-type"] == "image/jpeg"
    session = begin(http, camera_offer, options={"background": choice["spec"]})
    assert until(http, session.headers["location"], state="live")["options"]["background"] == choice["spec"]
    background = worker.sessions[session.json()["id"]].options.background
    assert background.kind == "image"
    assert opened(site, background.path).read_bytes() == picture(kind)
    assert http.delete(f"{PATH}/{choice['id']}").status_code == 204
    problem(http.delete(f"{PATH}/{choice['id']}"), 404, "not_found")
    problem(begin(http, camera_offer, options={"background": choice["spec"]}), 422, "bad_background")
    assert choice["spec"] not in listed(http)


def test_an_uploaded_video(http: httpx.Client, site: Site, tmp_path: Path) -> None:
    clip = numbered_clip(tmp_path / "clip.mp4")
    choice = http.post(PATH, content=clip.read_bytes()).json()
    assert choice["kind"] == "video"
    assert Image.open(io.BytesIO(http.get(choice["thumbnail"]).content)).size == (64, 48)
    http.delete(f"{PATH}/{choice['id']}")
    assert not leftovers(site)


def test_a_thumbnail_has_no_exif_data(http: httpx.Client) -> None:
    exif = Image.Exif()
    exif[0x010F], exif[0x0112] = "Secret Camera", 6  # rotated by 90 degrees
    choice = http.post(PATH, content=picture("JPEG", exif=exif)).json()
    thumbnail = http.get(choice["thumbnail"]).content
    assert b"Secret" not in thumbnail
    assert Image.open(io.BytesIO(thumbnail)).size == (36, 64)
    http.delete(f"{PATH}/{choice['id']}")


@pytest.mark.parametrize(
    ("content", "status"),
    [
        (b"", 422),
        (b"hello", 422),
        (b"\0" * 5000, 422),
        (picture()[:60], 422),
        (b"<svg xmlns='http://www.w3.org/2000/svg'><image href='file:///etc/passwd'/></svg>", 422),
        (b"ffconcat version 1.0\nfile '/etc/passwd'\n", 422),
        (b"#EXTM3U\n#EXTINF:1\nhttp://169.254.169.254/\n", 422),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", 422),
        (huge(), 413),
    ],
)
def test_invalid_uploads_are_refused(http: httpx.Client, site: Site, content: bytes, status: int) -> None:
    response = http.post(PATH, content=content)
    body = problem(response, status, response.json()["code"])
    assert "/tmp" not in str(body), "no server path is shown"
    assert not leftovers(site)


def test_limits(settings: Settings, redis_url: str) -> None:
    tight = settings.model_copy(update={"max_background_bytes": 5000, "max_backgrounds": 2})
    with running(tight, redis_url) as site, site.client() as http:
        problem(http.post(PATH, content=picture("BMP", (200, 200))), 413, "too_large")
        problem(http.post(PATH, content=(b"x" * 1000 for _ in range(10))), 413, "too_large")
        assert [http.post(PATH, content=picture()).status_code for _ in range(2)] == [201, 201]
        problem(http.post(PATH, content=picture()), 409, "full_shelf")
        assert len(leftovers(site)) == 4, "two pictures and their thumbnails"


def test_simultaneous_uploads_do_not_exceed_the_number(settings: Settings, redis_url: str) -> None:
    tight = settings.model_copy(update={"max_backgrounds": 3})
    with running(tight, redis_url) as site, site.client() as http, ThreadPoolExecutor(8) as pool:
        responses = list(pool.map(lambda _: http.post(PATH, content=picture()), range(8)))
        assert Counter(response.status_code for response in responses) == {201: 3, 409: 5}
        assert {response.json()["code"] for response in responses if response.status_code == 409} == {"full_shelf"}
        assert len(leftovers(site)) == 6, "three pictures and their thumbnails"


def test_users_see_only_their_own_uploads(users: Site, camera_offer: str) -> None:
    with users.client("alice-token") as alice, users.client("bob-token") as bob:
        choice = alice.post(PATH, content=picture()).json()
        assert choice["spec"] in listed(alice)
        assert choice["spec"] not in listed(bob)
        problem(bob.get(choice["thumbnail"]), 404, "not_found")
        problem(bob.delete(f"{PATH}/{choice['id']}"), 404, "not_found")
        problem(begin(bob, camera_offer, options={"background": choice["spec"]}), 422, "bad_background")


@pytest.mark.parametrize("name", ["..%2fx", "x.image", "%00", "a" * 32, "A" * 32, "-"])
def test_invalid_ids_are_not_found(http: httpx.Client, name: str) -> None:
    problem(http.delete(f"{PATH}/{name}"), 404, http.delete(f"{PATH}/{name}").json()["code"])


def test_a_full_disk(small_disk: Path, settings: Settings, redis_url: str) -> None:
    full = settings.model_copy(update={"data_dir": small_disk})
    with running(full, redis_url) as site, site.client() as http:
        problem(http.post(PATH, content=b"x" * 4_000_000), 507, "disk")
        assert not leftovers(site)
