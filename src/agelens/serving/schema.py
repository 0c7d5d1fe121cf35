"""The JSON of requests, responses and errors, with the examples that OpenAPI shows."""

from typing import Any

from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import JSONResponse


class Problem(Exception):
    """A request that is answered with an error; the message is for the client."""

    def __init__(
        self, status: int, code: str, message: str, details: dict[str, Any] | None = None,
        **headers: str,
    ) -> None:  # fmt: skip
        """Set the error; `Retry_After="1"` adds the header Retry-After."""
        super().__init__(message)
        self.status, self.code, self.message = status, code, message
        self.details = details or {}
        self.headers = {name.replace("_", "-"): value for name, value in headers.items()}

    def to_dict(self) -> dict[str, Any]:
        """Return the error as plain values for JSON."""
        return {"code": self.code, "message": self.message, "details": self.details}

    def response(self, request_id: str) -> JSONResponse:
        """Return the whole response."""
        body = {"error": self.to_dict(), "request_id": request_id}
        return JSONResponse(body, self.status, self.headers)


def internal_error() -> Problem:
    """Return the problem for a bug; the log has the cause, under the request's id."""
    return Problem(500, "internal", "the service failed to answer; this is not your fault")


FACE_EXAMPLE: dict[str, Any] = {
    "age": 30.9, "age_interval": [26, 44], "gender": "female", "female_probability": 0.9414,
    "status": "ok", "reasons": [], "doubt": 0.1601, "box": [178.0, 63.1, 269.1, 173.1],
    "landmarks": [[201.7, 105.2], [245.0, 105.9], [222.3, 127.5], [203.7, 143.5], [243.0, 144.4]],
    "detection_score": 0.9427,
}  # fmt: skip
ID_EXAMPLE = "9e27958867a747c4a7b9ee7c02b6ae43"
_UNREADABLE = "not a picture that can be read: expected one of JPEG, PNG, WEBP, ..."
ANSWER_EXAMPLE: dict[str, Any] = {
    "request_id": ID_EXAMPLE, "model": "finetune-distilled",
    "pictures": [
        {"file": "photo.jpg", "width": 512, "height": 512, "faces": [FACE_EXAMPLE], "error": None},
        {"file": "notes.txt", "width": 0, "height": 0, "faces": [],
         "error": {"code": "bad_picture", "message": _UNREADABLE, "details": {}}},
    ],
}  # fmt: skip


class FaceModel(BaseModel):
    """One face. Pixels of the upright picture; ages in years."""

    model_config = ConfigDict(extra="allow", json_schema_extra={"example": FACE_EXAMPLE})

    age: float = Field(description="median of the age distribution, years")
    age_interval: list[int] = Field(
        description="low and high, whole years: low <= age <= high 9 times in 10",
        min_length=2, max_length=2,
    )  # fmt: skip
    gender: str | None = Field(
        description="the appearance label: female or male; null below the gender threshold"
    )
    female_probability: float = Field(ge=0, le=1)
    status: str = Field(description="ok, unsure or poor")
    reasons: list[str] = Field(description="why it is not ok, such as blurred or gender_unclear")
    doubt: float = Field(
        ge=0, le=1, description="chance that the age is off by over 10 years or the gender wrong"
    )
    box: list[float] | None = Field(description="left, top, right, bottom; right, bottom exclusive")
    landmarks: list[list[float]] | None = Field(
        description="x, y of right eye, left eye, nose, right and left mouth corner (the person's)"
    )
    detection_score: float | None = Field(description="confidence of the face detector, 0 to 1")
    age_probabilities: list[float] | None = Field(
        default=None, description="of the ages 0 to 116, if `distribution` is true"
    )


class ErrorModel(BaseModel):
    """An error."""

    code: str = Field(description="an identifier for programs", examples=["bad_picture"])
    message: str = Field(description="a sentence for people")
    details: dict[str, Any]


class FailureModel(BaseModel):
    """The response to a request that failed."""

    error: ErrorModel
    request_id: str


class PictureModel(BaseModel):
    """The result of one picture."""

    file: str = Field(description="as the client named it; empty for a raw body")
    width: int = Field(description="pixels of the upright picture; 0 if it could not be read")
    height: int
    faces: list[FaceModel] = Field(description="largest first; empty if there is none")
    error: ErrorModel | None


