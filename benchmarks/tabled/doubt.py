"""Tables of doubt: pictures that are not clean, faces that are poor or unlike, joined views."""

from tabled.reading import result, table


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
