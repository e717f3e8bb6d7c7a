"""`mattebox feeds` against a real web server. No worker runs the feeds; addresses are on loopback."""

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image

from stream.records.feed_store import FeedStore
from stream.records.feeds import REASONS, FeedReport, OutputReport
from stream.records.jobs import POISON
from stream.records.live import Meters
from stream.records.redis_keys import PREFIX
from stream.settings import Settings
from tests.chooser_records import registered
from tests.commands.in_process import mattebox_here
from tests.failing_feeds import give_up
from tests.servers import start_server
from tests.web.running_site import Site, running

SOURCE, OUTPUT = "rtsp://ann:pass-word@127.0.0.1:1/cam", "rtmp://127.0.0.1:1/app/stream-key"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    chosen = Settings(
        data_dir=tmp_path_factory.mktemp("data"), tokens="ann:secret-secret-secret", allow_private_urls=True
    )  # fmt: skip
    for server in start_server("valkey"):
        with running(chosen, server.url, worker=False) as site:
            yield site


def feeds(site: Site, *words: object) -> tuple[int, str, str]:
    env = {"MATTEBOX_SERVER": site.url, "MATTEBOX_TOKEN": "secret-secret-secret"}
    done = mattebox_here("feeds", *words, env=env)
    assert "stream-key" not in done.stdout + done.stderr
    assert "pass-word" not in done.stdout + done.stderr
    return done.returncode, done.stdout, done.stderr


def report(site: Site, id: str, output: str) -> None:
    """What a worker would report."""

    async def store() -> None:
        feeds = FeedStore(site.context.store.link)
        claimed = await feeds.claim("w1")
        assert claimed is not None
        assert claimed.feed.id == id
        await site.context.store.link.ask("ZADD", f"{PREFIX}feeds-leased", 1e12, id)  # the commands may be slow
        lost = OutputReport(
            id=output, state="reconnecting", reason="connection refused", frames=90, dropped=4, bitrate_bps=2_500_000
        )
        await feeds.report(
            claimed.feed,
            FeedReport(source_state="live", outputs=(lost,), meters=Meters(fps_in=25.0, notice="a notice")),
        )

    site.call(store())


def token_of_last_output(site: Site, id: str) -> str:
    async def read() -> str:
        claimed = await FeedStore(site.context.store.link).claim("w1")
        assert claimed is not None
        assert claimed.feed.id == id
        return claimed.secrets.outputs[claimed.feed.outputs[-1].id].token

    return site.call(read())


def token_of_source(site: Site, id: str) -> str:
    async def read() -> str:
        claimed = await FeedStore(site.context.store.link).claim("w1")
        assert claimed is not None
        assert claimed.feed.id == id
        return claimed.secrets.source_token

    return site.call(read())


def test_a_feed_is_added_shown_changed_and_removed(site: Site, tmp_path: Path) -> None:
    password = tmp_path / "password"
    password.write_text("pass-word\n")
    code, stdout, stderr = feeds(
        site, "add", "stage", "rtsp://ann@127.0.0.1:1/cam", OUTPUT, "--background", "blur:0.9", "--engine", "chroma",
        "--feather", "2", "--bitrate", "3M", "--audio", "off", "--size", "x720", "--password-file", password,
        "--slate", "Zurück um 8", "--json",
    )  # fmt: skip
    assert (code, stderr) == (0, "")
    feed = json.loads(stdout)
    output = feed["outputs"][0]
    assert (feed["name"], feed["state"], feed["height"], feed["width"]) == ("stage", "waiting", 720, 0)
    assert (feed["options"]["background"], feed["options"]["edges"]["feather"]) == ("blur:0.9", 2.0)
    assert feed["options"]["slate"] == "Zurück um 8"
    assert (output["address"], output["bitrate"], output["audio"]) == ("rtmp://127.0.0.1:1", 3_000_000, "off")

    report(site, feed["id"], output["id"])
    code, stdout, stderr = feeds(site, "show", "stage")
    assert (code, stderr) == (0, "")
    assert stdout.splitlines() == [
        f"{feed['id']}  stage     running   1 output",
        "  source    rtsp://127.0.0.1:1/cam  live      25 fps",
        f"  {output['id']}  rtmp://127.0.0.1:1  reconnecting: connection refused  2.50 Mbit/s  90 frames, 4 dropped",
        "  a notice",
    ]
    assert feeds(site, "list")[1].startswith(f"{feed['id']}  stage")

    code, stdout, stderr = feeds(
        site, "set", "stage", "--option", "background=#112233".replace("#", "color:#"), "--option", "edges.expand=3",
        "--option", "engine=null", "--add", OUTPUT.replace("app", "live"), "--pause", output["id"], "--name", "hall",
        "--json",
    )  # fmt: skip
    assert (code, stderr) == (0, "")
    changed = json.loads(stdout)
    assert (changed["name"], len(changed["outputs"]), changed["outputs"][0]["paused"]) == ("hall", 2, True)
    assert (changed["options"]["background"], changed["options"]["engine"]) == ("color:#112233", "auto")
    assert (changed["options"]["edges"]["expand"], changed["options"]["edges"]["feather"]) == (3.0, 2.0)
    assert changed["options"]["slate"] == "Zurück um 8"
    for words, slate in (("--slate", "20:00"), "20:00"), (("--option", "slate=42"), "42"), (("--slate", ""), ""):
        changed = json.loads(feeds(site, "set", "hall", *words, "--json")[1])
        assert changed["options"]["slate"] == slate
    assert "stopped" in feeds(site, "set", feed["id"][:8], "--stop")[1]
    assert "waiting" in feeds(site, "set", "hall", "--start")[1]
    (tmp_path / "key").write_text("whip+https://127.0.0.1:1/whip/stream-key\n")
    more = ("--add", f"@{tmp_path / 'key'}", "--whip-token-file", password)
    assert "whip+https://127.0.0.1:1" in feeds(site, "set", "hall", *more)[1]
    assert token_of_last_output(site, feed["id"]) == "pass-word"
    assert feeds(site, "remove", "hall") == (0, "", "")
    assert feeds(site, "list") == (0, "", "")


