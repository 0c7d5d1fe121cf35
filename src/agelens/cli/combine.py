"""`agelens combine`: several trained runs become one hybrid model."""

from agelens.cli import console, options


def combine(runs: options.Runs, data: options.TrainingData, run: options.Run) -> None:
    """Combine trained runs into one ensemble model.

    Tries every subset of the runs with every pooling method on the validation folds, and exports
    the best.

    [bold]Example[/]

      agelens combine runs/scratch runs/finetune --data utkface --run runs/hybrid
    """
    options.need_train()
    from agelens.training.experiments.combination import combine_runs

    with console.bar() as progress:
        about = combine_runs(runs, data, run, progress)
    columns = {**console.VALIDATION, "gender ECE": ("validation_gender_ece", ".3f")}
    rows = [
        ([" + ".join(way["members"]), way["how"] if len(way["members"]) > 1 else ""], way)
        for way in about["ways"]
    ]
    console.table(["members", "how"], columns, rows, title="On validation folds, cross-fitted")
    against = about["against_best_member"]
    gap = against["mae_difference"]
    console.note(
        f"against {against['member']} alone: MAE {gap['value']:+.3f} years "
        f"({gap['low']:+.3f} to {gap['high']:+.3f})"
    )
    console.result(run / "model.onnx")
