"""What an import may load; the floors themselves are import-linter's contracts."""

import subprocess
import sys

import pytest

HEAVY = {"torch", "matplotlib", "polars", "pandas", "ray", "sklearn", "optuna", "fastapi", "timm",
         "jinja2", "av", "starlette", "uvicorn"}  # fmt: skip


def loaded_by(code: str) -> set[str]:
    tail = "\nimport sys\nprint('\\n' + ' '.join(m for m in sys.modules if '.' not in m))"
    done = subprocess.run([sys.executable, "-c", code + tail], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return set(done.stdout.splitlines()[-1].split())


def cli(*words: str) -> str:
    return (
        "import sys\nfrom agelens.cli.app import main\n"
        f"sys.argv = ['agelens', *{list(words)!r}]\n"
        "try:\n    main()\nexcept SystemExit as end:\n    assert not end.code, end.code"
    )


def test_import_agelens_loads_nothing_heavy() -> None:
    assert not loaded_by("import agelens") & (HEAVY | {"cv2", "onnxruntime", "numpy", "PIL"})


@pytest.mark.parametrize(
    "words",
    [["--help"], *([name, "--help"] for name in ("predict", "batch", "serve", "train", "data"))],
)
def test_help_loads_nothing_heavy(words: list[str]) -> None:
    assert not loaded_by(cli(*words)) & (HEAVY | {"cv2", "onnxruntime"})


def test_predict_loads_no_training(tiny_model, astronaut_path) -> None:
    code = cli("predict", str(astronaut_path), "--model", str(tiny_model), "--format", "json")
    assert not loaded_by(code) & HEAVY
