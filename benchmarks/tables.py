"""Writes the tables of README.md and docs/results.md from the recorded result files.

    python benchmarks/tables.py            # write
    python benchmarks/tables.py --check    # fail when a page says something else

A table stands between `<!-- table: NAME -->` and `<!-- end -->`; NAME is a function here.
"""

import csv
import json
import re
import sys
from pathlib import Path
from typing import Any

from agelens.data.folds import published, split_folds
from peers import table as peers_table

ROOT = Path(__file__).resolve().parents[1]
PAGES = ("README.md", "docs/results.md", "docs/scale.md", "docs/video.md")
BLOCK = re.compile(r"(<!-- table: (\w+) -->\n).*?(<!-- end -->)", re.S)
RUNS = (
    "scratch-128", "scratch-taught-112", "finetune-dlib", "finetune-taught", "hybrid", "fast-int8",
)  # fmt: skip
TRAINED = (
    "scratch", "scratch-128", "scratch-taught", "scratch-taught-112", "finetune-dlib", "finetune",
    "finetune-taught", "frozen", "frozen-dlib", "fast",
)  # fmt: skip
SHIPPED = "hybrid"
NAMES = {"hybrid": "default", "fast-int8": "fast"}  # of the shipped ones


def main() -> None:
    """Write the pages, or check them."""
    stale = [page for page in PAGES if not write(ROOT / page, check="--check" in sys.argv)]
    if stale:
        sys.exit(f"{', '.join(stale)}: run  python benchmarks/tables.py")


def write(page: Path, *, check: bool) -> bool:
    """Fill the tables of a page; with `check` only say whether they are as they should be."""
    before = page.read_text("utf-8")
    after = BLOCK.sub(lambda m: m[1] + TABLES[m[2]]() + "\n" + m[3], before)
    if not check:
        page.write_text(after, "utf-8")
    return not check or before == after


def evaluation(run: str, flip: str = "-flip") -> dict[str, Any]:
    """Read the recorded evaluation of a run on the test folds of split 0."""
    path = ROOT / "runs" / run / f"evaluation-split0-test{flip}" / "evaluation.json"
    return json.loads(path.read_text("utf-8"))


def result(name: str) -> dict[str, Any]:
    """Read a benchmark's recorded result."""
    return json.loads((ROOT / "benchmarks" / "results" / f"{name}.json").read_text("utf-8"))


def table(headings: list[str], rows: list[list[str]]) -> str:
    """Give a Markdown table; the first column is words, the others are numbers."""
    rule = ["---", *["---:"] * (len(headings) - 1)]
    return "\n".join(f"| {' | '.join(row)} |" for row in [headings, rule, *rows])


def years(figure: dict[str, float]) -> str:
    """Give years with their 95 % interval; small groups have none."""
    if figure["low"] is None:
        return f"{figure['value']:.2f}"
    return f"{figure['value']:.2f} ({figure['low']:.2f} to {figure['high']:.2f})"


def percent(figure: dict[str, float]) -> str:
    """Give a share in percent with its 95 % interval; small groups have none."""
    if figure["low"] is None:
        return f"{figure['value']:.1%}"
    return f"{figure['value']:.1%} ({figure['low'] * 100:.1f}-{figure['high'] * 100:.1f})"


def headline() -> str:
    """Every run on the test folds."""
    rows = []
    for run in RUNS:
        said = evaluation(run)
        every, grown = said["subsets"]["all"]["figures"], said["subsets"]["13 and older"]["figures"]
        rows.append(
            [
                run + (f" (shipped as `{NAMES[run]}`)" if run in NAMES else ""),
                years(every["age_mae"]),
                percent(every["age_within_5"]),
                percent(every["gender_accuracy"]),
                percent(grown["gender_accuracy"]),
                f"{said['model']['bytes'] / 1e6:.1f} MB",
            ]
        )
    said = evaluation(SHIPPED)
    note = (
        f"{said['faces']:,} faces of the test folds 8 and 9 (split 0 of folds v1), whole age "
        f"range, one model file each, with flip averaging; in brackets 95 % bootstrap intervals. "
        f"`{said['command']}`, {said['date'][:10]}. {plain()}"
    )
    headings = ["model", "age MAE, years", "CS@5", "gender accuracy", "13 and older", "size"]
    return table(headings, rows) + "\n\n" + note


