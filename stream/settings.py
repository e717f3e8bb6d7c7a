"""One frozen Settings, read once from the environment at start. README's table is checked against it by a test."""

import functools
import os
from pathlib import Path

from pydantic import AliasChoices, Field, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from stream.errors import UsageError


def _cache_dir() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "mattebox"


def _data_dir() -> Path:
    return Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share") / "mattebox"


class Settings(BaseSettings):
    """What the operator may set, as `MATTEBOX_<NAME>`. Limits are checked before anything is decoded."""

    model_config = SettingsConfigDict(env_prefix="MATTEBOX_", frozen=True, extra="ignore", env_ignore_empty=True)

    threads: int = Field(0, ge=0, le=256, description="cores to use; 0: all that this process may run on")
    offline: bool = Field(False, description="never touch the network")
    cache_dir: Path = Field(default_factory=_cache_dir, description="where weights are kept")
    max_pixels: int = Field(36_000_000, ge=4, description="largest picture read, width x height (8K fits)")
    max_frames: int = Field(5_000_000, ge=1, description="most frames read from one file")
    max_duration_s: float = Field(86_400.0, gt=0, description="longest file read, in seconds")
    max_decode_errors: float = Field(0.5, ge=0, le=1, description="share of damaged frames past which a file fails")
    birefnet: str = Field("general", description="weights of that engine: a name, repo id or file, perhaps @WxH")
    half: bool = Field(True, description="half precision, where the device computes in it")
    hw_encode: bool = Field(True, description="use the GPU's H.264 encoder where it opens")
    data_dir: Path = Field(default_factory=_data_dir, description="where `serve` keeps its records")
    redis_url: str = Field(
        "",
        validation_alias=AliasChoices("MATTEBOX_REDIS_URL", "redis_url"),  # the latter is the environment's REDIS_URL
        description="redis://, rediss:// or unix:// address; empty: `serve` starts a server of its own",
    )

    def cores(self) -> int:
        """Number of cores to keep busy, at least 1."""
        if self.threads:
            return self.threads
        if hasattr(os, "sched_getaffinity"):
            return len(os.sched_getaffinity(0))
        return os.cpu_count() or 1

    def codec_threads(self) -> int:
        """Threads for one encoder or decoder.

        A file's decoder, engine and encoder run at the same time; on few cores one thread for each codec measured
        fastest, and more only pay when there are cores the engine leaves idle.
        """
        return max(1, min(8, self.cores() // 4))


@functools.cache
def settings() -> Settings:
    """The process's settings. Tests build their own `Settings(...)` and pass it on. Raises UsageError."""
    try:
        return Settings()
    except ValidationError as exc:
        wrong = (f"MATTEBOX_{str(e['loc'][0]).upper()}={e['input']!r}: {e['msg']}" for e in exc.errors())
        raise UsageError("; ".join(wrong)) from None
