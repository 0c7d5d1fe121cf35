"""The peers' tables for docs/results.md, as Markdown, from benchmarks/results/peers.json.

python benchmarks/peers/table.py    # print them
"""

import json
from pathlib import Path
from typing import Any

RESULT = Path(__file__).resolve().parents[1] / "results" / "peers.json"
AMONG = {"yes": "**yes**", "no": "no", "not told": "not told"}


def main() -> None:
    """Print both tables."""
    record = json.loads(RESULT.read_text("utf-8"))
    print(figures(record), origins(record), sep="\n\n")


def figures(record: dict[str, Any]) -> str:
    """Give every peer's figures on the faces it finds, and how ours differ on the same faces."""
    own = next(row["name"] for row in record["peers"] if row["ours"])
    timing = record["timing"]
    times = timing["milliseconds"] if timing else {}
    rows = []
    for row in record["peers"]:
        told, gap = row["figures"], row.get("same_faces", {}).get(own, {}).get("difference")
        sizes, time = row["weights_bytes"], times.get(row["name"], {})
        rows.append(
            [
                row["name"],
                f"{row['found']['share']['value']:.1%}",
                _years(told["age_mae"]),
                _percent(told["age_within_5"]),
                _percent(told["gender_accuracy"]),
                _gap(gap["age_mae"], 1, "{:+.2f}") if gap else "",
                _gap(gap["gender_accuracy"], 100, "{:+.1f}") if gap else "",
                f"{sizes['model'] / 1e6:.1f} ({sizes['pipeline'] / 1e6:.1f})",
                f"{time['model']:.0f} ({time['pipeline']:.0f})" if time else "-",
            ]
        )
    headings = [
        "", "faces found", "age MAE, years", "CS@5", "gender accuracy",
        "agelens less it: MAE, years", "gender accuracy, points",
        "weights, MB (with its detector)", "ms a face (whole pipeline)",
    ]  # fmt: skip
    timed = (
        f" Time: one core of {timing['machine']['processor']}, medians of {timing['rounds']} rounds"
        f" over {timing['faces']} faces, {timing['date'][:10]}."
        if timing
        else ""
    )
    part = "" if record["faces"] == record["of_faces"] else f" of the {record['of_faces']:,}"
    note = (
        f"{record['faces']:,}{part} faces of the test folds 8 and 9; figures are on the faces that"
        f" a peer finds and answers, in brackets 95 % bootstrap intervals; `{own}` less the peer is"
        f" on the faces that both answer. agelens learned from other faces of UTKFace (folds 0-5);"
        f" peers that learned elsewhere lack that advantage.{timed}"
        f" `{record['command']}`, {record['date'][:10]}."
    )
    return _table(headings, rows, "---:") + "\n\n" + note


def origins(record: dict[str, Any]) -> str:
    """Give what each peer is and learned from, and which packages were left out."""
    rows = [
        [row["name"], row["package"], AMONG[row["utkface"]], row["trained_on"]]
        for row in record["peers"]
        if not row["ours"]
    ]
    headings = ["peer", "package", "UTKFace among it", "learned from"]
    why: dict[str, list[str]] = {}
    for out in record["left_out"]:
        why.setdefault(out["why"], []).append(out["package"])
    left = "; ".join(f"{', '.join(packages)}: {reason}" for reason, packages in why.items())
    return _table(headings, rows, "---") + f"\n\nLeft out: {left}."


def _table(headings: list[str], rows: list[list[str]], others: str) -> str:
    rule = ["---", *[others] * (len(headings) - 1)]
    return "\n".join(f"| {' | '.join(row)} |" for row in [headings, rule, *rows])


def _years(figure: dict[str, float | None]) -> str:
    if figure["value"] is None:
        return "-"
    return f"{figure['value']:.2f} ({figure['low']:.2f} to {figure['high']:.2f})"


def _percent(figure: dict[str, float | None]) -> str:
    if figure["value"] is None:
        return "-"
    return f"{figure['value']:.1%} ({figure['low'] * 100:.1f}-{figure['high'] * 100:.1f})"


def _gap(figure: dict[str, float | None], scale: float, form: str) -> str:
    if figure["value"] is None:
        return "-"
    value, low, high = (form.format(figure[end] * scale) for end in ("value", "low", "high"))
    return f"{value} ({low} to {high})"


if __name__ == "__main__":
    main()
