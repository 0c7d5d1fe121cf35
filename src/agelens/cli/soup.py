"""`agelens soup`: the mean of several runs' weights."""

from agelens.cli import console, options


def soup(runs: options.Runs, data: options.TrainingData, run: options.Run) -> None:
    """Average the weights of several runs into one model (a model soup).

    All runs must have started from the same weights. The average starts with the best run by
    validation MAE; each other run joins it if that lowers the validation MAE.

    [bold]Example[/]

      agelens soup runs/finetune-distilled runs/finetune-continued --data utkface \\
        --run runs/finetune-soup
    """
    options.need_train()
    from agelens.training.experiments.combination import average_runs

    with console.bar() as progress:
        about = average_runs(runs, data, run, progress)
    rows = [([one["run"]], one) for one in about["alone"]]
    rows += [([" + ".join(one["runs"])], one) for one in about["tries"]]
    console.table(["runs"], console.VALIDATION, rows, title="On validation folds")
    console.note(f"kept: {', '.join(about['kept'])}")
    console.result(run / "model.onnx")