def plain() -> str:
    """Say what the shipped model does without flip averaging, as it is used by default."""
    figures = evaluation(SHIPPED, flip="")["subsets"]["all"]["figures"]
    return (
        f"Without flip averaging, which is how `agelens predict` asks the shipped model unless "
        f"`--flip` is given: MAE {years(figures['age_mae'])}, "
        f"CS@5 {percent(figures['age_within_5'])}, "
        f"gender accuracy {percent(figures['gender_accuracy'])}."
    )


def details() -> str:
    """More figures of every run."""
    names = {
        "age_rmse": ("age RMSE, years", years),
        "age_bias": ("age bias, years", years),
        "age_median_error": ("median age error, years", years),
        "age_group_accuracy_adience": ("age group, Adience's", percent),
        "age_group_accuracy_fairface": ("age group, FairFace's", percent),
        "gender_balanced_accuracy": ("gender balanced accuracy", percent),
        "gender_auc": ("gender AUC", percent),
        "gender_ece": ("gender ECE", percent),
        "interval_coverage": ("coverage of the 90 % interval", percent),
        "interval_width": ("mean width of it, years", years),
    }
    figures = [evaluation(run)["subsets"]["all"]["figures"] for run in RUNS]
    rows = [[word, *(show(f[name]) for f in figures)] for name, (word, show) in names.items()]
    middle = [evaluation(run)["subsets"]["21-60"]["figures"] for run in RUNS]
    rows += [
        ["age MAE for 21-60, years", *(years(f["age_mae"]) for f in middle)],
        ["gender accuracy for 21-60", *(percent(f["gender_accuracy"]) for f in middle)],
    ]
    return table(["test folds of split 0", *RUNS], rows)


def decades() -> str:
    """The shipped model by decade of age."""
    return _groups(evaluation(SHIPPED)["by_decade"], "decade")


def groups() -> str:
    """The shipped model by gender label, and by race label."""
    said = {tuple(part["by"]): part["groups"] for part in evaluation(SHIPPED)["by_group"]}
    return _groups(said["gender",], "gender") + "\n\n" + _groups(said["race",], "race")


def _groups(parts: list[dict[str, Any]], by: str) -> str:
    rows = [
        [
            str(part["group"][by]),
            f"{part['faces']:,}",
            years(part["figures"]["age_mae"]),
            f"{part['figures']['age_bias']['value']:+.2f}",
            percent(part["figures"]["gender_accuracy"]),
            percent(part["figures"]["interval_coverage"]),
        ]
        for part in parts
    ]
    headings = [by, "faces", "age MAE, years", "bias", "gender accuracy", "coverage"]
    return table(headings, rows)


def training() -> str:
    """What each run was and cost."""
    rows = []
    for run in TRAINED:
        about = json.loads((ROOT / "runs" / run / "run.json").read_text("utf-8"))
        history = (ROOT / "runs" / run / "history.csv").read_text("utf-8").splitlines()
        column = history[0].split(",").index("train_seconds")
        hours = sum(float(row.split(",")[column]) for row in history[1:]) / 3600
        rows.append(
            [
                run,
                f"{about['parameters'] / 1e6:.1f} M",
                f"{about['epochs']} of {about['config']['schedule']['epochs']}",
                f"{hours:.1f} h",
                f"{about['best']['validation_mae']:.2f}",
                f"{about['best']['validation_gender_accuracy']:.1%}",
            ]
        )
    headings = [
        "run", "parameters", "epochs", "training time", "validation MAE", "validation gender",
    ]  # fmt: skip
    return table(headings, rows)


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


def hybrid() -> str:
    """What each member and each way to pool brings to the hybrid, on validation folds."""
    about = json.loads((ROOT / "runs" / "hybrid" / "run.json").read_text("utf-8"))
    rows = [
        [
            " + ".join(way["members"]),
            way["how"] if len(way["members"]) > 1 else "alone",
            f"{way['validation_mae']:.3f}",
            f"{way['validation_cs5']:.1%}",
            f"{way['validation_gender_accuracy']:.1%}",
            f"{way['validation_gender_ece']:.3f}",
        ]
        for way in about["ways"]
    ]
    chosen, against = about["chosen"], about["against_best_member"]
    gap = against["mae_difference"]
    note = (
        f"Best: {' + '.join(chosen['members'])}, {chosen['how']}. Against {against['member']} "
        f"alone its MAE differs by {gap['value']:+.3f} years (95 % interval of the paired "
        f"bootstrap {gap['low']:+.3f} to {gap['high']:+.3f})."
    )
    headings = ["members", "pooled by", "MAE", "CS@5", "gender accuracy", "gender ECE"]
    return table(headings, rows) + "\n\n" + note


