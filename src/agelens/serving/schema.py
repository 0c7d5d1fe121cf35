"""The shapes of the answers, for OpenAPI; the answers themselves are written directly."""

from typing import Any

from pydantic import BaseModel, ConfigDict, Field

FACE_EXAMPLE: dict[str, Any] = {
    "age": 34.2,
    "age_interval": [28.1, 41.0],
    "gender": "female",
    "female_probability": 0.9712,
    "status": "unsure",
    "reasons": ["age_unclear"],
    "doubt": 0.2731,
    "box": [120.4, 80.0, 212.9, 201.3],
    "landmarks": [[144.0, 126.5], [187.2, 127.1], [165.3, 151.8], [147.9, 172.0], [184.1, 172.4]],
    "detection_score": 0.9421,
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


BINARY = {"type": "string", "format": "binary"}
PREDICT_BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "description": "Pictures as files of any field name, or one picture as the body.",
        "content": {
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "required": ["files"],
                    "properties": {"files": {"type": "array", "items": BINARY, "minItems": 1}},
                }
            },
            "image/*": {"schema": BINARY},
            "application/octet-stream": {"schema": BINARY},
        },
    }
}
"""FastAPI reads no body for this route, so it cannot describe it either."""

_WHAT = {
    400: "the body is malformed or ended early",
    401: "no API key, or a wrong one",
    408: "the body came too slowly",
    413: "too many bytes, pixels or pictures",
    415: "neither multipart/form-data nor a picture",
    422: "no picture, an unreadable picture, too many faces, or a wrong parameter",
    429: "the queue is full; see Retry-After",
    500: "the service's own fault",
    503: "starting, stopping, or over the time limit; see Retry-After",
}


def failures(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Describe the errors of a route."""
    return {status: {"model": FailureModel, "description": _WHAT[status]} for status in statuses}
