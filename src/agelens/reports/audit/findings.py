"""Plain-language findings of the audit, each made from the numbers."""

from agelens.data.audit.duplicates import SAME_PHOTO
from agelens.data.audit.facts import Copied, Facts, LabelFacts
from agelens.data.exploration.formats import percent
from agelens.reports.page import Finding
from agelens.reports.wording import counted, faces_of, initial, listed, verb


def findings(facts: Facts) -> list[Finding]:
    """Say what the audit found, strange things marked."""
    return [
        *_files(facts),
        *_copies(facts),
        *_faces(facts),
        *(_labels(facts.labels) if facts.labels is not None else ()),
        _actions(facts),
    ]


def _files(facts: Facts) -> list[Finding]:
    found = []
    if facts.faults:
        text = f"{initial(counted(len(facts.faults), 'picture'))} cannot be used as imported."
        found.append(Finding(text, "strange"))
    else:
        found.append(Finding(f"All {facts.samples:,} pictures decode and are what was imported."))
    if facts.rejects:
        text = f"{initial(counted(len(facts.rejects), 'file'))} of the source "
        text += f"{verb(len(facts.rejects), 'was', 'were')} left out at the import."
        found.append(Finding(text))
    return found


def _copies(facts: Facts) -> list[Finding]:
    copies = facts.copies
    if not copies.every.groups:
        return [Finding("No photo is there twice.")]
    found = []
    if copies.identical.groups:
        found.append(
            Finding(
                f"{initial(counted(copies.identical.groups, 'photo'))} "
                f"{verb(copies.identical.groups)} there several times byte for byte, as "
                f"{copies.identical.files:,} files. {_disagree(copies.identical)}",
                "strange",
            )
        )
    if copies.near.groups:
        how = f"by hash or face (descriptors nearer than {SAME_PHOTO})"
        how = how if copies.by_descriptors else "by perceptual hash"
        found.append(
            Finding(
                f"{initial(counted(copies.near.groups, 'photo'))} {verb(copies.near.groups)} there "
                f"encoded or cut anew, as {copies.near.files:,} files, {how}. With the "
                f"byte-identical ones that is {copies.every.groups:,} photos in "
                f"{copies.every.files:,} files. {_disagree(copies.every)}",
                "strange",
            )
        )
    if apart := copies.every.conflicts.other_fold:
        found.append(
            Finding(
                f"{initial(counted(apart, 'pair'))} of copies {verb(apart, 'stands', 'stand')} in "
                "different folds, so a photo that was learnt from can be measured on.",
                "strange",
            )
        )
    return found


def _disagree(copied: Copied) -> str:
    one = copied.conflicts
    if not one.pairs:
        return ""
    return (
        f"Of the {counted(one.pairs, 'pair')}, {percent(one.other_age / one.pairs)} carry "
        f"different ages (by {one.age_difference:.1f} years on average over all pairs; "
        f"{percent(one.beyond_5 / one.pairs)} by more than 5) and {one.other_gender:,} different "
        "genders."
    )


def _faces(facts: Facts) -> list[Finding]:
    words = [f"{name} ({one.count:,})" for name, one in facts.faces.items() if one.count]
    none = [name for name, one in facts.faces.items() if not one.count]
    found = f"Faces to look at: {listed(words)}." if words else ""
    missing = f"Looked for and not found: {listed(none)}." if none else ""
    return [Finding(f"{found} {missing}".strip())]


def _labels(labels: LabelFacts) -> list[Finding]:
    text = (
        f"Models that never saw a picture are {labels.age_mae:.2f} years off its labelled age on "
        "average"
    )
    if labels.gender_agreement is not None:
        text += f", and agree with its gender {percent(labels.gender_agreement)} of the time"
    off = ""
    if labels.suspects_off is not None:
        off = f" (what the models say is {labels.suspects_off:.0f} years off on average)"
    suspects = (
        f"Confident learning doubts the age of {faces_of(labels.age_suspects, labels.faces)}{off}, "
        f"and the gender of {faces_of(labels.gender_suspects, labels.faces)}."
    )
    some = labels.age_suspects or labels.gender_suspects
    return [Finding(text + "."), Finding(suspects, "strange" if some else "plain")]


def _actions(facts: Facts) -> Finding:
    words = [f"{count:,} to {name}" for name, count in facts.suggestions.items()]
    if not words:
        return Finding("Nothing has to be done.")
    return Finding(
        f"actions.csv has {sum(facts.suggestions.values()):,} lines: {listed(words)}. Those to "
        f"exclude name {counted(facts.left_out, 'file')} of {facts.samples:,}."
    )