def unlike() -> str:
    """What is said to be unlike the training."""
    record = result("likeness")
    kinds = ("mask", "turned_away", "hand", "hair", "sunglasses", "misaligned", "focus_blur")
    rows = [
        [kind.replace("_", " "), " / ".join(f"{share:.0%}" for share in record["found"][kind])]
        for kind in kinds
    ]
    odd = record["found_of_odd"].items()
    rows += [[kind.replace("_", " "), f"{share:.0%}"] for kind, share in odd]
    flagged, others = record["errors"]["flagged"], record["errors"]["others"]
    told = [
        f"{part['faces']} clean faces {name}: MAE {part['age_mae']:.2f}, over 10 years off "
        f"{part['far_off']:.0%}, gender wrong {part['gender_errors']:.0%}"
        for name, part in (("flagged", flagged), ("not flagged", others))
    ]
    note = (
        f"{record['degraded']} faces of the validation folds, made worse in three degrees. The "
        f"limit, {record['limit']:.2f}, is passed by one in a hundred of the {record['faces']:,} "
        f"validation faces as they are. {'; '.join(told)} (model `{record['errors']['model']}`). "
        f"`{record['command']}`, {record['date'][:10]}."
    )
    return f"{table(['made worse by', 'found'], rows)}\n\n{note}"


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


def peers() -> str:
    """What other packages say of the same test faces."""
    return peers_table.figures(result("peers"))


def peers_origins() -> str:
    """What the peers are, and what they learned from."""
    return peers_table.origins(result("peers"))


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
    return f"{hours * 60:,.0f} min" if hours < 2 else f"{hours:,.0f} h" if hours < 72 else (
        f"{hours / 24:,.0f} days"
    )  # fmt: skip


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
            f"{test['median_seconds']:.0f} / {test['longest_seconds']:.0f}",
        ]
        for name, test in record["tests"].items()
    ]
    note = (
        f"2 cores ({record['machine']['processor']}). `{record['command']}`, {record['date'][:10]}."
    )
    headings = ["test", "engine", "passed", "s, median / longest"]
    return f"{table(headings, rows)}\n\n{note}"


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


def heads() -> str:
    """What losses, widths and doubted labels are worth, on frozen features."""
    said = result("heads")
    rows = []
    for name, trial in said["trials"].items():
        gap = trial["against_baseline"]["mae"]
        rows.append(
            [
                trial["about"],
                f"{trial['validation_mae']:.3f}",
                "" if name == "baseline" else signed(gap),
                f"{trial['validation_cs5']:.1%}",
                f"{trial['validation_gender_accuracy']:.1%}",
            ]
        )
    reads = ", ".join(f"{way} {mae:.3f}" for way, mae in said["estimators"].items())
    note = (
        f"{said['faces']:,} faces of the {said['part']}, mean of {said['seeds']} seeds; "
        "differences are paired, with 95 % bootstrap intervals over faces. One age read off the "
        f"baseline's distribution: {reads}. `{said['command']}`, {said['date'][:10]}."
    )
    headings = ["change", "MAE", "against the baseline", "CS@5", "gender accuracy"]
    return table(headings, rows) + "\n\n" + note


def joining() -> str:
    """Whether two frozen backbones are better joined by their answers or by their features."""
    said = result("heads")["joining"]
    words = {
        "average": "both, distributions averaged",
        "stack": "both, logits summed by learned weights",
        "features": "both, one head on the features of both",
    }
    rows = [
        [
            words.get(name, f"{name} alone"),
            f"{way['validation_mae']:.3f}",
            "" if name == said["better_half"] else signed(way["against_better_half"]["mae"]),
            f"{way['validation_cs5']:.1%}",
            f"{way['validation_gender_accuracy']:.1%}",
        ]
        for name, way in said["ways"].items()
    ]
    headings = ["frozen backbones", "MAE", "against the better half", "CS@5", "gender accuracy"]
    return table(headings, rows)


