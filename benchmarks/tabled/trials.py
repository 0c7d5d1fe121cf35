"""Tables of what was tried on validation folds: heads, ways to join, tuning, 8 bits."""

import csv
import json

from tabled.reading import NAMES, ROOT, result, signed, table


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


def ablations_scratch() -> str:
    """What parts of the scratch recipe are worth."""
    return _ablations("scratch")


def ablations_finetune() -> str:
    """What parts of the fine-tuning recipe are worth."""
    return _ablations("finetune")


def _ablations(name: str) -> str:
    said = result(f"ablations-{name}")
    base = said["trials"]["baseline"]
    rows = []
    for trial, one in said["trials"].items():
        gap = one["validation_mae"] - base["validation_mae"]
        rows.append(
            [
                one["about"],
                f"{one['validation_mae']:.2f}",
                "" if trial == "baseline" else f"{gap:+.2f}",
                f"{one['validation_cs5']:.1%}",
                f"{one['validation_gender_accuracy']:.1%}",
                f"{one['parameters'] / 1e6:.1f} M",
                f"{one['train_seconds'] / 60:.1f}",
            ]
        )
    headings = [
        "change", "MAE", "against the baseline", "CS@5", "gender accuracy", "parameters", "minutes",
    ]  # fmt: skip
    note = (
        f"Validation folds of split 0, {base['train_faces']:,} training faces, {base['epochs']} "
        f"epochs, one thread of {said['machine']['processor']}. `{said['command']} --work DIR`, "
        f"{said['date'][:10]}."
    )
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


def reduced() -> str:
    """What 8 bits cost each model on validation folds, and what they save."""
    clock = result("inference")
    milliseconds = {row["model"]: row["ms_per_face_batch_1"] for row in clock["models"]}
    rows = []
    for run in ("hybrid-int8", "fast-int8", "fast-dlib-int8"):
        said = json.loads((ROOT / "runs" / run / "run.json").read_text("utf-8"))
        whole, kept = said["whole"], said["chosen"]
        [small] = [one for one in said["tries"] if kept.items() <= one.items()]
        spent = milliseconds.get(f"runs/{run}") or milliseconds[NAMES[run]]
        rows.append(
            [
                run,
                f"{whole['validation_mae']:.3f} to {small['validation_mae']:.3f}",
                f"{whole['validation_gender_accuracy']:.1%} to "
                f"{small['validation_gender_accuracy']:.1%}",
                f"{kept['method']}, {kept['whole']} in float",
                f"{said['bytes'] / 1e6:.1f} MB",
                f"{spent:.1f} ms",
            ]
        )
    note = (
        f"Validation folds of split 0; one face at a time on one thread of "
        f"{clock['machine']['processor']}. `{clock['command']}`, {clock['date'][:10]}."
    )
    headings = ["in 8 bits", "MAE", "gender accuracy", "setting", "size", "a face"]
    return table(headings, rows) + "\n\n" + note
