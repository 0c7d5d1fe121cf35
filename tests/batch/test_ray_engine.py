import os
import signal
import socket
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import polars as pl
import pytest

from agelens.batch.progress import Progress
from agelens.errors import BatchError
from batches import kill_driver, read_status, rows, run_batch, sources, write_chips, write_shard

ray = pytest.importorskip("ray", reason="needs the extra scale")
Cluster = pytest.importorskip("ray.cluster_utils").Cluster
pytestmark = pytest.mark.filterwarnings("ignore")  # Ray's own
LARGE = 800  # pixels: a worker has something to do with such a chip

FULL = """
import os

sync = os.fsync

def fsync(file):
    if os.path.exists({flag!r}):
        raise OSError(28, "No space left on device")
    sync(file)

os.fsync = fsync
"""

PORTS = ("metrics_agent_port", "metrics_export_port", "dashboard_agent_listen_port",
         "runtime_env_agent_port")  # fmt: skip


class Nodes:
    """Starts nodes with one core each, however busy the machine is.

    A node gives its helpers some seconds to leave word of the port that they listen on, and
    ends when they do not. Here the ports are chosen, and word is left, before they are started.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._ports: dict[str, dict[str, int]] = {}
        self._up = False
        self.cluster = Cluster()

    def start(self, count: int) -> None:
        telling = threading.Thread(target=self._tell)
        telling.start()
        try:
            for number in range(count):
                self._add(first=number == 0)
        finally:
            self._up = True
            telling.join()

    def _add(self, *, first: bool) -> None:
        name = ray.NodeID.from_random().hex()
        self._ports[name] = {port: free_port() for port in PORTS}
        head = {"include_dashboard": False, "temp_dir": str(self._folder)} if first else {}
        self.cluster.add_node(
            num_cpus=1, object_store_memory=80_000_000, **self._ports[name], **head,
            env_vars={"RAY_OVERRIDE_NODE_ID_FOR_TESTING": name},
        )  # fmt: skip

    def _tell(self) -> None:
        while not self._up:
            for session in self._folder.glob("session_2*"):
                for name, ports in list(self._ports.items()):
                    for port, number in ports.items():
                        word = session / f"{port}_{name}"
                        if not word.exists():
                            word.with_suffix(".part").write_text(str(number))
                            word.with_suffix(".part").replace(word)
            time.sleep(0.02)


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


@pytest.fixture(scope="module")
def full(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a path: while a file is there, no worker of the cluster can write to its disk."""
    return tmp_path_factory.mktemp("disk") / "full"


@pytest.fixture(scope="module")
def cluster(full: Path) -> Iterator["Cluster"]:
    (full.parent / "sitecustomize.py").write_text(FULL.format(flag=str(full)))
    paths = [str(full.parent), str(Path(__file__).parents[2] / "src")]
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        patch.setenv("RAY_worker_niceness", "0")
        patch.setenv("PYTHONPATH", os.pathsep.join(paths))
        patch.setenv("RAY_agent_register_timeout_ms", "200000")
        # the paths of Ray's sockets must be short
        with tempfile.TemporaryDirectory(prefix="ray") as folder:
            nodes = Nodes(Path(folder))
            try:
                nodes.start(3)
                ray.init(address=nodes.cluster.address, log_to_driver=False)
                yield nodes.cluster
            finally:
                ray.shutdown()
                nodes.cluster.shutdown()


def on_ray(
    source: Path, output: Path, model: Path,
    watch: Callable[[Progress], None] = lambda progress: None,
) -> Progress:  # fmt: skip
    return run_batch(source, output, model, 3, watch, "ray")