def test_subjects_of_a_feed_are_set_replaced_and_removed(site: Site, tmp_path: Path) -> None:
    Image.new("L", (64, 48), 255).save(tmp_path / "mask.png")
    mask = f"mask:{tmp_path / 'mask.png'}"
    with registered():
        code, stdout, stderr = feeds(
            site, "add", "drawn", "live:studio", "--no-start", "--json", "--subject", "ann=point:0.5,0.25", "--subject",
            f"ann={mask}@2", "--chooser", "following",
        )  # fmt: skip
        assert (code, stderr) == (0, "")
        (ann,) = json.loads(stdout)["options"]["subjects"]
        assert (ann["name"], ann["prompts"][0]) == ("ann", "point:0.5,0.25")
        assert re.fullmatch("mask:upload:[0-9a-f]{32}@2", ann["prompts"][1])

        both = ("--option", f"subjects=ann={mask}", "--option", "subjects=not:box:1,2,30,40", "--json")
        code, stdout, stderr = feeds(site, "set", "drawn", *both)
        assert (code, stderr) == (0, "")
        again, removed = json.loads(stdout)["options"]["subjects"]
        assert again["prompts"] == [ann["prompts"][1].removesuffix("@2")], "the same file is uploaded once"
        assert (removed["keep"], removed["prompts"]) == (False, ["box:1,2,30,40"])

        none = ("--option", "subjects=null", "--option", "chooser=null", "--json")
        assert json.loads(feeds(site, "set", "drawn", *none)[1])["options"]["subjects"] == []
        for faulty, message in (
            (("--option", "subjects=mask:nothing.png"), "--subject: mask:nothing.png: No such file or directory"),
            (("--option", "subjects=words:"), "--subject: 'words:' is not a prompt; write words:TEXT, or text "
             "without a colon"),
        ):  # fmt: skip
            assert feeds(site, "set", "drawn", *faulty) == (2, "", f"error: {message}\n")
    assert feeds(site, "remove", "drawn")[0] == 0


def test_a_stream_of_the_server_is_not_matted_again(site: Site) -> None:
    for words, background in ((), "none"), (("--background", "blur"), "blur:0.5"):
        code, stdout, stderr = feeds(site, "add", "again", "live:studio", *words, "--json", "--no-start")
        assert code == 0, stderr
        feed = json.loads(stdout)
        assert (feed["source"]["address"], feed["options"]["background"]) == ("live:studio", background)
        assert feeds(site, "remove", "again")[0] == 0


def test_the_address_and_the_token_of_a_source_are_read_from_files(site: Site, tmp_path: Path) -> None:
    address, token = tmp_path / "address", tmp_path / "token"
    token.write_text("pass-word\n")
    for text, background, kept in (
        ("live:studio", "none", ""),
        ("whep+https://127.0.0.1:1/whep/x", "color:#00ff00", "pass-word"),
    ):
        address.write_text(f"{text}\n")
        words = ("add", "again", f"@{address}", "--whep-token-file", token, "--json")
        code, stdout, stderr = feeds(site, *words)
        assert code == 0, stderr
        feed = json.loads(stdout)
        assert feed["options"]["background"] == background
        assert token_of_source(site, feed["id"]) == kept
        assert feeds(site, "remove", "again")[0] == 0


def test_a_failed_feed_says_what_to_do(site: Site) -> None:
    feeds(site, "add", "poison", SOURCE)
    give_up(site, POISON)
    for words in (("list",), ("show", "poison")):
        assert f"failed    0 outputs  {REASONS[POISON]}" in feeds(site, *words)[1]
    assert "waiting" in feeds(site, "set", "poison", "--start")[1]
    assert feeds(site, "remove", "poison")[0] == 0


def test_errors_are_one_line(site: Site) -> None:
    code, stdout, stderr = feeds(site, "add", "bad", "clip.mp4", OUTPUT)
    assert (code, stdout) == (1, "")
    assert stderr.startswith("error: the server: ")
    assert "(source)" in stderr
    assert stderr.count("\n") == 1
    assert feeds(site, "show", "nothing")[::2] == (
        1,
        "error: no feeds have the name or the beginning of an id 'nothing'\n",
    )
    code, _, stderr = feeds(site, "set", "x", "--option", "background")
    assert (code, stderr.count("\n")) == (1, 1)


def test_an_option_without_a_value_is_refused(site: Site) -> None:
    feeds(site, "add", "one", SOURCE, "--no-start")
    code, _, stderr = feeds(site, "set", "one", "--option", "background")
    assert (code, stderr) == (2, "error: --option 'background': write it as NAME=VALUE\n")
    code, _, stderr = feeds(site, "set", "one", "--option", "background=image:nothing.png")
    assert (code, stderr) == (1, "error: nothing.png: no such file\n")
    assert feeds(site, "remove", "one")[0] == 0


def test_a_text_that_cannot_be_drawn_is_refused_before_the_server_is_asked(site: Site) -> None:
    code, stdout, stderr = feeds(site, "add", "one", SOURCE, "--slate", "سنعود")
    assert (code, stdout, stderr.count("\n")) == (2, "", 1)
    assert stderr.startswith("error: slate: “س”")
    assert feeds(site, "list") == (0, "", "")
