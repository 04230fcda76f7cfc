"""Frames from a stream: raw steps, lines of numbers, and lines that are none."""

from __future__ import annotations

from io import BytesIO

import numpy as np
import pytest

from lnn_edge.data.frame import ANY, Frame, FrameChannel
from lnn_edge.data.live import LineFrames, Lost, raw_frames
from lnn_edge.errors import DataError

ECG = Frame(360.0, (FrameChannel("MLII", "mV", 200.0, 1024), FrameChannel(ANY, "mV", 200.0, 1024)))


def lines_of(text: str, told: dict[str, str] | None = None) -> list[object]:
    found = LineFrames(ECG, told or {}).of(text.encode().splitlines())
    return [x.reason if isinstance(x, Lost) else x.tolist() for x in found]


def test_raw_steps_arrive_as_they_are() -> None:
    steps = np.array([[1, -2], [3, 32767]], "<i2")
    frames = list(raw_frames(BytesIO(steps.tobytes()), 2))
    assert np.array_equal(frames, steps)
    assert frames[0].dtype == np.int16
    with pytest.raises(DataError, match="3 bytes are left and a frame has 4"):
        list(raw_frames(BytesIO(steps.tobytes()[:-1]), 2))


@pytest.mark.parametrize(
    "text",
    ["1,-0.5\n0.0025,0", "1;-0.5\n0.0025;0", " 1  -0.5 \n\n0.0025\t0\r", "MLII,V5\n1,-.5\n25e-4,0"],
)
def test_numbers_are_in_the_units_of_the_model(text: str) -> None:
    assert lines_of(text) == [[1224, 924], [1025, 1024]]


def test_named_columns_have_units_and_an_order_of_their_own() -> None:
    text = "time (s),V5 (uV),mlii (uV),note\n0.1,500,1000,0\n0.2,0,-1000,0"
    assert lines_of(text) == [[1224, 1124], [824, 1024]]
    told = "time,I [mV],II [mV]\n0,1,2"
    assert lines_of(told, {"MLII": "II"}) == [[1424, 1224]]
    with pytest.raises(DataError, match="the model needs MLII"):
        lines_of(told)


def test_columns_of_a_model_without_names_are_taken_in_order() -> None:
    frame = Frame(1.0, (FrameChannel("channel_1", "", 10.0), FrameChannel("channel_2", "", 10.0)))
    found = list(LineFrames(frame, {}).of([b"time,load,flow\n", b"0,1,2\n"]))
    assert [np.asarray(f).tolist() for f in found] == [[10, 20]]


def test_bytes_that_are_no_text_are_said_to_be_none() -> None:
    for data in (b"\x00\x01\x80\xff,\x02\n", b"MLII\x1b[2J,V5\n"):
        with pytest.raises(DataError, match="neither numbers nor names"):
            list(LineFrames(ECG, {}).of([data]))


def test_a_line_that_is_no_frame_is_lost_with_a_reason() -> None:
    found = lines_of("1,1\n1\n1,x\n1,nan\n1,1,1\n1,9e9\n2,2")
    assert found[0] == [1224, 1224]
    assert found[-1] == [1424, 1424]
    reasons = [str(r) for r in found[1:-1]]
    said = ["1 numbers and must have 2", "numbers only", "absent", "3 numbers", "beyond 16 bit"]
    assert [part in reason for part, reason in zip(said, reasons, strict=True)] == [True] * 5