def test_both_engines_give_the_same_and_finish_each_others_runs(cluster, tmp_path, tiny_model):
    write_chips(tmp_path / "in", 60)
    (tmp_path / "in/bad.jpg").write_bytes(b"no picture")
    write_shard(tmp_path / "in/good.tar", [f"{n:02}" for n in range(20)])
    write_shard(tmp_path / "in/cut.tar", [f"{n:02}" for n in range(20)])
    os.truncate(tmp_path / "in/cut.tar", 5 * 4 * 512 + 100)
    on_ray(tmp_path / "in", tmp_path / "out", tiny_model)
    run_batch(tmp_path / "in", tmp_path / "local", tiny_model)
    by = ["source", "face"]
    ours, theirs = (rows(tmp_path / name).sort(by) for name in ("out", "local"))
    assert len(ours) == 60 + 1 + 20 + 5 + 1
    assert ours.equals(theirs)
    wrong = ours.filter(pl.col("status") == "error")["source"].to_list()
    assert wrong == [str(tmp_path / "in" / name) for name in ("bad.jpg", "cut.tar")]
    (tmp_path / "local/parts/part-0000001-000000.parquet").unlink()
    assert on_ray(tmp_path / "in", tmp_path / "local", tiny_model).counts.pictures == 87
    assert rows(tmp_path / "local").sort(by).equals(ours)


def test_a_full_disk_stops_the_run_and_the_same_run_goes_on(cluster, full, tmp_path, tiny_model):
    paths = write_chips(tmp_path / "in", 200, LARGE)
    try:
        with pytest.raises(BatchError, match=r"No space left.*same command"):
            on_ray(tmp_path / "in", tmp_path / "out", tiny_model, lambda progress: full.touch())
    finally:
        full.unlink()
    assert 0 < len(sources(tmp_path / "out")) < 200
    assert not list(tmp_path.glob("out/**/.*aside"))
    on_ray(tmp_path / "in", tmp_path / "out", tiny_model)
    assert sources(tmp_path / "out") == paths


def test_a_source_that_vanishes_comes_back(cluster, tmp_path: Path, tiny_model: Path) -> None:
    paths = write_chips(tmp_path / "in", 200, LARGE)

    def watch(progress: Progress) -> None:
        if (tmp_path / "in").exists():
            (tmp_path / "in").rename(tmp_path / "away")

    with pytest.raises(BatchError, match=r"gone or empty.*same command"):
        on_ray(tmp_path / "in", tmp_path / "out", tiny_model, watch)
    (tmp_path / "away").rename(tmp_path / "in")
    done = on_ray(tmp_path / "in", tmp_path / "out", tiny_model)
    assert (done.counts.pictures, done.counts.errors) == (200, 0)
    assert sources(tmp_path / "out") == paths


def test_a_worker_that_is_killed_loses_nothing(cluster, tmp_path: Path, tiny_model: Path) -> None:
    paths = write_chips(tmp_path / "in", 200, LARGE)
    killed: list[int] = []

    def watch(progress: Progress) -> None:
        if not killed and (memory := progress.to_dict("running")["memory_mb"]):
            killed.append(int(next(iter(memory)).rpartition(":")[2]))
            os.kill(killed[0], signal.SIGKILL)

    done = on_ray(tmp_path / "in", tmp_path / "out", tiny_model, watch)
    assert killed
    assert done.workers_lost >= 1
    assert (done.counts.pictures, done.counts.errors) == (200, 0)
    assert sources(tmp_path / "out") == paths


def test_a_killed_driver_resumes(cluster, tmp_path: Path, tiny_model: Path) -> None:
    paths = write_chips(tmp_path / "in", 400, LARGE)
    assert 0 < kill_driver(tmp_path, tiny_model, 2, engine="ray", address=cluster.address) < 25
    done = on_ray(tmp_path / "in", tmp_path / "out", tiny_model)
    assert (done.counts.pictures, done.counts.errors) == (400, 0)
    assert sources(tmp_path / "out") == paths


def test_a_node_that_is_killed_loses_nothing(cluster, tmp_path: Path, tiny_model: Path) -> None:
    """The last test: it leaves the cluster with two nodes."""
    paths = write_chips(tmp_path / "in", 400, LARGE)
    shard = write_shard(tmp_path / "in/s.tar", [f"{n}" for n in range(40)])
    killed: list[object] = []

    def watch(progress: Progress) -> None:
        if progress.parts >= 2 and not killed:
            killed.append(cluster.list_all_nodes()[-1])
            cluster.remove_node(killed[0], allow_graceful=False)

    done = on_ray(tmp_path / "in", tmp_path / "out", tiny_model, watch)
    assert killed
    assert sources(tmp_path / "out") == sorted(paths + shard)
    assert (done.counts.pictures, done.counts.errors) == (440, 0)
    assert read_status(tmp_path / "out")["state"] == "finished"
