"""Tags in the vocabulary of each container, as FFmpeg's muxers write them.

MP4 has two places for tags. The older one, of iTunes, has a fixed list of names; players know it best. The newer one,
of QuickTime, takes all names. The muxer writes only one of them, so the newer one is used for tags that the older does
not have, such as those of phones. MOV likewise.
"""

from collections.abc import Mapping

from stream.picture.extras import Tags

_ITUNES = frozenset(
    [
        "title",
        "artist",
        "album_artist",
        "composer",
        "album",
        "date",
        "comment",
        "genre",
        "copyright",
        "grouping",
        "lyrics",
        "description",
        "synopsis",
        "show",
        "episode_id",
        "network",
        "keywords",
        "episode_sort",
        "season_number",
        "compilation",
        "track",
        "disc",
        "tmpo",
        "location",
        "creation_time",
    ]
)
_QUICKTIME = frozenset(
    [
        "title",
        "artist",
        "author",
        "album",
        "date",
        "comment",
        "genre",
        "copyright",
        "make",
        "model",
        "keywords",
        "location",
        "creation_time",
    ]
)
_OF_MUXER = {"mp4": _ITUNES, "mov": _QUICKTIME}
# Names that players read in QuickTime's newer place; the plain ones are FFmpeg's own.
_APPLE = {
    name: f"com.apple.quicktime.{name}"
    for name in ("title", "artist", "author", "album", "comment", "genre", "copyright", "description", "make", "model")
}
# MOV knows these languages by their older codes of ISO 639-2.
_BIBLIOGRAPHIC = {
    "ces": "cze", "cym": "wel", "deu": "ger", "ell": "gre", "eus": "baq", "fas": "per", "fre": "fra", "hye": "arm",
    "isl": "ice", "kat": "geo", "mkd": "mac", "mri": "mao", "msa": "may", "mya": "bur", "nld": "dut", "ron": "rum",
    "slo": "slk", "sqi": "alb", "bod": "tib", "zho": "chi",
}  # fmt: skip


def muxer_flags(container: str, tags: Tags) -> str:
    """Flags to add to the muxer's `movflags`."""
    known = _OF_MUXER.get(container)
    return "" if known is None or known >= tags.keys() else "+use_metadata_tags"


def in_container(container: str, tags: Tags) -> dict[str, str]:
    """The tags of a file as the muxer takes them."""
    if not muxer_flags(container, tags):
        return dict(tags)
    return {name: tags[tag] for tag, name in _APPLE.items() if tag in tags} | dict(tags)


def of_track(container: str, tags: Tags) -> Mapping[str, str]:
    """The tags of a track as the muxer takes them."""
    language = tags.get("language", "")
    if container == "mov" and language in _BIBLIOGRAPHIC:
        return {**tags, "language": _BIBLIOGRAPHIC[language]}
    return tags
