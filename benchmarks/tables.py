"""Writes the tables of README.md and docs/results.md from the recorded result files.

    python benchmarks/tables.py            # write
    python benchmarks/tables.py --check    # fail when a page says something else

A table stands between `<!-- table: NAME -->` and `<!-- end -->`; NAME is a function here.
"""

import json
import re
import sys
from pathlib import Path
from typing import Any

from agelens.data.folds import published, split_folds

ROOT = Path(__file__).resolve().parents[1]
PAGES = ("README.md", "docs/results.md", "docs/model-card.md")
BLOCK = re.compile(r"(<!-- table: (\w+) -->\n).*?(<!-- end -->)", re.S)
RUNS = ("scratch-128", "finetune-dlib", "finetune-taught")
TRAINED = ("scratch", "scratch-128", "finetune-dlib", "finetune", "finetune-taught", "frozen")
SHIPPED = "finetune-taught"


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
                run + (" (shipped)" if run == SHIPPED else ""),
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
        f"range, single models, with flip averaging; in brackets 95 % bootstrap intervals. "
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


TABLES = {
    f.__name__: f
    for f in (
        headline, details, decades, groups, training, hybrid, copies, planted, speed,
    )
}  # fmt: skip

if __name__ == "__main__":
    main()
