import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream.address import Address
from stream.errors import UsageError
from stream.srt import SrtAddress


def parse(text: str) -> SrtAddress:
    return SrtAddress.parse(Address.read(text))


def test_defaults_are_those_of_the_library() -> None:
    assert parse("srt://example.org:9000") == SrtAddress("example.org", 9000, "caller", 120)
    assert parse("srt://[::1]:9000/").host_and_port == "[::1]:9000"


def test_every_parameter() -> None:
    found = parse("srt://h:9000?mode=listener&passphrase=one+two%26three&latency=400&streamid=%23!::r%3Da&pbkeylen=32")
    assert found == SrtAddress("h", 9000, "listener", 400, 32, "one+two&three", "#!::r=a")
    assert found.is_secret
    assert "two" not in repr(found)
    assert "::r" not in repr(found)


@pytest.mark.parametrize(
    ("query", "reason"),
    [
        ("mode=rendezvous", "mode must be caller or listener"),
        ("latency=1.5", "latency must be a number of milliseconds"),
        ("latency=-1", "latency must be"),
        ("latency=30001", "latency must be"),
        ("latency=٣", "latency must be"),
        ("passphrase=123456789", "passphrase must have from 10 to 79 bytes"),
        ("passphrase=" + 80 * "x", "passphrase must have from 10 to 79 bytes"),
        ("passphrase=0123456789%0A", "passphrase contains invalid characters"),
        ("passphrase=0123456789%FF", "passphrase contains invalid characters"),
        ("streamid=a%00b", "streamid contains invalid characters"),
        ("streamid=" + 513 * "x", "streamid must have at most 512 bytes"),
        ("pbkeylen=17", "pbkeylen must be 16, 24 or 32"),
        ("latency=1&latency=2", "latency is given twice"),
        ("maxbw=1", "unknown SRT parameter maxbw; the parameters are mode, passphrase"),
        ("Mode=caller", "unknown SRT parameter Mode"),
    ],
)
def test_invalid_parameters_are_refused_by_name(query: str, reason: str) -> None:
    with pytest.raises(UsageError, match=reason) as caught:
        parse(f"srt://h:9000?{query}")
    value = query.partition("=")[2]
    assert len(value) < 6 or value not in str(caught.value)


def test_a_misplaced_passphrase_is_not_quoted() -> None:
    for query in ("correcthorse", "correct-horse=1"):
        with pytest.raises(UsageError, match="an unknown SRT parameter") as caught:
            parse(f"srt://h:9000?{query}")
        assert "horse" not in str(caught.value)


@pytest.mark.parametrize("text", ["srt://h", "srt://h:9000/live", "srt://h:9000#x"])
def test_host_and_port_are_needed_and_nothing_else(text: str) -> None:
    with pytest.raises(UsageError, match="write the address as srt://HOST:PORT"):
        parse(text)


def test_a_user_is_refused() -> None:
    with pytest.raises(UsageError, match="SRT has no users") as caught:
        parse("srt://ann:secret@h:9000")
    assert "secret" not in str(caught.value)


@given(st.text(max_size=60))
def test_any_query_is_parsed_or_refused(query: str) -> None:
    try:
        address = Address.read(f"srt://h:9000?{query}")
        found = SrtAddress.parse(address)
    except UsageError:
        return
    assert 0 <= found.latency_ms <= 30_000
    assert found.mode in ("caller", "listener")