class AnswerModel(BaseModel):
    """The response of /v1/predict: one entry per picture, in the order they were sent."""

    # pydantic reserves names that start with "model"
    model_config = ConfigDict(
        protected_namespaces=(), json_schema_extra={"example": ANSWER_EXAMPLE}
    )

    request_id: str
    model: str
    pictures: list[PictureModel]


class StateModel(BaseModel):
    """The state of the service."""

    status: str


class LimitsModel(BaseModel):
    """The limits of one request."""

    request_bytes: int
    pictures: int
    pixels: int
    faces: int
    seconds: float


class ModelModel(BaseModel):
    """A model of the service."""

    model_config = ConfigDict(extra="allow")

    name: str
    default: bool
    card: dict[str, Any] = Field(
        description="how and on which data it was trained, its figures, its licence"
    )


class ModelsModel(BaseModel):
    """The response of /v1/models."""

    models: list[ModelModel]
    limits: LimitsModel


class UrlsModel(BaseModel):
    """Pictures by URL, if the service fetches them."""

    model_config = ConfigDict(extra="forbid")

    urls: list[str] = Field(
        description="http or https, on public hosts", examples=[["https://example.org/photo.jpg"]]
    )


_BINARY = {"type": "string", "format": "binary"}


def predict_body(fetch: bool) -> dict[str, Any]:
    """Return the OpenAPI description of /v1/predict's body; `fetch` allows pictures by URL."""
    files = {"type": "array", "items": _BINARY, "minItems": 1}
    form = {"type": "object", "required": ["files"], "properties": {"files": files}}
    content: dict[str, Any] = {
        "multipart/form-data": {"schema": form},
        "image/*": {"schema": _BINARY},
        "application/octet-stream": {"schema": _BINARY},
    }
    description = "Pictures as files of any field name, or one picture as the body."
    if fetch:
        content["application/json"] = {"schema": UrlsModel.model_json_schema()}
        description += " Or a JSON object with the URLs of pictures."
    return {"requestBody": {"required": True, "description": description, "content": content}}


_FAILURES = {  # by status: an example, and why requests fail so
    problem.status: (problem.to_dict(), reason)
    for problem, reason in (
        (Problem(400, "cut_off", "the body ended early"), "the body is malformed or ended early"),
        (Problem(401, "unauthorized", "no API key: send it as  Authorization: Bearer KEY"),
         "no API key, or a wrong one"),
        (Problem(408, "upload_too_slow", "the body did not arrive within 60 s"),
         "the body came too slowly"),
        (Problem(413, "too_many_pictures",
                 "33 pictures in one request: the limit is 32; send several requests",
                 {"limit": 32}), "too many bytes, pixels or pictures"),
        (Problem(415, "unsupported_media_type", "content type 'text/plain': expected "
                 "multipart/form-data with files, or a picture as image/* or "
                 "application/octet-stream"), "neither multipart/form-data nor a picture"),
        (Problem(422, "bad_picture", "damaged or cut off picture: image file is truncated"),
         "no picture, an unreadable picture, too many faces, or a wrong parameter"),
        (Problem(429, "busy", "18 pictures wait already: try again in 2 s",
                 {"waiting": 18, "queue": 128}), "too many pictures are waiting; see Retry-After"),
        (internal_error(), "an error in the service"),
        (Problem(503, "starting", "the model is being loaded: try again in 1 s"),
         "starting, stopping, or over the time limit; see Retry-After"),
    )
}  # fmt: skip


def failures(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Return the OpenAPI description of a route's errors, each with an example."""
    described: dict[int | str, dict[str, Any]] = {}
    for status in statuses:
        error, reason = _FAILURES[status]
        example = {"error": error, "request_id": ID_EXAMPLE}
        content = {"application/json": {"example": example}}
        described[status] = {"model": FailureModel, "description": reason, "content": content}
        if status in (429, 503):
            header = {"description": "seconds", "schema": {"type": "integer"}}
            described[status]["headers"] = {"Retry-After": header}
    return described
