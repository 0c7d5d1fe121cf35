import platform
from datetime import datetime

from agelens import __version__, provenance


def test_versions_are_those_installed() -> None:
    found = provenance.versions()
    assert (found["agelens"], found["python"]) == (__version__, platform.python_version())
    assert "numpy" in found


def test_the_machine_is_described_without_its_name() -> None:
    assert provenance.machine(3)["threads"] == 3
    assert provenance.machine()["threads"] == provenance.machine()["cores"]
    assert platform.node() not in provenance.machine().values()


def test_now_is_utc_to_the_second() -> None:
    now = datetime.fromisoformat(provenance.now())
    assert now.utcoffset().total_seconds() == now.microsecond == 0


def test_a_recorded_command_hides_folders() -> None:
    words = ["agelens", "evaluate", "runs/a", "--data", "/home/somebody/faces", "--set=a=/x/y.csv"]
    assert provenance.command(words) == "agelens evaluate runs/a --data faces --set=a=y.csv"
