"""Describe the join service's API in OpenAPI 3.0; the tests check the service against it."""

from typing import Any

from portal.names import NAME_LENGTH

_PROBLEMS = {
    403: "Wrong code, or a request from another site",
    413: "Body larger than 4 KiB",
    415: "The body is not declared as application/json",
    422: "Invalid name",
    423: "The class is locked",
    426: "Not a WebSocket",
    429: "Too many wrong codes",
    503: "The class is full",
}
_PROBLEM = {"type": "object", "required": ["error"], "properties": {"error": {"type": "string"}}}


def _object(**properties: Any) -> dict[str, Any]:
    return {"type": "object", "required": list(properties), "properties": properties}


def _content(schema: dict[str, Any]) -> dict[str, Any]:
    return {"application/json": {"schema": schema}}


def _operation(
    name: str, summary: str, answer: dict[str, Any], body: dict[str, Any] | None, problems: set[int]
) -> dict[str, Any]:
    found: dict[str, Any] = {
        "operationId": name,
        "summary": summary,
        "responses": {
            "200": {"description": "Done", "content": _content(answer)},
            **{
                str(status): {"description": _PROBLEMS[status], "content": _content(_PROBLEM)}
                for status in sorted(problems)
            },
        },
    }
    if body is not None:
        found["requestBody"] = {"required": True, "content": _content(body)}
    return found


_STRING = {"type": "string"}
_JOIN = _object(
    code={"type": "string", "minLength": 1}, name={"type": "string", "minLength": 1, "maxLength": NAME_LENGTH}
)
_TICKET = _object(ticket=_STRING, role={"type": "string", "enum": ["teacher", "pupil"]})
_CLASS = {
    "operationId": "class",
    "summary": "Open the WebSocket of the class; its first frame is `hello` with the ticket",
    "responses": {
        "101": {"description": "The connection is a WebSocket now"},
        **{str(status): {"description": _PROBLEMS[status], "content": _content(_PROBLEM)} for status in (403, 426)},
    },
}

OPENAPI: dict[str, Any] = {
    "openapi": "3.0.3",
    "info": {"title": "Join service of the classroom", "version": "2"},
    "paths": {
        "/api/health": {
            "get": _operation("health", "Check that the service runs", _object(status=_STRING), None, set())
        },
        "/api/openapi.json": {"get": _operation("openapi", "This document", {"type": "object"}, None, set())},
        "/api/join": {
            "post": _operation(
                "join",
                "Exchange a class code and a pseudonym for a ticket",
                _TICKET,
                _JOIN,
                {403, 413, 415, 422, 423, 429, 503},
            )
        },
        "/api/class": {"get": _CLASS},
    },
}
