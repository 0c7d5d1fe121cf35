"""Tables of docs/scale.md: engines, cost, stragglers, kill tests."""

from tabled.reading import result, table


def batch() -> str:
    """The engines of `agelens batch` side by side."""
    record = result("batch")
    rows = [
        [
            f"`--engine {name}`, {workers} worker{'s' if workers != '1' else ''}",
            f"{run['pictures']:,}",
            f"{run['pictures_per_second']:.1f}",
            f"{run['peak_memory_mb']:,} MB",
            f"{max(run['growth_after_picture_2000'].values(), default=1) - 1:+.1%}",
            f"{run['share_of_detect_align_predict']:.1%}",
        ]
        for run in record["runs"]
        for name, _, workers in [run["engine"].partition("-")]
    ]
    headings = [
        "engine", "pictures", "pictures/s", "largest process", "its growth after picture 2,000",
        "detect, align and predict",
    ]  # fmt: skip
    machine = record["machine"]
    note = (
        f"Two workers do {record['two_workers_over_one']:.2f} times what one does; Ray does "
        f"{record['ray_over_local']:.2f} times what the local engine does with as many. "
        f"Pictures of 640 x 480 px with 1.2 faces, {record['picture_bytes'] / 1000:.0f} kB. "
        f"2 cores ({machine['processor']}), no GPU. `{record['command']}`, {record['date'][:10]}."
    )
    return f"{table(headings, rows)}\n\n{note}"


def stages() -> str:
    """Where the time of a picture goes, and what 1 M, 100 M and 10 B pictures come to."""
    record = result("batch")
    run = next(run for run in record["runs"] if run["engine"] == "local-1")
    parts = run["ms_per_picture_by_stage"]
    total = sum(parts.values())
    split = table(
        ["of one worker", *parts, "in all"],
        [
            ["ms a picture", *(f"{ms:.1f}" for ms in parts.values()), f"{total:.1f}"],
            ["share", *(f"{ms / total:.1%}" for ms in parts.values()), "100%"],
        ],
    )
    size = run["answer_bytes_per_picture"]
    rows = []
    for name, pictures in (("1 M", 1e6), ("100 M", 1e8), ("10 B", 1e10)):
        hours = pictures * total / 3.6e6
        rows.append(
            [
                name,
                f"{hours:,.0f}",
                *(_span(hours / cores) for cores in (16, 256, 4096)),
                f"{pictures * record['picture_bytes'] / 1e9:,.0f} GB",
                f"{pictures * size / 1e9:,.1f} GB",
            ]
        )
    headings = [
        "pictures", "core hours", "on 16 cores", "on 256", "on 4,096", "read", "answers",
    ]  # fmt: skip
    return f"{split}\n\n{table(headings, rows)}"


def _span(hours: float) -> str:
    for unit, size, most in (("s", 1 / 3600, 100), ("min", 1 / 60, 100), ("h", 1, 72)):
        if hours / size < most:
            return f"{hours / size:,.0f} {unit}"
    return f"{hours / 24:,.0f} days"


def bends() -> str:
    """What stragglers and lost machines cost, simulated."""
    record = result("scale_model")
    sizes = sorted({row["workers"] for row in record["rows"]})
    rows = []
    for world in record["worlds"]:
        here = {row["workers"]: row for row in record["rows"] if row["world"] == world}
        rows.append(
            [
                world,
                *(f"{here[n]['over_ideal']:.3f}" for n in sizes),
                f"{max(row['done_twice'] for row in here.values()):.2%}",
            ]
        )
    headings = ["world", *(f"{n:,} workers" for n in sizes), "done twice, at most"]
    note = (
        f"Time over the ideal time of {record['pictures'] / 1e6:,.0f} M pictures at "
        f"{record['seconds_per_picture'] * 1000:.0f} ms each, units of 1,000. "
        f"`{record['command']}`, {record['date'][:10]}."
    )
    return f"{table(headings, rows)}\n\n{note}"


def kills() -> str:
    """How often the kill tests passed."""
    record = result("kill_tests")
    rows = [
        [
            f"`{name.partition('::')[2].removeprefix('test_')}`",
            "Ray" if "ray" in name else "local",
            f"{test['passed']} of {record['rounds']}",
            f"{test['median_seconds']:.1f} / {test['longest_seconds']:.1f}",
        ]
        for name, test in record["tests"].items()
    ]
    note = (
        f"2 cores ({record['machine']['processor']}). `{record['command']}`, {record['date'][:10]}."
    )
    headings = ["test", "engine", "passed", "s, median / longest"]
    return f"{table(headings, rows)}\n\n{note}"


def sharing() -> str:
    """Training on one worker and on two."""
    record = result("workers")
    rows = [
        [
            name,
            str(number),
            f"{row['train_loss']:.3f}",
            f"{row['validation_mae']:.3f}",
            f"{row['validation_gender_accuracy']:.1%}",
        ]
        for name, epochs in record["epochs"].items()
        for number, row in enumerate(epochs, 1)
    ]
    note = (
        f"`{record['recipe']}` with {', '.join(record['settings'])}; the same seed and batches. "
        f"2 cores ({record['machine']['processor']}). `{record['command']}`, "
        f"{record['date'][:10]}."
    )
    headings = ["", "epoch", "training loss", "validation MAE", "gender accuracy"]
    return f"{table(headings, rows)}\n\n{note}"
