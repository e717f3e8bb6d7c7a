"""The input of a segment task or a join task: the planned job, its video on this machine, settings and watcher."""

from dataclasses import dataclass
from pathlib import Path

from stream.records.jobs import Job, Output
from stream.records.options import Options
from stream.settings import Settings
from workers.files.plan import Plan
from workers.files.watcher import Watcher


@dataclass(frozen=True)
class Work:
    """A planned job on one machine. path: the job's video."""

    job: Job
    plan: Plan
    path: Path
    settings: Settings
    watcher: Watcher

    @property
    def encoder_settings(self) -> Settings:
        """Settings of the encoders, equal on every machine, so that all segments are encoded in the same way."""
        return self.settings.model_copy(update={"threads": self.plan.threads, "hw_encode": False})

    def options(self, output: Output) -> Options:
        """The job's options with the overrides of an output."""
        return output.options(self.job.options)
