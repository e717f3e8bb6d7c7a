"""One frozen Settings, read once from the environment at start. A test compares docs/settings.md with it.

Pydantic alone checks it: pydantic-settings also reads files, clouds and command lines, and doubles the time to import
this module, in every process.
"""

import functools
import ipaddress
import os
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, SecretStr, ValidationError, model_validator

from stream import cores
from stream.errors import UsageError
from stream.limits import JOBS_KEEP_S


def _cache_dir() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "mattebox"


def _data_dir() -> Path:
    return Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share") / "mattebox"


def _ip(text: str) -> str:
    return str(ipaddress.ip_address(text)) if text else ""


IpAddress = Annotated[str, AfterValidator(_ip)]


class Settings(BaseModel):
    """Settings of the operator, as environment variables `MATTEBOX_<NAME>`, in upper or lower case; an empty one is not
    set. Arguments replace them. Limits are checked before decoding."""

    model_config = ConfigDict(frozen=True, extra="ignore", validate_default=True)

    threads: int = Field(
        0, ge=0, le=256, description="cores to use; 0: all that this process and its container may use"
    )
    offline: bool = Field(False, description="never use the network")
    cache_dir: Path = Field(default_factory=_cache_dir, description="where weights are stored")
    max_pixels: int = Field(36_000_000, ge=4, description="largest frame read, width x height (8K fits)")
    max_picture_pixels: int = Field(
        150_000_000, ge=4, le=178_000_000, description="largest still picture read, width x height"
    )
    max_frames: int = Field(5_000_000, ge=1, description="maximum number of frames read from one file")
    max_duration_s: float = Field(86_400.0, gt=0, description="longest file read, in seconds")
    max_decode_errors: float = Field(0.5, ge=0, le=1, description="share of damaged frames above which a file fails")
    birefnet: str = Field("general", description="weights: a name, repo id or file, with @WxH for the input size")
    onnx: str = Field(
        "", description="weights of the engine onnx: a name or .onnx file, with @WxH; empty: servers do not offer it"
    )
    sam2: str = Field("small", description="weights of the chooser sam2: a name, repo id or folder")
    edgetam: str = Field("edgetam", description="weights of the chooser edgetam: a name, repo id or folder")
    sam3: str = Field("sam3", description="weights of the chooser sam3: a name, repo id or folder")
    mask2former: str = Field("large", description="weights of the chooser mask2former: a name, repo id or folder")
    eomt: str = Field("ade20k", description="weights of the chooser eomt: a name, repo id or folder")
    oneformer: str = Field("large", description="weights of the chooser oneformer: a name, repo id or folder")
    faces: str = Field("faces", description="weights that find what `keep` names: a name, repo id or folder")
    vitmatte: str = Field(
        "small", description="weights of --refine vitmatte: a name, a repo id, or a folder that save_pretrained wrote"
    )
    half: bool = Field(True, description="half precision, where the device supports it")
    hw_encode: bool = Field(True, description="use the GPU's H.264 encoder where available")
    health_file: Path | None = Field(
        None, description="`worker` and `serve` touch this file once a second while their programs work"
    )
    data_dir: Path = Field(default_factory=_data_dir, description="records, backgrounds and the secret")
    storage: str = Field(
        "", description="where uploads and results are stored: a folder, or s3://BUCKET; empty: data_dir"
    )
    s3_endpoint: str = Field("", description="address of an S3-compatible server; default AWS_ENDPOINT_URL")
    max_upload_bytes: int = Field(20 * 2**30, ge=1, description="largest video uploaded or fetched, in bytes")
    uploads_per_user: int = Field(
        100 * 2**30,
        ge=1,
        description="bytes that one user's uploads, and as many that the files of one user's jobs, may take",
    )
    upload_keep_s: float = Field(86_400.0, gt=0, description="an upload not written to for this long is removed")
    jobs_keep_s: float = Field(
        float(JOBS_KEEP_S), gt=0, le=JOBS_KEEP_S, description="time from a job's end to its removal, with its results"
    )
    jobs_per_user: int = Field(1000, ge=1, description="unfinished jobs per user")
    allow_private_urls: bool = Field(False, description="allow jobs, webhooks and feeds to use private addresses")
    feeds_per_user: int = Field(20, ge=0, description="feeds per user")
    feed_devices: bool = Field(False, description="allow feeds to use the cameras and virtual cameras of the workers")
    redis_url: str = Field(
        "", description="address of Redis: one server, Sentinel or a cluster; empty: `serve` starts its own server"
    )
    tokens: SecretStr = Field(SecretStr(""), description="users, as name:token,name:token")
    token: SecretStr = Field(SecretStr(""), description="a single user's token")
    secret: SecretStr = Field(
        SecretStr(""), description="key that signs cookies and links; unset: generated in data_dir"
    )
    origins: str = Field("", description="additional allowed origins: https://studio.example,...")
    trusted_proxies: str = Field("", description="addresses of proxies whose X-Forwarded-For is trusted")
    max_connections: int = Field(2048, ge=8, description="HTTP connections of a web process")
    max_connections_per_address: int = Field(256, ge=1, description="HTTP connections of one client address")
    headers_timeout_s: float = Field(10.0, gt=0, description="longest wait for the headers of a request")
    body_timeout_s: float = Field(30.0, gt=0, description="an upload that sends nothing for this long is interrupted")
    unread_timeout_s: float = Field(
        120.0, gt=0, description="a connection whose client reads nothing of a response for this long is closed"
    )
    offer_wait_s: float = Field(
        10.0, gt=0, le=60, description="an offer that no worker takes within this time gets 503"
    )
    max_offers: int = Field(100, ge=1, description="offers per user and address in 10 s; more get 429")
    max_backgrounds: int = Field(50, ge=0, description="stored backgrounds per user")
    max_background_bytes: int = Field(200 * 2**20, ge=1, description="largest background uploaded, in bytes")
    ice_servers: str = Field("", description="STUN and TURN servers, comma-separated: stun:HOST:PORT,turn:HOST:PORT")
    turn_secret: str = Field("", description="secret shared with the TURN servers, for credentials valid for an hour")
    udp_ports: str = Field(
        "", pattern=r"^(\d{1,5}-\d{1,5})?$", description="port range for media; empty: any free port"
    )
    udp_address: IpAddress = Field("", description="address to receive media on; empty: all addresses of the machine")
    public_address: IpAddress = Field("", description="address that clients see, behind a router or in a container")
    loopback_candidates: bool = Field(False, description="offer 127.0.0.1 too; always offered without a network")
    connect_timeout_s: float = Field(10.0, gt=0, description="an offer not connected within this time is closed")
    media_timeout_s: float = Field(10.0, gt=0, description="a connection silent for this long is closed")
    live_pixels: int = Field(
        2_088_960, ge=4, description="largest live frame, width x height; larger ones are scaled down"
    )
    max_bitrate: int = Field(8_000_000, ge=100_000, description="maximum bits per second sent to a viewer")
    rtsp_transport: Literal["tcp", "udp"] = Field("tcp", description="transport of RTSP sources: tcp or udp")
    rtsp_timeout_s: float = Field(
        5.0, gt=0, le=60, description="a live source of any scheme that is silent for this long counts as lost"
    )
    rtsp_retry_s: float = Field(5.0, gt=0, description="pause before reconnecting to a lost live source of any scheme")
    ca_file: Path | None = Field(
        None, description="certificate authorities trusted for streams over TLS; empty: those of the system"
    )
    output_timeout_s: float = Field(
        10.0, gt=0, le=60, description="a live output that accepts nothing for this long is disconnected and retried"
    )
    slate_after_s: float = Field(1.0, gt=0, description="a live source without a frame for this long shows the slate")
    live_sessions: int = Field(0, ge=0, description="live videos per worker; 0: measured at start")
    drain_s: float = Field(
        0.0, ge=0, le=86_400, description="a worker that is shut down lets its live videos continue for this long"
    )

    @model_validator(mode="before")
    @classmethod
    def _with_environment(cls, given: Any) -> Any:
        return _environment(cls.model_fields) | given

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        first, last = self.udp_port_range()
        if last and not 0 < first <= last < 65_536:
            raise ValueError(f"MATTEBOX_UDP_PORTS={self.udp_ports}: write it as FIRST-LAST, up to 65535")
        for url in self.ice_server_urls():
            if not re.fullmatch(r"(stun|turns?):[^?\s]+(\?transport=(udp|tcp))?", url):
                raise ValueError(f"MATTEBOX_ICE_SERVERS: {url!r} is neither stun:HOST:PORT nor turn:HOST:PORT")
            if url.startswith("turn") and not self.turn_secret:
                raise ValueError("MATTEBOX_ICE_SERVERS names a TURN server: set MATTEBOX_TURN_SECRET too")
        return self

    def ice_server_urls(self) -> list[str]:
        return [url.strip() for url in self.ice_servers.split(",") if url.strip()]

    def udp_port_range(self) -> tuple[int, int]:
        """First and last UDP port for media; (0, 0): any."""
        first, _, last = self.udp_ports.partition("-")
        return int(first or 0), int(last or 0)

    def cores(self) -> int:
        """Number of cores to use, at least 1."""
        return self.threads or cores.available()

    def codec_threads(self) -> int:
        """Threads of one encoder or decoder, 1 to 8.

        A file's decoder, engine and encoder run at the same time: on few cores one thread per codec measured fastest,
        and more help only where the engine leaves cores idle.
        """
        return max(1, min(8, self.cores() // 4))


def _environment(fields: Iterable[str]) -> dict[str, str]:
    """The values of the fields that are set in the environment. REDIS_URL, the usual name, works too."""
    variables = {name.upper(): text for name, text in os.environ.items() if text}
    names = {field: f"MATTEBOX_{field.upper()}" for field in fields}
    found = {field: variables[name] for field, name in names.items() if name in variables}
    return {"redis_url": variables["REDIS_URL"], **found} if "REDIS_URL" in variables else found


@functools.cache
def settings() -> Settings:
    """The process's settings; tests build their own `Settings(...)`. Raises UsageError."""
    try:
        return Settings()
    except ValidationError as exc:
        raise UsageError("; ".join(map(_readable, exc.errors()))) from None


def _readable(error: Any) -> str:
    message = error["msg"].removeprefix("Value error, ")
    return f"MATTEBOX_{str(error['loc'][0]).upper()}={error['input']!r}: {message}" if error["loc"] else message