def corruptions() -> str:
    """How the shipped models stand degraded chips, means over three severities."""
    said = result("corruptions")
    kinds = list(dict.fromkeys(one["kind"] for one in next(iter(said["models"].values()))["cases"]))
    rows = []
    for kind in kinds:
        row = [kind.replace("_", " ")]
        for model in said["models"].values():
            own = [one for one in model["cases"] if one["kind"] == kind]
            mae, bias, young, gender = (
                sum(one[key] for one in own) / len(own)
                for key in ("age_mae", "age_bias", "age_bias_under_13", "gender_accuracy")
            )
            row += [f"{mae:.2f}", f"{bias:+.1f}", f"{young:+.1f}", f"{gender:.1%}"]
        rows.append(row)
    headings = ["kind"]
    for name in said["models"]:
        headings += [f"`{name}`: MAE", "bias", "bias under 13", "gender"]
    parts = [
        f"`{name}`: mean MAE {one['summary']['mean_age_mae']:.2f}, "
        f"{one['summary']['mean_age_mae_over_clean']:.2f} times clean, gender "
        f"{one['summary']['gender_points_lost']:.1f} points below clean"
        for name, one in said["models"].items()
    ]
    note = (
        f"{'; '.join(parts)}. {said['faces']} faces of the validation folds of split 0. "
        f"`{said['command']}`, {said['date'][:10]}."
    )
    return table(headings, rows) + "\n\n" + note


def tuned() -> str:
    """The best trials of the recorded study."""
    text = (ROOT / "runs" / "tune-frozen-dlib" / "trials.csv").read_text("utf-8")
    trials = list(csv.DictReader(text.splitlines()))
    done = sorted(
        (one for one in trials if one["state"] == "complete"),
        key=lambda one: float(one["validation_mae"]),
    )
    keys = [key for key in trials[0] if "." in key]
    rows = [
        [
            one["trial"],
            f"{float(one['validation_mae']):.3f}",
            f"{float(one['gender_accuracy']):.1%}",
        ]
        + [f"{float(one[key]):.4g}" for key in keys]
        for one in done[:3]
    ]
    note = (
        f"The best three of {len(trials)} trials, {len(done)} of them not pruned, on the "
        "validation folds of split 0."
    )
    return table(["trial", "MAE", "gender", *(f"`{key}`" for key in keys)], rows) + "\n\n" + note


def signed(figure: dict[str, float]) -> str:
    """Give a difference in years with its interval."""
    return f"{figure['value']:+.3f} ({figure['low']:+.3f} to {figure['high']:+.3f})"


def quantised() -> str:
    """What the settings of the quantiser cost the small model, on validation folds."""
    said = json.loads((ROOT / "runs" / "fast-int8" / "run.json").read_text("utf-8"))
    tries = {f"{one['method']}, {one['whole']} in float": one for one in said["tries"]}
    rows = [
        [
            name,
            f"{one['validation_mae']:.3f}",
            f"{one['validation_cs5']:.1%}",
            f"{one['validation_gender_accuracy']:.1%}",
            f"{one['age_moved']:.2f}" if "age_moved" in one else "",
        ]
        for name, one in {"float32": said["whole"], **tries}.items()
    ]
    kept = said["chosen"]
    note = f"Kept: {kept['method']}, {kept['whole']} convolutions in float."
    headings = ["setting", "MAE", "CS@5", "gender accuracy", "age moved by, years"]
    return table(headings, rows) + "\n\n" + note


def copies() -> str:
    """Photos that UTKFace holds more than once, and how their labels agree."""
    said = result("audit-utkface")
    rows = [
        [
            words,
            f"{kind['groups']:,}",
            f"{kind['files']:,}",
            f"{kind['conflicts']['pairs']:,}",
            f"{kind['conflicts']['other_age'] / kind['conflicts']['pairs']:.0%}",
            f"{kind['conflicts']['other_gender']:,}",
            f"{kind['conflicts']['other_fold']:,}",
        ]
        for words, kind in (
            ("byte-identical", said["copies"]["identical"]),
            ("encoded or cut anew", said["copies"]["near"]),
            ("both", said["copies"]["every"]),
        )
    ]
    headings = ["copies", "photos", "files", "pairs", "two ages", "two genders", "two folds"]
    made, fold, folds = said["made"], published(), split_folds(0)
    leaking = [
        file
        for group in said["copies"]["groups"]
        if any(fold[file] in folds.train for file in group)
        for file in group
        if fold[file] in folds.test
    ]
    note = (
        f"`{made['command']}`, {made['date'][:10]}. In split 0, {len(leaking)} of the test faces "
        "have a copy among the training faces."
    )
    return table(headings, rows) + "\n\n" + note


