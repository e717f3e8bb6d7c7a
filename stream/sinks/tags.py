"""Tags in the vocabulary of each container, as FFmpeg's muxers write them.

MP4 has two tag formats. The older one, of iTunes, has a fixed list of names, and all players read it. The newer one, of
QuickTime, allows all names. The muxer writes only one of them, so the newer one is used if a file has tags that the
older one does not allow, such as those of phones. MOV also has two: an older one of QuickTime, and the newer one.
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
"""The names that the older formats allow: iTunes' in MP4, QuickTime's in MOV."""
# Names that players read in QuickTime's newer format; the plain ones are FFmpeg's own.
_APPLE = {
    name: f"com.apple.quicktime.{name}"
    for name in ("title", "artist", "author", "album", "comment", "genre", "copyright", "description", "make", "model")
}
# For these languages, FFmpeg's MOV muxer knows only the other code of ISO 639-2.
_BIBLIOGRAPHIC = {
    "ces": "cze", "cym": "wel", "deu": "ger", "ell": "gre", "eus": "baq", "fas": "per", "fre": "fra", "hye": "arm",
    "isl": "ice", "kat": "geo", "mkd": "mac", "mri": "mao", "msa": "may", "mya": "bur", "nld": "dut", "ron": "rum",
    "slo": "slk", "sqi": "alb", "bod": "tib", "zho": "chi",
}  # fmt: skip


def needs_all_names(common: frozenset[str] | None, tags: Tags) -> bool:
    """Whether the tags need QuickTime's newer format. common: names that the older one allows; None elsewhere."""
    return common is not None and not common >= tags.keys()


def with_apple_names(tags: Tags) -> dict[str, str]:
    """The tags of a file for QuickTime's newer format: also under the names that Apple's programs read."""
    return {name: tags[tag] for tag, name in _APPLE.items() if tag in tags} | dict(tags)


def of_track(container: str, common: frozenset[str] | None, tags: Tags) -> Mapping[str, str]:
    """The tags of a track, for the muxer `container`. common: as above.

    Many players of MP4 show the name of the handler as the title.
    """
    written = dict(tags)
    if common is not None and "title" in tags:
        written.setdefault("handler_name", tags["title"])
    language = tags.get("language", "")
    if container == "mov" and language in _BIBLIOGRAPHIC:
        written["language"] = _BIBLIOGRAPHIC[language]
    return written
