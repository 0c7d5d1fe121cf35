"""Does the audit find wrong labels? Some are made wrong on purpose, before anything is trained.

Five faces in a hundred get the age of another face, drawn by chance, and five in a hundred the
other gender. Heads are trained out of fold on these labels, as `agelens data out-of-fold` does
(with one head a fold instead of two), and the audit ranks all labels. It does not know which were
planted; some of the others are wrong too. Writes results/label_errors.json.

    python benchmarks/label_errors.py --data utkface
"""

import json
import time
from importlib.util import find_spec
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from rich.progress import Progress
from sklearn.metrics import roc_auc_score

import record
from agelens.data.audit import label_errors as audit
from agelens.data.dataset import Dataset
from agelens.evaluation.predictions import ModelOutputs
from agelens.inference import distribution
from agelens.training.batches.features import backbone_features
from agelens.training.experiments import out_of_fold
from agelens.training.experiments.out_of_fold import Labels

SHARE = 0.05  # of the faces, for age and for gender
TOP = 0.1  # share of the ranking that is looked at
SEEDS = 3


def main() -> None:
    """Plant, train, rank, and write."""
    given = record.parser(__doc__, data=True).parse_args()
    torch.set_num_threads(1)
    dataset = Dataset(given.data)
    own = Labels.of(dataset)
    with Progress(disable=True) as progress:
        parts = [backbone_features(dataset, name, progress) for name in out_of_fold.BACKBONES]
        features = np.concatenate(parts, axis=-1)
        runs = [one_run(features, own, seed, progress) for seed in range(SEEDS)]
    figures = {
        "faces": len(dataset), "share_planted": SHARE, "share_looked_at": TOP,
        "backbones": list(out_of_fold.BACKBONES), "heads_per_fold": 1,
        "mean": mean([{k: v for k, v in run.items() if k != "seed"} for run in runs]),
        "runs": runs,
    }  # fmt: skip
    record.write(given, figures, threads=1)
    record.show(figures["mean"])


def one_run(features: NDArray[np.float16], own: Labels, seed: int, progress: Progress) -> dict:
    """Plant with a seed and measure."""
    began = time.process_time()
    labels, years, flipped = plant(own, seed)
    answers = out_of_fold.predict_folds(features, labels, 1, progress)
    age = audit.score_ages(labels.ages, answers.age_probabilities)
    gender = audit.score_genders(labels.female.astype(bool), answers.female_probability)
    trusted = ~(age.suspect | gender.suspect)
    again = out_of_fold.predict_folds(features, labels, 1, progress, trusted)
    ages = {f"{n}_years_and_more": ranking(age, years >= n, years == 0) for n in (20, 10, 1)}
    older = found(gender.score, flipped & (own.ages >= 13))
    genders = ranking(gender, flipped, ~flipped) | {"share_in_top_of_13_and_older": older}

    def learnt(out: ModelOutputs) -> tuple[float, float]:
        """Return age MAE and gender accuracy on the faces whose label was left alone."""
        off = np.abs(distribution.median(out.age_probabilities) - own.ages)[years == 0]
        right = ((out.female_probability >= 0.5) == own.female)[~flipped]
        return round(float(off.mean()), 4), round(float(right.mean()), 4)

    (mae, accuracy), (mae_without, accuracy_without) = learnt(answers), learnt(again)
    run = {
        "seed": seed, "age": ages | suspects(age, years > 0),
        "gender": genders | suspects(gender, flipped),
        "by_other_scores": other_scores(labels.ages, years, answers.age_probabilities),
        "learning": {
            "mae_of_unplanted_ages": mae, "mae_with_suspects_left_out": mae_without,
            "gender_of_unplanted": accuracy, "gender_with_suspects_left_out": accuracy_without,
        },
        "cpu_seconds": round(time.process_time() - began),
    }  # fmt: skip
    print(json.dumps(run), flush=True)
    return run


def plant(own: Labels, seed: int) -> tuple[Labels, NDArray[np.int64], NDArray[np.bool_]]:
    """Give some faces the age of another face that is not as old, and some the other gender.

    Returns the labels, by how many years each age is wrong, and which genders are.
    """
    random = np.random.default_rng(seed)
    count = round(SHARE * len(own.ages))
    rows = random.choice(len(own.ages), count, replace=False)
    wrong = random.choice(own.ages, count)
    while (same := wrong == own.ages[rows]).any():
        wrong[same] = random.choice(own.ages, int(same.sum()))
    ages = own.ages.copy()
    ages[rows] = wrong
    flipped = np.zeros(len(ages), bool)
    flipped[random.choice(len(ages), count, replace=False)] = True
    female = np.where(flipped, 1 - own.female, own.female)
    return Labels(ages, female, own.folds), np.abs(ages - own.ages), flipped


def ranking(
    labels: audit.LabelScores, wrong: NDArray[np.bool_], right: NDArray[np.bool_]
) -> dict[str, Any]:
    """Measure how well a ranking finds wrong labels among those left alone."""
    return {
        "planted": int(wrong.sum()),
        "share_in_top": found(labels.score, wrong),
        "auc": auc(labels.score, wrong, right),
        "share_suspect": round(float(labels.suspect[wrong].mean()), 4),
    }


def suspects(labels: audit.LabelScores, wrong: NDArray[np.bool_]) -> dict[str, int]:
    """Count the suspect labels, and those of them that were planted."""
    return {
        "suspects": int(labels.suspect.sum()),
        "suspects_planted": int((labels.suspect & wrong).sum()),
    }


def other_scores(
    ages: NDArray[np.int64], years: NDArray[np.int64], spread: NDArray[np.float32]
) -> dict[str, Any]:
    """Rank ages by other scores: those of cleanlab where it is installed, and simple ones."""
    rows = np.arange(len(spread))
    near = np.abs(np.arange(distribution.AGES) - ages[:, None]) <= 5
    scores = {
        "error of the median": np.abs(distribution.median(spread) - ages),
        "mass within 5 years of the label": -np.where(near, spread, 0).sum(axis=1),
        "probability of the label": -spread[rows, ages],
    }
    if find_spec("cleanlab"):
        from cleanlab.rank import get_label_quality_scores

        p = spread.astype(np.float64) / spread.sum(axis=1, keepdims=True, dtype=np.float64)
        for method in ("self_confidence", "normalized_margin", "confidence_weighted_entropy"):
            scores[f"cleanlab {method}"] = -get_label_quality_scores(ages, p, method=method)
    return {
        name: {
            "share_in_top_of_20_years_and_more": found(score, years >= 20),
            "share_in_top_of_all": found(score, years > 0),
            "auc": auc(score, years > 0, years == 0),
        }
        for name, score in scores.items()
    }


def found(score: NDArray[np.floating], wrong: NDArray[np.bool_]) -> float:
    """Return the share of wrong labels in the top of the ranking."""
    first = np.argsort(-score, kind="stable")[: round(TOP * len(score))]
    return round(float(np.isin(np.flatnonzero(wrong), first).mean()), 4)


def auc(score: NDArray[np.floating], wrong: NDArray[np.bool_], right: NDArray[np.bool_]) -> float:
    """Return the area under the curve of wrong labels against those left alone."""
    rows = wrong | right
    return round(float(roc_auc_score(wrong[rows], score[rows])), 4)


def mean(runs: list[Any]) -> Any:
    """Return the means of figures that are nested alike."""
    if isinstance(runs[0], dict):
        return {key: mean([run[key] for run in runs]) for key in runs[0]}
    return round(float(np.mean(runs)), 4)


if __name__ == "__main__":
    main()
