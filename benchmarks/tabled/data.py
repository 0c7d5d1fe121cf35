"""Tables of the data: copies, planted and painted faces, pasted chips."""

from agelens.data.folds import published, split_folds
from tabled.reading import result, table


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


def effort() -> str:
    """How long explore and audit take."""
    record = result("data_time")
    rows = [
        [
            f"`agelens data {name}`",
            f"{record[name]['seconds']:.0f}",
            f"{record[name]['memory_mb']:,} MB",
            "; ".join(
                f"{step} {seconds:.0f}"
                for step, seconds in record[name]["steps"].items()
                if seconds >= 1
            ),
        ]
        for name in ("explore", "audit")
    ]
    note = (
        f"2 cores ({record['machine']['processor']}); nothing measured before, features and "
        f"out-of-fold answers at hand. `{record['command']}`, {record['date'][:10]}."
    )
    headings = [
        "of 23,704 faces",
        "seconds",
        "memory of all processes",
        "steps of a second and more",
    ]
    return f"{table(headings, rows)}\n\n{note}"
