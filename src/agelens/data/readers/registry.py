"""The one list of forms: which of them is a source in?"""

from collections.abc import Callable, Sequence

from agelens.data.readers import label_table
from agelens.data.readers.file_names import FgNetNames, UtkFaceNames
from agelens.data.readers.kaggle_csv import PixelCsv
from agelens.data.readers.parquet import ParquetFiles
from agelens.data.readers.reader import Form, Survey
from agelens.errors import DatasetError

# The most particular first: FairFace's files would pass for any label table.
FORMS: Sequence[Callable[[Survey], Form | None]] = (
    PixelCsv.recognise,
    ParquetFiles.recognise,
    label_table.recognise_fairface,
    label_table.recognise_metadata,
    label_table.recognise_labels,
    FgNetNames.recognise,
    UtkFaceNames.recognise,
)
"""Each gives the form when it recognises it, or None."""

EXPECTED = (
    "UTKFace names (AGE_GENDER_RACE_TIME.jpg), FG-NET names (001A02.JPG), FairFace label files, "
    "a metadata.csv or labels.csv with file and age, a CSV of pixels, or Parquet with pictures"
)


def recognise(survey: Survey) -> Form:
    """Find a source's form. Raises DatasetError, saying what is read, when it is in none."""
    for recogniser in FORMS:
        form = recogniser(survey)
        if form is not None:
            return form
    first = f", the first {survey.names[0]!r}" if survey.names else ""
    raise DatasetError(
        f"no labelled picture in {str(survey.origin.path)!r}: none of the forms that are read "
        f"fits its {len(survey.names):,} files{first}; expected {EXPECTED}"
    )
