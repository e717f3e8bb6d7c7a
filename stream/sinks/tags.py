"""Tags in the vocabulary of each container, as FFmpeg's muxers write them.

MP4 has two places for tags. The older one, of iTunes, has a fixed list of names; players know it best. The newer one,
of QuickTime, takes all names. The muxer writes only one of them, so the newer one is used for tags that the older does
not have, such as those of phones. MOV likewise.
"""

from collections.abc import Mapping

from stream.picture.extras import Tags

ITUNES = frozenset(
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
QUICKTIME = frozenset(
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
"""The tags of the older place, in MP4 and in MOV."""
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


def needs_all_names(common: frozenset[str] | None, tags: Tags) -> bool:
    """Whether the tags need QuickTime's newer place. common: names of the older place; None for other containers."""
    return common is not None and not common >= tags.keys()


def with_apple_names(tags: Tags) -> dict[str, str]:
    """The tags of a file for QuickTime's newer place: also under the names that Apple's programs read there."""
    return {name: tags[tag] for tag, name in _APPLE.items() if tag in tags} | dict(tags)


def of_track(container: str, common: frozenset[str] | None, tags: Tags) -> Mapping[str, str]:
    """The tags of a track as the muxer takes them. common: as above.

    Many players of MP4 show the name of the handler as the title.
    """
    written = dict(tags)
    if common is not None and "title" in tags:
        written.setdefault("handler_name", tags["title"])
    language = tags.get("language", "")
    if container == "mov" and language in _BIBLIOGRAPHIC:
        written["language"] = _BIBLIOGRAPHIC[language]
    return written
