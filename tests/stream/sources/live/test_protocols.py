"""The protocols of live sources: what FFmpeg may open, and how."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream.address import Address
from stream.errors import DeviceError, UsageError
from stream.registry import find
from stream.settings import Settings
from stream.sources import open_source, source_address
from stream.sources.base import SourceOptions
from stream.sources.live.protocols import PROTOCOLS, udp_url

SETTINGS = Settings(ca_file=Path("/authorities.pem"))
TLS = {"rtsps", "rtmps", "https"}


@pytest.mark.parametrize("scheme", [scheme for scheme in PROTOCOLS if not PROTOCOLS[scheme].device])
def test_every_protocol_has_whitelists_without_local_files(scheme: str) -> None:
    options = PROTOCOLS[scheme].all_options(SETTINGS, insecure=False)
    protocols, formats = options["protocol_whitelist"].split(","), options["format_whitelist"].split(",")
    assert not {"file", "pipe", "concat", "subfile", "fd", "unix", "gopher", ""} & {*protocols, *formats}
    assert not {"concat", "image2", "lavfi", "dash", "sdp"} & set(formats)


@pytest.mark.parametrize("scheme", PROTOCOLS)
def test_certificates_are_verified_unless_insecure(scheme: str) -> None:
    protocol = PROTOCOLS[scheme]
    secure = protocol.all_options(SETTINGS, insecure=False)
    assert protocol.tls == (scheme in TLS)
    assert (secure.get("tls_verify"), secure.get("ca_file")) == (
        ("1", "/authorities.pem") if scheme in TLS else (None, None)
    )
    assert protocol.all_options(SETTINGS, insecure=True).get("tls_verify", "0") == "0"


@pytest.mark.parametrize("scheme", PROTOCOLS)
def test_every_opener_exists(scheme: str) -> None:
    opener = PROTOCOLS[scheme].opener
    assert not opener or callable(find(opener))


def test_rtsp_over_udp_by_a_setting() -> None:
    options = PROTOCOLS["rtsp"].all_options(Settings(rtsp_transport="udp", rtsp_timeout_s=2), insecure=False)
    assert (options["rtsp_transport"], options["timeout"]) == ("udp", "2000000")


@pytest.mark.parametrize(
    ("address", "url"),
    [
        ("udp://127.0.0.1:5000", "udp://127.0.0.1:5000?localaddr=127.0.0.1"),
        ("udp://0.0.0.0:5000?fifo_size=9", "udp://0.0.0.0:5000?fifo_size=9&localaddr=0.0.0.0"),
        ("udp://239.1.2.3:5000", "udp://239.1.2.3:5000?"),
        ("udp://239.1.2.3:5000?localaddr=10.0.0.1", "udp://239.1.2.3:5000?localaddr=10.0.0.1"),
        ("udp://ann:hush@127.0.0.1:5000", "udp://127.0.0.1:5000?localaddr=127.0.0.1"),
        ("udp://[::1]:5000", "udp://[::1]:5000?localaddr=::1"),
    ],
)
def test_udp_is_received_on_the_address_only(address: str, url: str) -> None:
    assert udp_url(Address.read(address), SETTINGS) == url


@pytest.mark.parametrize("url", ["udp://127.0.0.1", "udp://:5000", "udp:5000", "rtmp:x", "https://"])
def test_an_incomplete_address_is_refused(url: str) -> None:
    with pytest.raises(UsageError, match="write the address as"):
        open_source(Address.read(url, list(PROTOCOLS)), SourceOptions(), SETTINGS)


@given(scheme=st.sampled_from(sorted(PROTOCOLS)), rest=st.text(max_size=60), slashes=st.sampled_from(["", "//"]))
def test_any_text_is_an_address_or_refused_without_quoting_it(scheme: str, rest: str, slashes: str) -> None:
    try:
        address = source_address(f"{scheme}:{slashes}{rest}")
        source = open_source(address, SourceOptions(), SETTINGS)
    except DeviceError:  # a camera's name is no secret
        assert scheme == "camera"
    except UsageError as exc:
        quoted = len(rest) > 12 and rest in str(exc)
        assert not quoted
    else:
        assert address.scheme == scheme
        if scheme == "udp":
            assert udp_url(address, SETTINGS)
        source.close()


@pytest.mark.parametrize("scheme", [scheme for scheme in PROTOCOLS if scheme not in ("rtsp", "rtsps")])
def test_a_path_that_may_be_a_stream_key_is_not_shown(scheme: str) -> None:
    address = Address.read(f"{scheme}://ann:hush@cam.lan:99/live/hush?key=hush")
    assert str(address) == f"{scheme}://cam.lan:99"
