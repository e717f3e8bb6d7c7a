"""Every demuxer of FFmpeg is either read or refused for a reason that is named here."""

from collections import Counter

import av
from av.format import formats_available

from stream.sources.demuxers import RAW, SUPPORTED, WHITELIST

OTHER_FILES = "concat hls image2 image2pipe mlv msnwctcp rtp rtsp sap sdp vobsub webm_dash_manifest"
DEVICES = "alsa fbdev kmsgrab lavfi oss video4linux2,v4l2 x11grab"
DRAWS_TEXT = "adf bin ffmetadata idf sbg tty xbin"
NEEDS_PARAMETERS = "bitpacked data ipu rawvideo v210 v210x vc1test"
MATCHES_RANDOM_DATA = "h261 h263"
END_IS_AN_ERROR = "gxf"
VARIANTS_CHOSEN_BY_NAME_ALONE = "asf_o live_flv mpegtsraw"
PICTURES = """alias_pix brender_pix bmp_pipe cri_pipe dds_pipe dpx_pipe exr_pipe fits gem_pipe gif_pipe hdr_pipe ico iff
    j2k_pipe jpeg_pipe jpegls_pipe jpegxl_anim jpegxl_pipe jpegxs_pipe mjpeg_2000 msp pam_pipe pbm_pipe pcx_pipe
    pfm_pipe pgm_pipe pgmyuv_pipe pgx_pipe phm_pipe photocd_pipe pictor_pipe png_pipe ppm_pipe psd_pipe qdraw_pipe
    qoi_pipe sgi_pipe sunrast_pipe svg_pipe tiff_pipe txd vbn_pipe webp_pipe xbm_pipe xpm_pipe xwd_pipe"""
SUBTITLES = """aqtitle ass dvbsub dvbtxt jacosub lrc mcc microdvd mpl2 mpsub pjs rcwt realtext sami scc srt stl
    subviewer subviewer1 sup tedcaptions vplayer webvtt"""
SOUND = """aa aac aax ac3 ac4 ace acm act adp ads adx aea afc aiff aix alaw alp amr amrnb amrwb apac apc ape apm aptx
    aptx_hd argo_asf ast au avr bfstm binka bit boa bonk brstm caf codec2 codec2raw daud dcstr derf dfpwm dsf dss dts
    dtshd ea_cdata eac3 epaf f32be f32le f64be f64le flac fsb fwse g722 g723_1 g726 g726le g728 g729 genh gsm hca hcom
    iamf ilbc ircam iss kvag laf lc3 loas mca mlp mmf mp3 mpc mpc8 msf mtaf mulaw musx nistsphere nsp oma osq pp_bnk pvf
    qcp qoa redspark rka rsd rso s16be s16le s24be s24le s32be s32le s337m s8 sbc scd sdns sdr2 sds sdx shn sln sol sox
    spdif svag svs tak truehd tta u16be u16le u24be u24le u32be u32le u8 vag vidc voc vpk vqf w64 wady wav wavarc wsaud
    wsd wv wve xa xmd xvag xwma argo_cvg"""
GAMES_AND_OLD_COMPUTERS = """3dostr 4xm anm argo_brp avs bethsoftvid bfi bink bmv c93 cdg cdxl dfa dsicin dxa ea
    film_cpk filmstrip flic frm gdv hnm idcin ipmovie jv mgsts mm mods moflex mtv mv mvi paf pdv pmp psxstr rl2 roq rpl
    sga siff simbiosis_imx smjpeg smk smush swf thp tiertexseq tmv usm vividas vivo vmd wc3movie wsvqa xmv yop"""
NO_DECODER = "avs2 avs3 evc r3d"
NEVER_TRIED = "apv cine dhav hxvs ifv ingenient ivr iv8 lmlm4 luodat lvf lxf mpjpeg mxg nc nsv nuv pva ser ty"
"""Formats of cameras and recorders for which there is neither a muxer nor a sample that could be tested."""

REFUSED = " ".join(
    [OTHER_FILES, DEVICES, DRAWS_TEXT, NEEDS_PARAMETERS, MATCHES_RANDOM_DATA, END_IS_AN_ERROR,
     VARIANTS_CHOSEN_BY_NAME_ALONE, PICTURES, SUBTITLES, SOUND, GAMES_AND_OLD_COMPUTERS, NO_DECODER, NEVER_TRIED]
).split()  # fmt: skip


def demuxers() -> set[str]:
    found = set()
    for name in formats_available:
        try:
            kind = av.ContainerFormat(name, "r")
        except ValueError:  # a muxer only
            continue
        if kind.is_input:
            found |= {kind.name} if "v4l2" in kind.name else set(kind.name.split(","))
    return found


def test_every_demuxer_is_read_or_refused_for_one_reason() -> None:
    read = set(WHITELIST.split(","))
    assert not read & set(REFUSED)
    assert [name for name, count in Counter(REFUSED).items() if count > 1] == []
    assert demuxers() - {"m4a", "3g2", "mj2"} - read - set(REFUSED) == set(), "decide about these"
    assert demuxers() >= RAW


def test_the_kinds_that_are_read_are_listed_for_messages() -> None:
    assert SUPPORTED.startswith("MP4, MOV, 3GP, MKV, WebM, AVI, ")
    assert "raw streams of H.264, HEVC, " in SUPPORTED
    assert ", ," not in SUPPORTED
