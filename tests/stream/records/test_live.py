import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ValidationError

from stream.records.live import MOVES, Answer, Command, Meters, Offer, Session, SessionKind, SessionState, Worker
from stream.records.options import Background, Options

RECORDS: list[BaseModel] = [
    Session(id="a", kind=SessionKind.CAMERA),
    Session(
        id="b",
        kind=SessionKind.VIEW,
        owner="ann",
        name="studio",
        state=SessionState.LIVE,
        options=Options(background=Background(kind="blur", strength=0.25), key=(1, 2, 3)),
        worker="w1",
        fence=3,
        of="a",
        created_s=1.5,
        meters=Meters(fps_in=29.97, dropped={"late": 3}, width=640, height=480),
    ),
    Offer(session="a", sdp="v=0\r\n", deadline_s=1e9),
    Answer(problem="full", detail="three of three videos"),
    Command(kind="options", session="a", options=Options(engine="chroma")),
    Worker(id="w1", host="här", pid=1, state="ready", capacity=4, load=0.5),
]


@pytest.mark.parametrize("record", RECORDS, ids=lambda record: type(record).__name__)
def test_records_survive_conversion_to_json(record: BaseModel) -> None:
    assert type(record).model_validate_json(record.model_dump_json()) == record


@pytest.mark.parametrize("record", RECORDS, ids=lambda record: type(record).__name__)
def test_records_refuse_unknown_fields_and_are_frozen(record: BaseModel) -> None:
    with pytest.raises(ValidationError, match="surprise"):
        type(record).model_validate(record.model_dump() | {"surprise": 1})
    with pytest.raises(ValidationError, match="frozen"):
        setattr(record, next(iter(type(record).model_fields)), "x")


@pytest.mark.parametrize("session", [record for record in RECORDS if isinstance(record, Session)])
def test_sessions_survive_conversion_to_fields(session: Session) -> None:
    fields = session.to_fields()
    assert Session.from_fields([*fields, "entry", "1-0"]) == session
    assert Session.from_fields(dict(zip(fields[::2], fields[1::2], strict=True))) == session


def test_every_state_has_transitions_and_can_end() -> None:
    assert set(MOVES) == set(SessionState)
    assert {state for state in SessionState if state.final} == {
        SessionState.ENDED,
        SessionState.FAILED,
        SessionState.LOST,
    }
    assert all(SessionState.ENDED in MOVES[state] for state in SessionState if not state.final)


@given(st.lists(st.sampled_from(list(SessionState)), max_size=6))
def test_no_sequence_of_transitions_returns_to_a_state(targets: list[SessionState]) -> None:
    """A session never returns to a state it left, so waiting for a state needs no second check."""
    seen = [SessionState.OFFERED]
    for target in targets:
        if target in MOVES[seen[-1]]:
            seen.append(target)
    assert len(seen) == len(set(seen)) <= 4


@pytest.mark.parametrize("value", [-1, float("nan"), float("inf")])
def test_meters_refuse_invalid_numbers(value: float) -> None:
    with pytest.raises(ValidationError, match="fps_in"):
        Meters(fps_in=value)