def planted() -> str:
    """How well the audit finds labels that were made wrong."""
    said = result("planted_labels")
    mean = said["mean"]
    ages = (("20", "age, 20 years and more"), ("10", "age, 10 and more"), ("1", "age, any"))
    rows = [
        [words, f"{one['planted']:,.0f}", f"{one['share_in_top']:.1%}", f"{one['auc']:.3f}"]
        for years_off, words in ages
        for one in [mean["age"][f"{years_off}_years_and_more"]]
    ]
    flips = mean["gender"]
    share = f"{flips['share_in_top']:.1%}"
    rows.append(["gender", f"{flips['planted']:,.0f}", share, f"{flips['auc']:.3f}"])
    note = (
        f"{said['share_planted']:.0%} of the labels of {said['faces']:,} faces made wrong, mean of "
        f"{len(said['runs'])} seeds. `{said['command']}`, {said['date'][:10]}."
    )
    headings = ["planted error", "faces", "in the first tenth", "area under the curve"]
    return table(headings, rows) + "\n\n" + note


def views() -> str:
    """What joining several views of a face gives, against one and against their product."""
    said = result("joined_views")
    rows = [
        [
            name,
            f"{way['age_mae']:.2f}",
            f"{way['interval_coverage']:.1%}",
            f"{way['interval_width']:.1f} years",
        ]
        for name, way in said["ways"].items()
    ]
    note = (
        f"{said['faces']} faces of the {said['part']}, {said['views']} views each, model "
        f"`{said['model']}`; views are worth {said['mean_worth']:.2f} independent ones on average. "
        f"`{said['command']}`, {said['date'][:10]}."
    )
    return table(["answer", "MAE", "truth inside the interval", "its width"], rows) + "\n\n" + note


def painted() -> str:
    """Faces made to look painted that the audit finds."""
    record = result("painted_faces")
    limits = record["limits"]
    kinds = next(iter(limits.values()))["recall_by_filter"]
    rows = [
        [
            kind if kind in record["fitted"] else f"{kind} (not learned from)",
            *[f"{limit['recall_by_filter'][kind]:.0%}" for limit in limits.values()],
        ]
        for kind in kinds
    ]
    rows.append(["all", *[f"{limit['recall']:.0%}" for limit in limits.values()]])
    seen = record["by_eye"]["listed"]
    headings = ["made by", *[f"found, with {name} taken for painted" for name in limits]]
    note = (
        f"{record['planted_and_held_out']} faces of UTKFace made to look painted, none of them "
        f"learned from. On UTKFace as it is the audit lists {record['listed_by_the_audit']} faces; "
        f"by eye {seen['drawn or painted']} of them are drawn and {seen['no face']} is no face, "
        f"{seen['photo printed in dots']} are printed in dots, {seen['photo with lettering']} have "
        f"lettering, {seen['photo']} are other photos. `{record['command']}`, "
        f"{record['date'][:10]}."
    )
    return f"{table(headings, rows)}\n\n{note}"


def pasted() -> str:
    """How near chips cut from pictures come to those that were pasted into them."""
    record = result("pasted_chips")
    parts = [(f"{float(scale):g} times", part) for scale, part in record["by_scale"].items()]
    rows = [
        [
            name,
            str(part["pictures"]),
            *[
                f"{part[how]['median_px']:.1f} / {part[how]['p90_px']:.1f} px, "
                f"{part[how]['within_3_px']:.0%}"
                for how in ("as_cut", "by_five_points")
            ],
        ]
        for name, part in [*parts, ("all", record["all"])]
    ]
    headings = ["size of the face", "pictures", "`data align`", "by five points alone"]
    note = (
        f"{record['faces']} faces of UTKFace, at any angle: how far the eyes are from where they "
        "were in the chip, median and nine in ten, and the share within 3 px. "
        f"`{record['command']}`, {record['date'][:10]}."
    )
    return f"{table(headings, rows)}\n\n{note}"


