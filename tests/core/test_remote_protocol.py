"""JSON-RPC 2.0 in lines: what is valid, what is refused and with which code."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from osiris.core.errors import DriverError, OsirisError, PlanError, Problem, RunCancelledError, StepError
from osiris.core.remote.protocol import (
    INVALID_PARAMS,
    INVALID_REQUEST,
    OSIRIS_ERROR,
    PARSE_ERROR,
    Failure,
    Notification,
    ProtocolError,
    Request,
    Response,
    decode,
    encode,
    make_error,
    make_failure,
    make_notification,
    make_request,
    make_result,
)

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=10,
)
PARAMS = st.dictionaries(st.text(), JSON, max_size=4)
IDS = st.integers() | st.text()


@settings(deadline=None, derandomize=True)
@given(IDS, st.text(), PARAMS)
def test_messages_come_back_as_they_were_sent(number: Any, method: str, params: dict[str, Any]) -> None:
    cases = [
        (make_request(number, method, params), Request(number, method, params)),
        (make_notification(method, params), Notification(method, params)),
        (make_result(number, params), Response(number, params)),
        (make_error(number, -32000, method, params), Failure(number, -32000, method, params)),
    ]
    for message, expected in cases:
        line = encode(message)
        assert line.endswith(b"\n")
        assert len(line.splitlines()) == 1
        assert line.isascii()
        assert json.loads(line)["jsonrpc"] == "2.0"
        assert decode(line) == expected


@pytest.mark.parametrize(
    ("line", "code"),
    [
        (b"{", PARSE_ERROR),
        (b"\xff\xfe", PARSE_ERROR),
        (b'{"jsonrpc": "2.0", "id": 1, "met', PARSE_ERROR),
        (b"[" * 100_000, PARSE_ERROR),
        (b"1", INVALID_REQUEST),
        (b"[]", INVALID_REQUEST),
        (b'[{"jsonrpc": "2.0", "method": "x"}]', INVALID_REQUEST),
        (b'{"id": 1, "method": "x"}', INVALID_REQUEST),
        (b'{"jsonrpc": "1.0", "id": 1, "method": "x"}', INVALID_REQUEST),
        (b'{"jsonrpc": "2.0", "id": 1, "method": 7}', INVALID_REQUEST),
        (b'{"jsonrpc": "2.0", "id": {}, "method": "x"}', INVALID_REQUEST),
        (b'{"jsonrpc": "2.0", "id": true, "method": "x"}', INVALID_REQUEST),
        (b'{"jsonrpc": "2.0", "id": 1, "method": "x", "params": "y"}', INVALID_REQUEST),
        (b'{"jsonrpc": "2.0", "id": 1, "method": "x", "params": [1]}', INVALID_PARAMS),
        (b'{"jsonrpc": "2.0", "id": 1}', INVALID_REQUEST),
        (b'{"jsonrpc": "2.0", "id": 1, "result": 1, "error": {"code": 1, "message": ""}}', INVALID_REQUEST),
        (b'{"jsonrpc": "2.0", "id": 1, "error": "no"}', INVALID_REQUEST),
        (b'{"jsonrpc": "2.0", "id": 1, "error": {"code": "no", "message": ""}}', INVALID_REQUEST),
    ],
)
def test_what_is_no_message_has_its_code(line: bytes, code: int) -> None:
    with pytest.raises(ProtocolError) as caught:
        decode(line)
    assert caught.value.code == code


@pytest.mark.parametrize(
    "error",
    [
        DriverError("no", hint="do", code="a.b", retryable=True, step_id="x", retry_after=2.5),
        StepError("é\u2028\ud800"),
        RunCancelledError("stopped", signal=15),
        PlanError(problems=[Problem(code="x.y", message="m", path="steps[0]", line=3)]),
    ],
)
def test_errors_travel_as_code_and_facts(error: OsirisError) -> None:
    message = decode(encode(make_failure(7, error)))
    assert isinstance(message, Failure)
    assert message.code == OSIRIS_ERROR
    back = message.osiris_error()
    assert type(back) is type(error)
    assert back is not None
    assert back.to_dict() == error.to_dict()


def test_what_json_cannot_hold_is_made_to_fit() -> None:
    message = decode(encode(make_notification("event", {"value": float("nan"), "path": object})))
    assert isinstance(message, Notification)
    assert message.params["value"] is None


def test_a_message_has_a_greatest_length() -> None:
    with pytest.raises(ValueError, match="longer than 100"):
        encode(make_notification("event", {"text": "x" * 100}), 100)
