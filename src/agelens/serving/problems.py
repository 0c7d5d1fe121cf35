"""The errors of a request, each with its HTTP status and its JSON form."""

from typing import Any

from starlette.responses import JSONResponse

from agelens.errors import AgelensError, PictureTooLarge

CODES = {400: "bad_request", 404: "not_found", 405: "method_not_allowed", 422: "invalid"}


class Problem(Exception):
    """A request that is answered with an error; the message is for the client."""

    def __init__(
        self, status: int, code: str, message: str, details: dict[str, Any] | None = None, *,
        retry_after: int | None = None, headers: dict[str, str] | None = None,
    ) -> None:  # fmt: skip
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.details = details or {}
        self.headers = dict(headers or {})
        if retry_after is not None:
            self.headers["Retry-After"] = str(retry_after)

    def to_dict(self) -> dict[str, Any]:
        """Return the error as plain values for JSON."""
        return {"code": self.code, "message": self.message, "details": self.details}

    def response(self, request_id: str) -> JSONResponse:
        """Return the whole response."""
        body = {"error": self.to_dict(), "request_id": request_id}
        return JSONResponse(body, self.status, self.headers)


def picture_problem(error: AgelensError) -> Problem:
    """Return the problem for a picture that cannot be decoded."""
    if isinstance(error, PictureTooLarge):
        return Problem(413, "picture_too_large", str(error))
    return Problem(422, "bad_picture", str(error))


def internal_error() -> Problem:
    """Return the problem for a bug; the log has the cause, under the request's id."""
    return Problem(500, "internal", "the service failed to answer; this is not your fault")


def timeout(seconds: float) -> Problem:
    """Return the problem for a request that took too long."""
    message = f"no answer within {seconds:g} s: try again, or send less at once"
    return Problem(503, "timeout", message, {"seconds": seconds}, retry_after=5)