def intervals() -> str:
    """Ways to fit the levels of age intervals."""
    record = result("interval_levels")
    rows = [
        [
            way["way"] + (" (shipped)" if way["way"] == record["shipped"] else ""),
            f"{way['coverage']:.1%}",
            f"{min(way['coverage_by_decade'][:9]):.1%} to {max(way['coverage_by_decade'][:9]):.1%}",
            f"{way['width_years']:.1f} years",
            f"{way['leaps']:.1%}",
            f"{way['leaps_from_22_to_36']:.1%}",
        ]
        for way in record["ways"]
    ]
    headings = ["fitted to", "coverage", "decades to 89", "width", "leaps", "leaps, 22 to 36"]
    note = (
        f"{record['faces']:,} faces of the validation folds of split 0, model `{SHIPPED}`, fitted "
        f"on one half and read on the other, both ways round, {record['splits']} splits. Leaps: "
        "the share of faces in which an end of the interval moves by over two years where the "
        f"answer moves by a quarter. `{record['command']}`, {record['date'][:10]}."
    )
    return f"{table(headings, rows)}\n\n{note}"


def coverage() -> str:
    """What is left of the errors when the most doubtful answers are held back."""
    said = result("doubt")
    curve = said["risk_coverage"]
    place = {share: i for i, share in enumerate(curve["kept"])}
    rows = []
    for share in (1.0, 0.9, 0.8, 0.7, 0.5):
        age, wrong = curve["age_mae"], curve["wrong"]
        gender, i = curve["gender_errors"], place[share]
        rows.append(
            [
                f"{share:.0%}",
                f"{age['by_doubt'][i]:.2f} ({age['oracle'][i]:.2f})",
                f"{gender['by_doubt'][i]:.1%}",
                f"{wrong['by_doubt'][i]:.1%} ({wrong['oracle'][i]:.1%})",
            ]
        )
    rows.append(
        [
            "area (AURC), by doubt / at random / knowing the truth",
            *(
                " / ".join(
                    form.format(one[f"aurc_{way}"]) for way in ("by_doubt", "random", "oracle")
                )
                for one, form in (
                    (curve["age_mae"], "{:.2f}"),
                    (curve["gender_errors"], "{:.1%}"),
                    (curve["wrong"], "{:.1%}"),
                )
            ),
        ]
    )
    status = said["status"]
    age, gender, ok = status["age_unclear"], status["gender_unclear"], status["ok"]
    note = (
        f"{said['faces']:,} faces of the validation folds of split 0, model `{said['model']}`; in "
        f"brackets what knowing the truth would leave. `age unclear` is said of "
        f"{age['share']:.0%}, of whom {age['far_off']:.0%} are over 10 years off (MAE "
        f"{age['age_mae']:.1f}), `gender unclear` of {gender['share']:.0%}, of whom "
        f"{gender['gender_errors']:.0%} have the wrong gender; of the {ok['share']:.0%} called ok "
        f"they are {ok['far_off']:.0%} and {ok['gender_errors']:.0%}. "
        f"`{said['command']}`, {said['date'][:10]}."
    )
    headings = ["kept", "age MAE, years", "gender wrong", "over 10 years off, or gender wrong"]
    return table(headings, rows) + "\n\n" + note


def poor() -> str:
    """From where on a face is called poorly seen, and how often that is right."""
    said = result("doubt")
    found = said["limits"]
    words = {
        "too_small": "too small: pixels under the side of the chip, fewer than",
        "blurred": "blurred: share of grey steps lost by blurring once more, less than",
        "dark": "dark: median grey of the middle of the face, less than",
        "bright": "bright: median grey, more than",
        "cut_off": "cut off: share of the middle beyond the picture's edge, more than",
    }
    rows = []
    for reason, text in words.items():
        one = found[reason]
        rows.append(
            [
                text,
                f"{one['limit']:.3g}",
                f"{one['hits']:.0%}" if "hits" in one else "known",
                f"{one['false_alarms']:.1%}" if "false_alarms" in one else "known",
            ]
        )
    note = (
        f"A limit stands where the age error has risen by a quarter, on {said['degraded']} "
        "validation faces degraded step by step; hits are of the steps beyond, false alarms of "
        f"{said['faces']:,} faces as they are. Size and edge are known and not guessed. "
        f"`{said['command']}`, {said['date'][:10]}."
    )
    return table(["reason, measure", "limit", "found", "false alarms"], rows) + "\n\n" + note


TABLES = {
    f.__name__: f
    for f in (
        headline, details, decades, groups, training, hybrid, copies, planted, painted, pasted,
        coverage, intervals, poor, unlike, throughput, heads, joining, tuned, quantised,
        corruptions, speed, service, views, peers, peers_origins,
        batch, stages, bends, kills,
    )
}  # fmt: skip

if __name__ == "__main__":
    main()
