"""What can go wrong with a request, each with its status and its JSON form."""

from typing import Any

from starlette.responses import JSONResponse

from agelens.errors import AgelensError, PictureTooLarge

CODES = {400: "bad_request", 404: "not_found", 405: "method_not_allowed", 422: "invalid"}


class Problem(Exception):
    """A request that is answered with an error; the message is for the one who asked."""

    def __init__(
        self,
        status: int,
        code: str,
        message: str,
        details: dict[str, Any] | None = None,
        *,
        retry_after: int | None = None,
        headers: dict[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.details = details or {}
        self.headers = dict(headers or {})
        if retry_after is not None:
            self.headers["Retry-After"] = str(retry_after)

    def value(self) -> dict[str, Any]:
        """Give the error as plain values for JSON."""
        return {"code": self.code, "message": self.message, "details": self.details}

    def response(self, request_id: str) -> JSONResponse:
        """Give the whole answer."""
        body = {"error": self.value(), "request_id": request_id}
        return JSONResponse(body, self.status, self.headers)


def of_picture(error: AgelensError) -> Problem:
    """Tell what an error of one picture is over HTTP."""
    if isinstance(error, PictureTooLarge):
        return Problem(413, "picture_too_large", str(error))
    return Problem(422, "bad_picture", str(error))


def internal() -> Problem:
    """Give the error for our own fault; what happened is in the log, under the request's id."""
    return Problem(500, "internal", "the service failed to answer; this is not your fault")


def timed_out(seconds: float) -> Problem:
    """Give the error for a request that took too long."""
    return Problem(
        503,
        "timeout",
        f"no answer within {seconds:g} s: try again, or send less at once",
        {"seconds": seconds},
        retry_after=5,
    )
