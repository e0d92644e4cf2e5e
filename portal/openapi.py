"""Describe the join service's API in OpenAPI 3.0; the tests check the service against it."""

from typing import Any

from portal.chat import TEXT_LENGTH
from portal.names import NAME_LENGTH

_PROBLEMS = {
    401: "No valid token",
    403: "Wrong code, or not a teacher",
    404: "Not in the room",
    413: "Body larger than 4 KiB",
    422: "Invalid value in the request",
    423: "The room is locked",
    429: "Too many requests",
    503: "No media server answers",
}
_PROBLEM = {"type": "object", "required": ["error"], "properties": {"error": {"type": "string"}}}


def _object(**properties: Any) -> dict[str, Any]:
    return {"type": "object", "required": list(properties), "properties": properties}


def _content(schema: dict[str, Any]) -> dict[str, Any]:
    return {"application/json": {"schema": schema}}


def _operation(
    name: str, summary: str, answer: dict[str, Any], body: dict[str, Any] | None, token: bool, problems: set[int]
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
    if token:
        found["security"] = [{"token": []}]
    return found


_STRING, _BOOLEAN = {"type": "string"}, {"type": "boolean"}
_TEACHER = {401, 403, 404, 503}
_JOIN = _object(
    code={"type": "string", "minLength": 1}, name={"type": "string", "minLength": 1, "maxLength": NAME_LENGTH}
)
_TICKET = _object(token=_STRING, url=_STRING, role={"type": "string", "enum": ["teacher", "pupil"]})
_HAND = _object(raised=_BOOLEAN)
_HAND["properties"]["identity"] = {
    "type": "string",
    "minLength": 1,
    "description": "Participant whose hand a teacher lowers; default: oneself",
}

OPENAPI: dict[str, Any] = {
    "openapi": "3.0.3",
    "info": {"title": "Join service of the classroom", "version": "1"},
    "paths": {
        "/api/health": {
            "get": _operation("health", "Check that the service runs", _object(status=_STRING), None, False, set())
        },
        "/api/openapi.json": {"get": _operation("openapi", "This document", {"type": "object"}, None, False, set())},
        "/api/join": {
            "post": _operation(
                "join",
                "Exchange a class code and a pseudonym for a token",
                _TICKET,
                _JOIN,
                False,
                {403, 413, 422, 423, 429},
            )
        },
        "/api/hand": {
            "post": _operation(
                "hand", "Raise or lower one's hand", _HAND, _HAND, True, {401, 403, 404, 413, 422, 429, 503}
            )
        },
        "/api/chat": {
            "post": _operation(
                "chat",
                "Send a chat message to the room",
                {"type": "object"},
                _object(text={"type": "string", "minLength": 1, "maxLength": TEXT_LENGTH}),
                True,
                {401, 404, 413, 422, 429, 503},
            )
        },
        "/api/mute-all": {
            "post": _operation(
                "mute-all", "Mute all other participants", _object(muted={"type": "integer"}), None, True, _TEACHER
            )
        },
        "/api/remove": {
            "post": _operation(
                "remove",
                "Remove a participant from the room",
                {"type": "object"},
                _object(identity={"type": "string", "minLength": 1}),
                True,
                _TEACHER | {413, 422},
            )
        },
        "/api/lock": {
            "post": _operation(
                "lock",
                "Lock the room for new pupils, or unlock it",
                _object(locked=_BOOLEAN),
                _object(locked=_BOOLEAN),
                True,
                _TEACHER | {413, 422},
            )
        },
    },
    "components": {"securitySchemes": {"token": {"type": "http", "scheme": "bearer"}}},
}
