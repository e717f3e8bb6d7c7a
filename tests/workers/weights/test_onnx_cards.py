"""The networks that the engine `onnx` knows by name, and their published files."""

import ssl
from collections.abc import Iterator
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path

import pytest

from stream.errors import UsageError, WeightsError
from stream.settings import Settings
from tests.onnx_networks import unet
from tests.web_server import Origin, serving
from web.http.tls import certificate
from workers.weights import birefnet_hub, known, onnx_cards
from workers.weights.onnx_cards import CARDS, DEFAULT, VARIANTS, parse
from workers.weights.sources import Url


@dataclass(frozen=True)
class Release:
    """A published network on a server with TLS. content: of the file. settings: with an empty cache."""

    origin: Origin
    content: bytes
    settings: Settings


@pytest.fixture
def release(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Release]:
    files = certificate("auto", tmp_path, "127.0.0.1")
    assert files is not None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(files.chain, files.key)
    content = unet(tmp_path / "published.onnx").read_bytes()
    monkeypatch.setenv("SSL_CERT_FILE", str(files.chain))
    with serving() as origin:
        origin.socket = context.wrap_socket(origin.socket, server_side=True)
        origin.files["/u2netp.onnx"] = content
        url = origin.url.replace("http://127.0.0.1", "https://localhost") + "/u2netp.onnx"
        published = VARIANTS["u2netp"].weights
        assert published is not None
        weights = replace(published, sha256=sha256(content).hexdigest(), size=len(content), sources=(Url(url),))
        card = replace(CARDS["u2netp"], weights=weights)
        for cards in (CARDS, VARIANTS):
            monkeypatch.setitem(cards, "u2netp", card)
        yield Release(origin, content, Settings(cache_dir=tmp_path / "cache", offline=False))


def test_a_name_is_downloaded_once_and_its_licence_shown_first(release: Release) -> None:
    messages: list[str] = []
    path = onnx_cards.find("u2netp", release.settings, messages.append)
    assert path.read_bytes() == release.content
    licence = "onnx:u2netp: u2netp.onnx is licensed under Apache-2.0"
    assert messages.index(licence) < next(i for i, text in enumerate(messages) if "downloading" in text)
    release.origin.files.clear()
    messages.clear()
    assert onnx_cards.find("u2netp@64x64", release.settings, messages.append) == path
    assert licence in messages
    assert onnx_cards.find_local("u2netp", release.settings) == path
    assert onnx_cards.verify("u2netp", release.settings) == path


def test_another_file_than_the_published_one_is_refused(release: Release) -> None:
    release.origin.files["/u2netp.onnx"] = release.content[:-1] + b"!"
    with pytest.raises(WeightsError, match="not the known one"):
        onnx_cards.find("u2netp", release.settings, print)
    assert onnx_cards.find_local("u2netp", release.settings) is None


def test_a_damaged_file_is_replaced_by_pull_only(release: Release) -> None:
    path = onnx_cards.pull("u2netp", release.settings, print)
    path.write_bytes(b"damaged")
    for call in (onnx_cards.find, lambda spec, settings, _: onnx_cards.verify(spec, settings)):
        with pytest.raises(WeightsError, match=r"damaged.*mattebox models pull onnx:u2netp"):
            call("u2netp", release.settings, print)
    assert onnx_cards.pull("u2netp", release.settings, print).read_bytes() == release.content


def test_offline_without_weights_names_the_command_that_downloads_them(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="mattebox models pull onnx:isnet"):
        onnx_cards.find("isnet", Settings(cache_dir=tmp_path, offline=True), print)


def test_the_licence_of_an_own_file_is_shown_where_it_is_known(tmp_path: Path) -> None:
    messages: list[str] = []
    path = unet(tmp_path / "mine.onnx")
    for spec in (str(path), f"rmbg-1.4={path}"):
        assert onnx_cards.find(spec, Settings(), print) == path
        onnx_cards.announce(parse(spec), None, messages.append)
    assert "used with the card imagenet; its licence is unknown" in messages[0]
    assert "bria-rmbg-1.4, for non-commercial use" in messages[1]
    onnx_cards.announce(parse(str(path)), replace(CARDS["unit"], licence="MIT"), messages.append)
    assert "used with its own card, colours from 0 to 1; it is licensed under MIT" in messages[2]
    onnx_cards.announce(parse("u2netp"), None, messages.append)
    assert len(messages) == 3


@pytest.mark.parametrize(
    ("spec", "name", "file", "size"),
    [
        ("u2netp", "u2netp", None, None),
        ("isnet@640x352", "isnet", None, (640, 352)),
        ("my.onnx", DEFAULT, "my.onnx", None),
        ("a dir@x/My.ONNX@64x32", DEFAULT, "a dir@x/My.ONNX", (64, 32)),
        ("/w/u2net_human_seg.onnx", "u2net-human", "/w/u2net_human_seg.onnx", None),
        ("BiRefNet-general-bb_swin_v1_tiny-epoch_232.onnx", "birefnet-lite",
         "BiRefNet-general-bb_swin_v1_tiny-epoch_232.onnx", None),
        ("signed=/w/a=b.onnx@512x512", "signed", "/w/a=b.onnx", (512, 512)),
        ("a=b.onnx", DEFAULT, "a=b.onnx", None),
        ("rmbg-2.0=model.onnx", "rmbg-2.0", "model.onnx", None),
    ],
)  # fmt: skip
def test_a_spec_names_a_card_a_file_and_a_size(
    spec: str, name: str, file: str | None, size: tuple[int, int] | None
) -> None:
    found = parse(spec)
    assert (found.name, found.file, found.size) == (name, Path(file) if file else None, size)


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("", "is not one of u2net"),
        ("u2nett", "did you mean u2net"),
        ("me/mine", "or an .onnx file"),
        ("model.pt", "or an .onnx file"),
        ("u2netp@100x100", "multiples of 32"),
        ("rmbg-1.4", r"cannot be downloaded here; use your own file: rmbg-1.4=FILE\.onnx"),
        ("imagenet", "is not one of u2net"),
    ],
)
def test_an_invalid_spec_is_refused(spec: str, message: str) -> None:
    with pytest.raises(UsageError, match=f"^weights: .*{message}"):
        parse(spec)


def test_own_files_are_not_pulled() -> None:
    for call in (onnx_cards.pull, lambda spec, settings, _: onnx_cards.verify(spec, settings)):
        with pytest.raises(UsageError, match=r"my\.onnx is a file of your own"):
            call("my.onnx", Settings(), print)


def test_published_files_are_complete() -> None:
    assert {"u2net", "u2netp", "silueta", "isnet", "birefnet-lite", "ben2"} <= set(VARIANTS)
    for name in VARIANTS:
        weights = known.weights(f"onnx:{name}")
        assert len(weights.sha256) == 64
        assert weights.size > 4_000_000
        assert weights.licence == CARDS[name].licence
        assert Path(weights.file).stem in (name, *CARDS[name].stems), "the file has this card by its name, too"


def test_no_network_of_another_engine_has_the_same_name() -> None:
    assert not set(CARDS) & set(birefnet_hub.VARIANTS)
