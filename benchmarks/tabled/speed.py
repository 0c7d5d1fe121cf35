"""Tables of speed: predicting, training, the service."""

from tabled.reading import NAMES, result, table


def speed() -> str:
    """What a user waits for."""
    first, folder, model = result("first_use"), result("predict_folder"), result("inference")
    rows = [
        ["a fresh environment with the base install", f"{first['environment_megabytes']} MB"],
        ["`import agelens`", f"{first['import_seconds'] * 1000:.0f} ms"],
        [
            "`agelens predict photo.jpg`, whole process",
            f"{first['predict_one_photo_seconds']:.2f} s",
        ],
    ]
    for row in model["models"]:
        if row["model"] not in NAMES.values():
            continue
        rows += [
            [
                f"model `{row['model']}`, one thread, batch 1",
                f"{row['ms_per_face_batch_1']:.1f} ms a face",
            ],
            [
                f"model `{row['model']}`, one thread, batch 32",
                f"{row['ms_per_face_batch_32']:.1f} ms a face",
            ],
        ]
    rows += [
        [
            f"{run['pictures']:,} photos of 640 px, {run['threads']} thread"
            + ("s" if run["threads"] > 1 else ""),
            f"{run['faces_per_second']:.0f} faces/s, {run['peak_rss_mb']:.0f} MB",
        ]
        for run in folder["runs"]
    ]
    note = (
        f"{first['machine']['cores']} cores ({first['machine']['processor']}), no GPU; medians of "
        f"{first['runs']} runs (first three rows) and {model['rounds']} (model). "
        f"`{first['command']}`, `{model['command']}`, `{folder['command']}`, {first['date'][:10]}."
    )
    return table(["", "measured"], rows) + "\n\n" + note


def throughput() -> str:
    """How fast training is, against the network's bare forward and backward."""
    record = result("training")
    kinds = ("input_pipeline", "forward_and_backward", "step", "loop")
    rows = [
        [
            f"{row['recipe']}: {row['side']} px, batch {row['batch']}, {row['precision']}",
            *[f"{row['faces_per_second'][kind]:,.1f}" for kind in kinds],
            f"{row['loop_of_limit']:.0%}",
        ]
        for row in record["recipes"]
    ]
    headings = [
        "faces a second", "input pipeline alone", "forward and backward alone", "training step",
        "whole loop", "of the limit",
    ]  # fmt: skip
    machine = record["machine"]
    note = (
        f"Threads: {machine['threads']}, of {machine['processor']}; medians of {record['rounds']} "
        f"rounds of {record['batches']} batches. `{record['command']}`, {record['date'][:10]}."
    )
    return f"{table(headings, rows)}\n\n{note}"


def service() -> str:
    """How the service stands up to many clients."""
    record = result("service")
    memory = record["memory_mb"]
    parts = (
        ("32 clients without a pause", record["clients"]),
        ("photos at twice the rate that it can answer", record["twice_the_load"]),
        ("10,000 requests answered, 39 of 40 small", record["many_requests"]),
    )
    rows = [
        [
            name,
            f"{part['seconds']:.0f}",
            f"{part['statuses']['200']:,}",
            f"{part['statuses'].get('429', 0):,}",
            f"{sum(n for code, n in part['statuses'].items() if code not in ('200', '429')):,}",
            f"{part['answered_per_second']:.1f}",
            f"{part['accepted_ms']['p50']:,.0f} / {part['accepted_ms']['p99']:,.0f}",
        ]
        for name, part in parts
    ]
    headings = [
        "load", "seconds", "answered", "told to come later (429)", "anything else",
        "answered a second", "ms, p50 / p99",
    ]  # fmt: skip
    before, after = (record["in_process"][when] for when in ("before", "after"))
    note = (
        f"Photos of {record['photos']['long_side']} px, several faces each. In process the same "
        f"predictor does {before:.1f} a second before and {after:.1f} after: the service does "
        f"{record['share_of_in_process']:.0%} of the mean. Memory of the service: "
        f"{memory['first_tenth']:.0f} MB in the first tenth of the 10,000 requests, "
        f"{memory['last_tenth']:.0f} MB in the last. {record['cores']} cores "
        f"({record['machine']['processor']}), on which the load generator (locust) ran too. "
        f"`{record['command']}`, {record['date'][:10]}."
    )
    return f"{table(headings, rows)}\n\n{note}"
