"""The page's sections about files, copies and faces."""

from agelens.data.audit.duplicates import SAME_FACE, SAME_PHOTO
from agelens.data.audit.facts import Copied, Facts
from agelens.data.audit.paintings import BACKBONE
from agelens.data.audit.perceptual_hash import BITS, REACH
from agelens.data.exploration.formats import percent
from agelens.reports.audit.gallery import Gallery
from agelens.reports.page import Cell, Part, Pictures, Section, Table, Text

_LISTED = 50  # rows of a table of files


def files_section(facts: Facts) -> Section:
    """Tell which files were left out, and which cannot be used any more."""
    parts: list[Part] = []
    for caption, files in (
        ("Left out at the import", facts.rejects),
        ("Cannot be used as imported", facts.faults),
    ):
        rows: list[list[Cell]] = [[file, reason] for file, reason in files.items()]
        if rows:
            note = f"{len(rows) - _LISTED:,} more are in audit.json." if len(rows) > _LISTED else ""
            parts.append(Table(["file", "why"], rows[:_LISTED], caption, note, wide=True))
    checked = (
        f"Each of the {facts.samples:,} pictures was read, decoded to its last line, and its "
        f"SHA-256 compared with that of the import: {len(facts.faults):,} cannot be used."
    )
    return Section("Files and names", [Text([checked]), *parts])


def copies_section(facts: Facts, gallery: Gallery) -> Section:
    """Count copies and show those whose labels are furthest apart."""
    copies = facts.copies
    rows = [
        _row("identical, byte for byte", copies.identical),
        _row("encoded or cut anew", copies.near),
        _row("both together", copies.every),
    ]
    columns = ["copies", "photos", "files", "pairs", "other age", "years apart"]
    columns += ["over 5 years", "other gender", "other race label", "other fold"]
    how = (
        f"Copies that are encoded or cut anew are told by perceptual hashes that differ in at most "
        f"{REACH} of {BITS} bits"
    )
    if copies.by_descriptors:
        how += (
            f" (unless dlib's face descriptors are {SAME_FACE} or more apart, which is two "
            f"people), or by descriptors nearer than {SAME_PHOTO}"
        )
    else:
        how += (
            ". Photos cut or mirrored otherwise escape this; comparing faces finds them too, "
            "where torch and the backbone dlib are installed (extra train)"
        )
    parts: list[Part] = [
        Table(
            columns, rows, "Photos that are there more than once, and their labels",
            "A pair is any two files of one photo. Groups that hold both kinds are counted in the "
            "second row, with all their files.",
            wide=True,
        ),
        Text([how + "."]),
    ]  # fmt: skip
    if gallery.copies:
        caption = "Copies whose labels are furthest apart, side by side"
        parts.append(Pictures(gallery.copies, caption, side=240))
    return Section("Copies", parts)


def _row(name: str, copied: Copied) -> list[Cell]:
    one = copied.conflicts
    share = percent(one.other_age / one.pairs) if one.pairs else "-"
    return [
        name, copied.groups, copied.files, one.pairs, share, f"{one.age_difference:.1f}",
        one.beyond_5, one.other_gender, one.other_race, one.other_fold,
    ]  # fmt: skip


def faces_section(facts: Facts, gallery: Gallery) -> Section:
    """Count faces by fault and show the worst."""
    rows: list[list[Cell]] = [
        [name, one.count, one.meaning] for name, one in facts.faces.items()
    ]  # fmt: skip
    rows.append(["grey", facts.grey, "no colour at all; listed in no action"])
    painted = (
        "Faces that look painted or drawn are ranked by a face network: pencil, cartoons and "
        "posters come first, soft oil paintings and statues often escape, and most of those listed "
        "are photos that look unlike others (prints in dots, hard light, edited). "
        if "looks painted" in facts.faces
        else "Painted and drawn faces were not looked for: that needs torch and the backbone "
        f"{BACKBONE} (extra train; agelens backbones get {BACKBONE}). "
    )
    parts: list[Part] = [
        Table(["fault", "faces", "meaning"], rows, "Faces that are hard to learn from", wide=True),
        Text([painted + "The detector can be wrong: look before a face is left out."]),
    ]
    for name, pictures in gallery.faces.items():
        count = facts.faces[name].count
        shown = f" ({len(pictures)} of {count:,})" if count > len(pictures) else ""
        parts.append(Pictures(pictures, f"{name.capitalize()}{shown}"))
    return Section("Faces", parts)
