from pathlib import Path

import pytest
from typer.testing import CliRunner

from agelens.cli.app import app
from agelens.data.labels import UTKFACE_TERMS
from agelens.errors import ArchiveRefused, SourceError
from labelled import drawn, faces, write_folder, write_tar, write_zip


def test_import_prints_a_summary_and_the_terms_once(tmp_path: Path) -> None:
    files = faces(12) | {"notes.txt": b"x"}
    source = write_zip(tmp_path / "s.zip", {"a/" + name: data for name, data in files.items()})
    command = ["data", "import", str(source), str(tmp_path / "d")]
    first = CliRunner().invoke(app, command, env={"COLUMNS": "200"})
    assert first.exit_code == 0
    lines = {
        cells[0].strip(): cells[1].strip()
        for line in first.stdout.splitlines()
        if len(cells := line.strip("│┃ ").replace("┃", "│").split("│")) == 2
    }
    assert lines["recognised"] == "UTKFace file names (12 files; folders: a)"
    assert lines["samples"] == "12"
    assert lines["rejects"] == "1 (see rejects.csv)"
    assert lines["ages"] == "0 to 11 years, mean 5.5"
    assert lines["female"] == lines["male"] == "6"
    assert sum(map(int, lines["folds 0 to 9"].split())) == 12
    assert " ".join(first.stderr.split()).count(UTKFACE_TERMS) == 1

    second = CliRunner().invoke(app, command)
    assert second.exit_code == 0
    assert "complete already; nothing to do" in " ".join(second.stderr.split())
    assert UTKFACE_TERMS not in " ".join(second.stderr.split())


def test_import_goes_on_and_says_so(tmp_path: Path) -> None:
    from agelens.data.importer import import_dataset

    source = write_folder(tmp_path / "s", faces(6))

    def stop(stage: str, done: int, total: int | None) -> None:
        if stage == "import" and done == 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        import_dataset(source, tmp_path / "d", report=stop)
    result = CliRunner().invoke(app, ["data", "import", str(source), str(tmp_path / "d")])
    assert result.exit_code == 0
    assert "continued an earlier run: 4 files were done" in result.stderr


@pytest.mark.parametrize(
    ("files", "source", "error"),
    [({"../x.jpg": drawn(1)}, "s.tgz", ArchiveRefused), ({}, "none.tgz", SourceError)],
)
def test_import_errors_are_agelens_errors(
    tmp_path: Path, files: dict[str, bytes], source: str, error: type[Exception]
) -> None:
    write_tar(tmp_path / "s.tgz", files)
    result = CliRunner().invoke(
        app, ["data", "import", str(tmp_path / source), str(tmp_path / "d")]
    )
    assert isinstance(result.exception, error)
