"""The Ray engine, on a real cluster of several nodes on this machine (needs the extra scale)."""

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

ray = pytest.importorskip("ray", reason="needs the extra scale")

from agelens.batch import run as running  # noqa: E402
from agelens.batch.run import Engine  # noqa: E402
from agelens.batch.status import Progress  # noqa: E402
from agelens.errors import BatchError  # noqa: E402
from batches import CHIPS, answer, sources, write_chips, write_shard  # noqa: E402

pytestmark = pytest.mark.filterwarnings("ignore")  # Ray's own


def node(cores: int) -> dict[str, int]:
    """Say how a node is; with its ports given it does not wait for its agents."""
    said = {"num_cpus": cores, "object_store_memory": 80_000_000}
    for name in ("metrics_agent_port", "metrics_export_port", "dashboard_agent_listen_port",
                 "runtime_env_agent_port"):  # fmt: skip
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            said[name] = free.getsockname()[1]
    return said


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> Iterator[object]:
    """Start a head without cores and two nodes with one core each."""
    from ray.cluster_utils import Cluster

    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[1] / "src"))
    monkeypatch.setenv("RAY_agent_register_timeout_ms", "200000")
    head = node(0) | {"include_dashboard": False}
    started = Cluster(initialize_head=True, head_node_args=head)
    started.add_node(**node(1))
    started.add_node(**node(1))
    ray.init(address=started.address, log_to_driver=False)
    yield started
    ray.shutdown()
    started.shutdown()


def on_ray(source: Path, output: Path, model: Path, watch=lambda progress: None) -> Progress:
    store, job = running.begin(str(source), str(output), str(model), CHIPS)
    with store.alone():
        return running.run(store, job, Engine("ray", 2), lambda count: None, watch)


def test_a_node_that_is_killed_loses_nothing(cluster, tmp_path: Path, tiny_model: Path) -> None:
    paths = write_chips(tmp_path / "in", 400)
    shard = write_shard(tmp_path / "in/s.tar", [f"{n}" for n in range(40)])
    killed = []

    def watch(progress: Progress) -> None:
        if progress.parts >= 2 and not killed:
            killed.append(cluster.list_all_nodes()[1])
            cluster.remove_node(killed[0], allow_graceful=False)
            cluster.add_node(**node(1))

    done = on_ray(tmp_path / "in", tmp_path / "out", tiny_model, watch)
    assert killed
    assert sources(tmp_path / "out") == sorted(paths + shard)
    assert (done.pictures, done.errors) == (440, 0)
    assert running.read_status(str(tmp_path / "out"))["state"] == "finished"


def test_both_engines_give_the_same_and_finish_each_others_runs(
    cluster, tmp_path: Path, tiny_model: Path
) -> None:
    from batches import rows

    write_chips(tmp_path / "in", 60)
    (tmp_path / "in/bad.jpg").write_bytes(b"no picture")
    on_ray(tmp_path / "in", tmp_path / "out", tiny_model)
    answer(tmp_path / "in", tmp_path / "local", tiny_model)
    assert rows(tmp_path / "out").sort("source").equals(rows(tmp_path / "local").sort("source"))
    (tmp_path / "local/parts/part-0000001-000000.parquet").unlink()
    assert on_ray(tmp_path / "in", tmp_path / "local", tiny_model).pictures == 61
    assert len(sources(tmp_path / "local")) == 61


def test_what_an_actor_cannot_write_stops_the_run(
    cluster, tmp_path: Path, tiny_model: Path
) -> None:
    write_chips(tmp_path / "in", 3)
    (tmp_path / "out/parts/part-0000000-000000.parquet").mkdir(parents=True)
    (tmp_path / "out/parts").rename(tmp_path / "parts")
    running.begin(str(tmp_path / "in"), str(tmp_path / "out"), str(tiny_model), CHIPS)
    (tmp_path / "parts").rename(tmp_path / "out/parts")
    with pytest.raises(BatchError, match="cannot write"):
        on_ray(tmp_path / "in", tmp_path / "out", tiny_model)
