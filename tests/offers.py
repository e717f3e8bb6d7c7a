"""SDP offers for tests: a real one from Chromium, and broken variants."""

from pathlib import Path

from hypothesis import strategies as st

CHROMIUM = (Path(__file__).parent / "data" / "chromium_offer.sdp").read_bytes().decode()


def only(*names: str) -> str:
    """The offer with only these video codecs, without retransmission unless named."""
    head, _, video = CHROMIUM.partition("m=video")
    video, line, rest = video.partition("m=application")
    numbers = [ln.split()[0][9:] for ln in video.split("\r\n") if ln.startswith("a=rtpmap:") and has_name(ln, names)]
    lines = [ln for ln in video.split("\r\n") if not is_codec_line(ln) or ln.split(":")[1].split()[0] in numbers]
    lines[0] = " 9 UDP/TLS/RTP/SAVPF " + " ".join(numbers)
    return head + "m=video" + "\r\n".join(lines) + line + rest


def has_name(line: str, names: tuple[str, ...]) -> bool:
    return line.split()[1].split("/")[0] in names


def is_codec_line(line: str) -> bool:
    return line.startswith(("a=rtpmap:", "a=fmtp:", "a=rtcp-fb:"))


def without(start: str) -> str:
    """The offer without the lines that begin with `start`."""
    return "\r\n".join(line for line in CHROMIUM.split("\r\n") if not line.startswith(start))


def replaced(old: str, new: str) -> str:
    assert old in CHROMIUM
    return CHROMIUM.replace(old, new)


@st.composite
def mutated(draw: st.DrawFn) -> str:
    """The offer with a few lines removed, duplicated, swapped, cut off or altered."""
    lines = CHROMIUM.split("\r\n")
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, len(lines) - 1))
        match draw(st.sampled_from(["drop", "double", "swap", "cut", "character", "number", "word"])):
            case "drop":
                del lines[at : at + draw(st.integers(1, 12))]
            case "double":
                lines.insert(draw(st.integers(0, len(lines))), lines[at])
            case "swap":
                other = draw(st.integers(0, len(lines) - 1))
                lines[at], lines[other] = lines[other], lines[at]
            case "cut":
                lines = lines[: at + 1]
                lines[-1] = lines[-1][: draw(st.integers(0, len(lines[-1])))]
            case "character":
                place = draw(st.integers(0, len(lines[at])))
                lines[at] = lines[at][:place] + draw(st.text(max_size=2)) + lines[at][place + 1 :]
            case "number":
                number = str(draw(st.sampled_from([-1, 0, 9, 72, 96, 127, 128, 65_535, 65_536, 2**32, 10**30])))
                lines[at] = " ".join(number if word.isdigit() else word for word in lines[at].split(" "))
            case "word":
                words = lines[at].split(" ")
                words[draw(st.integers(0, len(words) - 1))] = draw(st.sampled_from(["", "x", "a=", "=", ":", "0x7f"]))
                lines[at] = " ".join(words)
        lines = lines or [""]
    return "\r\n".join(lines)
