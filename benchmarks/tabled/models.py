"""Tables of the models: figures on the test folds, by age and group, how they were made."""

import json
from typing import Any

from tabled.reading import (
    NAMES,
    PROTOCOLS,
    ROOT,
    RUNS,
    SHIPPED,
    TRAINED,
    evaluation,
    five_splits,
    percent,
    result,
    signed,
    table,
    years,
)


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


def gain() -> str:
    """What the hybrid brings over its better half, on the same test faces."""
    said = evaluation(SHIPPED)
    gap = said["difference"]["figures"]
    points = {
        key: f"{gap[key]['value'] * 100:+.1f} points ({gap[key]['low'] * 100:+.1f} to "
        f"{gap[key]['high'] * 100:+.1f})"
        for key in ("age_within_5", "gender_accuracy")
    }
    return (
        f"On the test folds, face by face, {SHIPPED} less {said['difference']['from']}: MAE "
        f"{signed(gap['age_mae'])} years, CS@5 {points['age_within_5']}, gender accuracy "
        f"{points['gender_accuracy']}; 95 % intervals of the paired bootstrap, flip averaging in "
        f"both. `{said['command']}`, {said['date'][:10]}."
    )


def plain() -> str:
    """Say what the shipped model does without flip averaging, as it is used by default."""
    figures = evaluation(SHIPPED, flip="")["subsets"]["all"]["figures"]
    return (
        f"Without flip averaging, which is how `agelens predict` asks the shipped model unless "
        f"`--flip` is given: MAE {years(figures['age_mae'])}, "
        f"CS@5 {percent(figures['age_within_5'])}, "
        f"gender accuracy {percent(figures['gender_accuracy'])}."
    )


def protocol() -> str:
    """Recipes on all five splits, mean and standard deviation."""
    figures = {
        "age_mae": ("age MAE, years", 1, ".2f"),
        "age_within_5": ("CS@5, %", 100, ".1f"),
        "age_mae_21_60": ("age MAE for 21-60, years", 1, ".2f"),
        "gender_accuracy": ("gender accuracy, %", 100, ".1f"),
        "gender_accuracy_13": ("13 and older, %", 100, ".1f"),
    }
    rows, commands = [], []
    for name in PROTOCOLS:
        said = five_splits(name)
        cells = [
            f"**{said['mean'][key] * times:{form}}** ± "
            f"{said['standard_deviation'][key] * times:{form}}"
            for key, (_, times, form) in figures.items()
        ]
        rows.append([name, "yes" if said["flip"] else "no", *cells])
        commands.append(f"`{said['command']}`, {said['date'][:10]}")
    headings = ["recipe", "flip", *(word for word, _, _ in figures.values())]
    note = "Test folds, whole age range; flip: averaged with mirror images. "
    return table(headings, rows) + f"\n\n{note}{'; '.join(commands)}."


def protocol_splits() -> str:
    """The same recipes, split by split."""
    splits = five_splits(PROTOCOLS[0])["splits"]
    folds = [f"{one['split']}: folds {' and '.join(map(str, one['folds']))}" for one in splits]
    rows = [
        [
            f"{name}, {word}",
            *(f"{split[key] * times:{form}}" for split in five_splits(name)["splits"]),
        ]
        for key, word, times, form in (
            ("age_mae", "MAE", 1, ".2f"),
            ("gender_accuracy", "gender accuracy, %", 100, ".1f"),
        )
        for name in PROTOCOLS
    ]
    return table(["split", *folds], rows)


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


def hybrid() -> str:
    """What each member and each way to pool brings to the hybrid, on validation folds."""
    rows, notes = [], []
    for run in ("hybrid-pooled", "hybrid", "hybrid-both"):
        about = json.loads((ROOT / "runs" / run / "run.json").read_text("utf-8"))
        rows += [
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
        notes.append(
            f"{run} is {' + '.join(chosen['members'])}, {chosen['how']}: against "
            f"{against['member']} alone its MAE differs by "
            f"{gap['value']:+.3f} years (95 % interval "
            f"of the paired bootstrap {gap['low']:+.3f} to {gap['high']:+.3f})."
        )
    note = " ".join(notes)
    headings = ["members", "pooled by", "MAE", "CS@5", "gender accuracy", "gender ECE"]
    return table(headings, rows) + "\n\n" + note


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
