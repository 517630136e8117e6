"""JSON-RPC 2.0 in lines: what a valid message is, and how errors travel."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from osiris.core.connections import REDACTOR
from osiris.core.errors import OsirisError
from osiris.core.events.jsonable import jsonable
from osiris.core.quick_dataclass import dataclass

__all__ = [
    "INTERNAL_ERROR",
    "INVALID_PARAMS",
    "INVALID_REQUEST",
    "MAX_EVENT_BYTES",
    "MAX_MESSAGE_BYTES",
    "METHOD_NOT_FOUND",
    "OSIRIS_ERROR",
    "PARSE_ERROR",
    "PROTOCOL_VERSION",
    "Failure",
    "Id",
    "Notification",
    "ProtocolError",
    "Request",
    "Response",
    "decode",
    "encode",
    "make_error",
    "make_failure",
    "make_notification",
    "make_request",
    "make_result",
    "told_error",
]

PROTOCOL_VERSION = 1
"""Raised when a client would have to change."""

MAX_EVENT_BYTES = 4 * 1024 * 1024
"""What one notification may take; larger ones are shortened."""

MAX_MESSAGE_BYTES = 64 * 1024 * 1024
"""What one request or response may take; larger ones are refused."""

PARSE_ERROR = -32700
INVALID_REQUEST = -32600
METHOD_NOT_FOUND = -32601
INVALID_PARAMS = -32602
INTERNAL_ERROR = -32603
OSIRIS_ERROR = -32000
"""An :class:`~osiris.core.errors.OsirisError`, whose ``to_dict()`` is the error's data."""

Id = int | str | None

# ASCII only: no line separator of any alphabet in the text, and lone surrogates keep a form.
_encode = json.JSONEncoder(ensure_ascii=True, allow_nan=False, check_circular=False, separators=(",", ":")).encode


class ProtocolError(Exception):
    """A message is not valid JSON-RPC 2.0.

    Args:
        code: The JSON-RPC error code.
        message: What is wrong.
        id: The request's id, where it can be told.
    """

    def __init__(self, code: int, message: str, id: Id = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.id = id


@dataclass(frozen=True)
class Request:
    """Something to be answered."""

    id: Id
    method: str
    params: Mapping[str, Any]


@dataclass(frozen=True)
class Notification:
    """Something not to be answered."""

    method: str
    params: Mapping[str, Any]


@dataclass(frozen=True)
class Response:
    """The answer to a request that was done."""

    id: Id
    result: Any


@dataclass(frozen=True)
class Failure:
    """The answer to a request that was not."""

    id: Id
    code: int
    message: str
    data: Any = None

    def osiris_error(self) -> OsirisError | None:
        """The OsirisError that it carries; None where it carries none."""
        if self.code != OSIRIS_ERROR or not isinstance(self.data, Mapping):
            return None
        return OsirisError.from_dict(self.data)


Message = Request | Notification | Response | Failure


def encode(message: Mapping[str, Any], limit: int = MAX_MESSAGE_BYTES) -> bytes:
    """One line, its end included.

    Raises:
        ValueError: It would be longer than ``limit`` bytes, or JSON cannot hold it.
    """
    try:
        text = _encode(message)
    except (TypeError, ValueError, RecursionError):  # NaN, or something that JSON does not know
        text = _encode(jsonable(message))
    if len(text) >= limit:
        raise ValueError(f"a message of {len(text):,} bytes is longer than {limit:,}")
    return text.encode("ascii") + b"\n"


def decode(line: bytes) -> Message:
    """The message in a line.

    Raises:
        ProtocolError: It is none; with the code and the id to answer with.
    """
    try:
        message = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise ProtocolError(PARSE_ERROR, f"not JSON: {error}") from None
    if isinstance(message, list):
        raise ProtocolError(INVALID_REQUEST, "batches are not taken; send one message a line")
    if not isinstance(message, dict):
        raise ProtocolError(INVALID_REQUEST, "not a JSON object")
    known = message.get("id")
    request_id = known if isinstance(known, int | str) and not isinstance(known, bool) else None
    if message.get("jsonrpc") != "2.0":
        raise ProtocolError(INVALID_REQUEST, "jsonrpc is not '2.0'", request_id)
    if "id" in message and known is not None and request_id is None:
        raise ProtocolError(INVALID_REQUEST, "id is neither a string nor a whole number")
    return _call(message, request_id) if "method" in message else _answer(message, request_id)


def _call(message: dict[str, Any], id: Id) -> Request | Notification:
    method, params = message["method"], message.get("params", {})
    if not isinstance(method, str):
        raise ProtocolError(INVALID_REQUEST, "method is not a string", id)
    if isinstance(params, list):
        raise ProtocolError(INVALID_PARAMS, "params are taken by name", id)
    if not isinstance(params, dict):
        raise ProtocolError(INVALID_REQUEST, "params is not an object", id)
    return Request(id, method, params) if "id" in message else Notification(method, params)


def _answer(message: dict[str, Any], id: Id) -> Response | Failure:
    if "id" not in message or ("result" in message) == ("error" in message):
        raise ProtocolError(INVALID_REQUEST, "neither a method, nor an id with either result or error", id)
    if "result" in message:
        return Response(id, message["result"])
    error = message["error"]
    if not isinstance(error, dict):
        raise ProtocolError(INVALID_REQUEST, "error is not an object", id)
    code, text = error.get("code"), error.get("message")
    if not isinstance(code, int) or isinstance(code, bool) or not isinstance(text, str):
        raise ProtocolError(INVALID_REQUEST, "error has no code or no message", id)
    return Failure(id, code, text, error.get("data"))


def make_request(id: Id, method: str, params: Mapping[str, Any]) -> dict[str, Any]:
    """A request."""
    return {"jsonrpc": "2.0", "id": id, "method": method, "params": params}


def make_notification(method: str, params: Mapping[str, Any]) -> dict[str, Any]:
    """A notification."""
    return {"jsonrpc": "2.0", "method": method, "params": params}


def make_result(id: Id, result: Any) -> dict[str, Any]:
    """A response."""
    return {"jsonrpc": "2.0", "id": id, "result": result}


def make_error(id: Id, code: int, message: str, data: Any = None) -> dict[str, Any]:
    """An error response."""
    error: dict[str, Any] = {"code": code, "message": message}
    if data is not None:
        error["data"] = data
    return {"jsonrpc": "2.0", "id": id, "error": error}


def make_failure(id: Id, error: OsirisError) -> dict[str, Any]:
    """An error response that carries an OsirisError."""
    told = told_error(error)
    return make_error(id, OSIRIS_ERROR, told["message"], told)


def told_error(error: OsirisError) -> dict[str, Any]:
    """An OsirisError as data, secrets replaced in what is for people; type and code stay what they are."""
    data = error.to_dict()
    hint = data["hint"]
    return {
        **data,
        "message": REDACTOR.text(data["message"]),
        "hint": REDACTOR.text(hint) if hint else hint,
        "facts": REDACTOR(data["facts"]),
    }
