"""What could be a subject in one frame of a video or picture: the answer of `mattebox subjects` and of
POST /api/candidates.

Knows nothing about how candidates are found.
"""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from stream import limits
from stream.records.engines import AUTO

Share = Annotated[float, Field(ge=0.0, le=1.0)]
Outline = tuple[tuple[Share, Share], ...]
"""The corners (x, y) of a closed line."""


class Candidate(BaseModel):
    """One candidate. Coordinates are relative to the upright picture, from its upper left corner."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    number: int = Field(ge=1, description="its number in the list and in the picture")
    subject: str = Field(description="what chooses it, as text: a prompt of `subjects`, and of --subject")
    box: tuple[Share, Share, Share, Share] = Field(description="left, top, width and height")
    area: Share = Field(description="its share of the picture's area")
    score: Share = Field(description="how sure the chooser is that this is one thing")
    outlines: tuple[Outline, ...] = Field(
        (),
        description="closed lines around its parts and its holes; what lies inside an odd number of them belongs to it",
    )


class CandidateSearch(BaseModel):
    """Which candidates a job lists."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    chooser: str = Field(AUTO, max_length=limits.ID, description="what finds them; auto: the best that is available")
    smallest: Share = Field(
        limits.CANDIDATE_SHARE, description="share of the picture's area; what is smaller is left out"
    )
    most: int = Field(limits.CANDIDATES, ge=1, le=limits.CANDIDATES_MOST, description="the largest so many are listed")


CANDIDATES = TypeAdapter(tuple[Candidate, ...])
"""A list of them, as JSON in storage."""
