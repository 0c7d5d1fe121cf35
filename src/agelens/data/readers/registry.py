"""The list of readers: a new one is a file in this folder and a line here."""

from agelens.data.readers.csv_files import PixelCsv
from agelens.data.readers.file_names import FgNetNames, UtkFaceNames
from agelens.data.readers.label_table import FairFaceTables, ImageFolder, LabelledFolder
from agelens.data.readers.parquet import ParquetFiles
from agelens.data.readers.reader import Reader, Survey
from agelens.errors import DatasetError

# The most specific first: FairFace's files would pass for any label table.
READERS: list[type[Reader]] = [
    PixelCsv, ParquetFiles, FairFaceTables, ImageFolder, LabelledFolder, FgNetNames, UtkFaceNames,
]  # fmt: skip


def recognise(survey: Survey) -> Reader:
    """Choose the reader of a source. Raises DatasetError, with what can be read, for none."""
    for kind in READERS:
        reader = kind.recognise(survey)
        if reader is not None:
            return reader
    first = f", the first {survey.names[0]!r}" if survey.names else ""
    expected = ", ".join(kind.expected for kind in reversed(READERS))
    raise DatasetError(
        f"no labelled picture in {str(survey.source.path)!r}: none of the forms that are read "
        f"fits its {len(survey.names):,} files{first}; expected one of: {expected}"
    )
