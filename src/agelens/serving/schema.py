"""The shapes of the answers, for OpenAPI; the answers themselves are written directly."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from pydantic import BaseModel, ConfigDict, Field

FACE_EXAMPLE: dict[str, Any] = {
    "age": 30.9,
    "age_interval": [26.37, 43.77],
    "gender": "female",
    "female_probability": 0.9414,
    "status": "ok",
    "reasons": [],
    "doubt": 0.1601,
    "box": [178.0, 63.1, 269.1, 173.1],
    "landmarks": [[201.7, 105.2], [245.0, 105.9], [222.3, 127.5], [203.7, 143.5], [243.0, 144.4]],
    "detection_score": 0.9427,
}
ID_EXAMPLE = "9e27958867a747c4a7b9ee7c02b6ae43"
ANSWER_EXAMPLE: dict[str, Any] = {
    "request_id": ID_EXAMPLE,
    "model": "finetune-distilled",
    "pictures": [
        {"file": "photo.jpg", "width": 512, "height": 512, "faces": [FACE_EXAMPLE], "error": None},
        {
            "file": "notes.txt",
            "width": 0,
            "height": 0,
            "faces": [],
            "error": {
                "code": "bad_picture",
                "message": "not a picture that can be read: expected one of JPEG, PNG, WEBP, ...",
                "details": {},
            },
        },
    ],
}


class FaceModel(BaseModel):
    """One face. Pixels of the upright picture; ages in years."""

    model_config = ConfigDict(extra="allow", json_schema_extra={"example": FACE_EXAMPLE})

    age: float = Field(description="median of the age distribution, years")
    age_interval: list[float] = Field(
        description="low and high, years: meant to hold the age 9 times in 10",
        min_length=2,
        max_length=2,
    )
    gender: str | None = Field(
        description="the appearance label: female or male; null below the gender threshold"
    )
    female_probability: float = Field(ge=0, le=1)
    status: str = Field(description="ok, unsure or poor")
    reasons: list[str] = Field(description="why, in words such as blurred or gender_unclear")
    doubt: float = Field(
        ge=0, le=1, description="chance that the age is off by over 10 years or the gender wrong"
    )
    box: list[float] | None = Field(description="left, top, right, bottom; right, bottom exclusive")
    landmarks: list[list[float]] | None = Field(
        description="x, y of right eye, left eye, nose, right and left mouth corner (the person's)"
    )
    detection_score: float | None = Field(description="how sure the face detector is, 0 to 1")
    age_probabilities: list[float] | None = Field(
        default=None, description="of the ages 0 to 116, where `distribution` was asked for"
    )


class ErrorModel(BaseModel):
    """What failed."""

    code: str = Field(description="a word for programs", examples=["bad_picture"])
    message: str = Field(description="a sentence for people")
    details: dict[str, Any]


class FailureModel(BaseModel):
    """The answer to a request that failed."""

    error: ErrorModel
    request_id: str


class PictureModel(BaseModel):
    """What came of one picture."""

    file: str = Field(description="as the client named it; empty for a raw body")
    width: int = Field(description="pixels of the upright picture; 0 where it could not be read")
    height: int
    faces: list[FaceModel] = Field(description="largest first; empty where none was found")
    error: ErrorModel | None


class AnswerModel(BaseModel):
    """The answer of /v1/predict: one entry per picture, in the order they were sent."""

    # "model" is a word of ours; pydantic keeps names that start with it for itself.
    model_config = ConfigDict(
        protected_namespaces=(), json_schema_extra={"example": ANSWER_EXAMPLE}
    )

    request_id: str
    model: str
    pictures: list[PictureModel]


class StateModel(BaseModel):
    """How the service is."""

    status: str


class LimitsModel(BaseModel):
    """What one request may take."""

    request_bytes: int
    pictures: int
    pixels: int
    faces: int
    seconds: float


class ModelModel(BaseModel):
    """A model that answers here."""

    model_config = ConfigDict(extra="allow")

    name: str
    default: bool
    card: dict[str, Any] = Field(description="how it was made, on what, its figures, its licence")


class ModelsModel(BaseModel):
    """The answer of /v1/models."""

    models: list[ModelModel]
    limits: LimitsModel


class UrlsModel(BaseModel):
    """Pictures named by URL, where the service fetches them."""

    model_config = ConfigDict(extra="forbid")

    urls: list[str] = Field(
        description="http or https, on public hosts", examples=[["https://example.org/photo.jpg"]]
    )


BINARY = {"type": "string", "format": "binary"}


def predict_body(fetch: bool) -> dict[str, Any]:
    """Describe the body of /v1/predict: FastAPI reads none there, so it cannot say.

    With `fetch` pictures may also be named by URL.
    """
    files = {
        "type": "object",
        "required": ["files"],
        "properties": {"files": {"type": "array", "items": BINARY, "minItems": 1}},
    }
    content: dict[str, Any] = {
        "multipart/form-data": {"schema": files},
        "image/*": {"schema": BINARY},
        "application/octet-stream": {"schema": BINARY},
    }
    described = "Pictures as files of any field name, or one picture as the body."
    if fetch:
        content["application/json"] = {"schema": UrlsModel.model_json_schema()}
        described += " Or a JSON object with the URLs of pictures."
    return {"requestBody": {"required": True, "description": described, "content": content}}


class _Failure(NamedTuple):
    """A status, why it comes, and one of its errors."""

    why: str
    code: str
    message: str
    details: Mapping[str, Any] = {}


_FAILURES = {
    400: _Failure("the body is malformed or ended early", "cut_off", "the body ended early"),
    401: _Failure(
        "no API key, or a wrong one",
        "unauthorized",
        "no API key: send it as  Authorization: Bearer KEY",
    ),
    408: _Failure(
        "the body came too slowly", "upload_too_slow", "the body did not arrive within 60 s"
    ),
    413: _Failure(
        "too many bytes, pixels or pictures",
        "too_many_pictures",
        "33 pictures in one request: the limit is 32; send several requests",
        {"limit": 32},
    ),
    415: _Failure(
        "neither multipart/form-data nor a picture",
        "unsupported_media_type",
        "content type 'text/plain': expected multipart/form-data with files, or a picture as "
        "image/* or application/octet-stream",
    ),
    422: _Failure(
        "no picture, an unreadable picture, too many faces, or a wrong parameter",
        "bad_picture",
        "damaged or cut off picture: image file is truncated",
    ),
    429: _Failure(
        "too many wait; see Retry-After",
        "busy",
        "18 pictures wait already: try again in 2 s",
        {"waiting": 18, "queue": 128},
    ),
    500: _Failure(
        "the service's own fault",
        "internal",
        "the service failed to answer; this is not your fault",
    ),
    503: _Failure(
        "starting, stopping, or over the time limit; see Retry-After",
        "starting",
        "the model is being loaded: try again in 1 s",
    ),
}
_HEADERS = {"Retry-After": {"description": "seconds", "schema": {"type": "integer"}}}


def failures(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Describe the errors of a route, each with an example."""
    return {status: _describe(status) for status in statuses}


def _describe(status: int) -> dict[str, Any]:
    why, code, message, details = _FAILURES[status]
    example = {
        "error": {"code": code, "message": message, "details": dict(details)},
        "request_id": ID_EXAMPLE,
    }
    described: dict[str, Any] = {
        "model": FailureModel,
        "description": why,
        "content": {"application/json": {"example": example}},
    }
    if status in (429, 503):
        described["headers"] = _HEADERS
    return described
