"""Which findings about a data set hold, and how important they are; the words are a template's."""

from collections.abc import Iterator

from agelens.data.exploration.balance import LEAST, Balance
from agelens.data.exploration.facts import Facts
from agelens.data.exploration.label_statistics import UNLABELLED, LabelStatistics
from agelens.reports.numbers import extremes
from agelens.reports.rendering import Finding, finding, strange, write_findings

GRADES = ((175, "very rough"), (125, "rough"), (110, "approximate"))  # Whipple's index
_FEW = 100  # faces that a comparison of groups may rest on
_FEW_POSES = 20  # faces that a sentence about pose may rest on
_HEAP = 1 / 20  # share of the faces with one age
_YEARS = 3.0  # between two medians
_UNEVEN = 0.15  # between the shares of two groups
_OLD = 60  # years, the start of an age group
_VERY_OLD = 110  # years
_TIMES = {"brightness": 1.15, "contrast": 1.2, "sharpness": 2.0}  # between medians of age groups
_GREY = 0.01  # between the shares of grey pictures in two age groups
_RIMS = 0.01  # share of pictures with a black rim
_GAIN = 0.05  # share of a constant guess's error that a shortcut takes away
_AUC = 0.6  # of gender from a shortcut
_NOT_CHIPS = 1 / 20  # share of pictures without a face from which these are hardly chips
_MISPLACED = 12.0  # pixels of the template
_CHIN = 0.05  # eye distances
_UNEQUAL = 1.5  # times, from which weights are worth a thought
_LARGE = 0.1  # Cramér's V or Kolmogorov-Smirnov distance from which something may follow


def findings(facts: Facts) -> list[Finding]:
    """Give what holds for a data set, from the labels to the splits, in words."""
    labels = facts.labels
    found = [*_ages(labels), *_genders(labels), *_races(labels)]
    if facts.pixels.measured:
        found += [*_pictures(facts), *_faces(facts)]
    else:
        found += [strange("unreadable", "sizes", 100)]
    found += [*_training(facts), *_splits(facts.balance)]
    return write_findings("explore/findings.jinja", found, facts)


def _ages(labels: LabelStatistics) -> Iterator[Finding]:
    if labels.ranged:
        yield finding("age_ranges", "years", 70)
        return
    if labels.age.low == labels.age.high:
        yield strange("one_age", "years", 100)
        return
    yield finding("age_spread", "years", 60)
    heaps = list(labels.heaps)
    if heaps and heaps[0].faces >= _HEAP * labels.faces:
        yield strange("largest_heap", "heaps", 95, heap=heaps.pop(0))
    heaps.sort(key=lambda heap: heap.age)
    if rounded := [heap for heap in heaps if heap.age % 5 == 0]:
        grade = next((word for least, word in GRADES if (labels.whipple or 0) >= least), "")
        yield strange("round_heaps", "digits", 90, heaps=rounded, grade=grade)
    if others := [heap for heap in heaps if heap.age % 5]:
        also = len(others) < len(labels.heaps)
        yield strange("other_heaps", "heaps", 45, heaps=others, also=also)
    if labels.dips:
        yield strange("dips", "heaps", 40)
    yield finding("missing_ages", "oldest", 20)
    if labels.beyond_90 or labels.faces >= _FEW:
        yield finding("beyond_90", "oldest", 35)
    if old := sum(faces for age, faces in labels.beyond_90.items() if age >= _VERY_OLD):
        yield strange("very_old", "oldest", 55, count=old)


def _genders(labels: LabelStatistics) -> Iterator[Finding]:
    known = {word: count for word, count in labels.genders.items() if word != UNLABELLED}
    if unlabelled := labels.genders.get(UNLABELLED, 0):
        yield strange("no_gender", "gender", 98, count=unlabelled, every=not known)
    if len(known) == 1:
        yield strange("one_gender", "gender", 99, gender=next(iter(known)))
    if len(known) < 2:
        return
    women, men = labels.age_by_gender["female"], labels.age_by_gender["male"]
    apart = abs(women.median - men.median) >= _YEARS and not labels.ranged
    apart = apart and min(women.faces, men.faces) >= _FEW
    yield finding("genders", "gender", 50, women=women, men=men, apart=apart)
    by_gender = labels.band_by_gender
    both = zip(labels.bands, by_gender["female"], by_gender["male"], strict=True)
    shares = {band: w / (w + m) for band, w, m in both if w + m >= _FEW}
    most, least = extremes(shares)
    if most and shares[most] - shares[least] >= _UNEVEN:
        yield strange("gender_by_age", "gender", 85, most=most, least=least, shares=shares)


def _races(labels: LabelStatistics) -> Iterator[Finding]:
    known = {word: count for word, count in labels.races.items() if word != UNLABELLED}
    if not known:
        yield finding("no_race", "race", 15)
        return
    total = sum(known.values())
    yield finding("races", "race", 25, races=known, total=total)
    if labels.ranged:
        return
    ages = {race: labels.age_by_race[race] for race in sorted(known, key=lambda r: -known[r])}
    medians = {race: one.median for race, one in ages.items() if one.faces >= _FEW}
    old, young = extremes(medians)
    apart = bool(old) and medians[old] - medians[young] >= _YEARS
    late = [i for i, band in enumerate(labels.bands) if int(band.split("-")[0].strip("+")) >= _OLD]
    older = {race: sum(labels.band_by_race[race][i] for i in late) for race in known}
    top, count = max(older, key=older.__getitem__), sum(older.values())
    share, usual = older[top] / max(count, 1), known[top] / total
    leads = count >= _FEW and share - usual >= _UNEVEN
    if apart or leads:
        yield strange(
            "race_by_age", "race", 80, old=old if apart else "", young=young, medians=medians,
            top=top if leads else "", count=count, share=share, usual=usual,
        )  # fmt: skip


def _pictures(facts: Facts) -> Iterator[Finding]:
    pixels, shortcuts = facts.pixels, facts.shortcuts
    if pixels.problems:
        yield strange("problems", "sizes", 88)
    if len(pixels.sizes) == 1:
        yield finding("one_size", "sizes", 10)
    if odd := pixels.pictures - pixels.square:
        yield strange("not_square", "sizes", 87, count=odd)
    if pixels.smaller:
        yield strange("small", "sizes", 65)
    shares = pixels.grey_by_band
    uneven = len(shares) > 1 and max(shares.values()) - min(shares.values()) >= _GREY
    yield finding("grey", "grey", 12, uneven=uneven)
    if pixels.black_rim >= _RIMS * pixels.measured:
        yield finding("black_rim", "grey", 14)
    differing = []
    for figure, times in _TIMES.items():
        medians = {band: one.p50 for band, one in pixels.by_band.get(figure, {}).items()}
        most, least = extremes(medians)
        if most and medians[least] > 0 and medians[most] >= times * medians[least]:
            differing.append((figure, most, medians[most], least, medians[least]))
    if differing:
        yield strange("light_by_age", "light", 58, figures=differing)
    mae, guess, auc = shortcuts.age_mae, shortcuts.median_guess_mae, shortcuts.gender_auc
    if mae is not None and guess is not None:
        leak = mae < (1 - _GAIN) * guess or (auc or 0) > _AUC
        yield finding("shortcuts", "shortcuts", 75 if leak else 30, strange=leak, leak=leak)


def _faces(facts: Facts) -> Iterator[Finding]:
    pixels = facts.pixels
    if pixels.no_face == pixels.measured:
        yield strange("no_face_at_all", "found", 96)
    elif pixels.no_face > _NOT_CHIPS * pixels.measured:
        yield strange("many_without_face", "found", 94)
    elif pixels.no_face:
        yield strange("some_without_face", "found", 52)
    else:
        yield finding("face_in_each", "found", 10)
    if pixels.several_faces:
        yield strange("several_faces", "found", 53)
    if pixels.measured - pixels.no_face >= _FEW_POSES:
        worst = max(pixels.places, key=lambda place: place.off)
        if worst.off > _MISPLACED:
            yield strange("misplaced", "landmarks", 86, worst=worst)
        yield finding("pose", "turned", 28)
    chins = facts.shapes.chin_by_band if facts.shapes is not None else {}
    most, least = extremes(chins)
    if most and chins[most] - chins[least] >= _CHIN:
        yield finding("chin", "shapes", 18, most=most, least=least, chins=chins)


def _training(facts: Facts) -> Iterator[Finding]:
    age = next((one for one in facts.imbalance if one.by in ("age", "age range")), None)
    if age is not None and facts.labels.faces >= LEAST:
        yield finding("imbalance", "imbalance", 48, age=age)
        if age.ratio >= _UNEQUAL:
            by_name = {scheme.name: scheme for scheme in age.schemes}
            inverse, mild = by_name["inverse"], by_name[facts.weights]
            yield finding("weights", "weights", 38, inverse=inverse, mild=mild)


def _splits(balance: Balance) -> Iterator[Finding]:
    differing = sorted((one for one in balance.tests if one.differs), key=lambda one: -one.effect)
    if not balance.tests:
        yield finding("small_splits", "splits", 22)
    elif differing:
        large = differing[0].effect >= _LARGE
        rank = 92 if large else 42
        yield strange("splits_differ", "splits", rank, differing=differing, large=large)
    else:
        parts = [part for split in balance.splits.values() for part in split]
        ages = [part.mean_age for part in parts if part.mean_age is not None]
        women = [part.female for part in parts if part.female is not None]
        tested = [of for of in ("age", "gender", "race") if of not in balance.untested]
        points = 100 * (max(women) - min(women)) if women and "gender" in tested else None
        years = max(ages) - min(ages)
        yield finding("splits_alike", "splits", 33, tested=tested, years=years, points=points)
    if balance.identical_across_folds:
        yield strange("copies_across_folds", "splits", 97)
    elif balance.identical:
        yield strange("copies", "splits", 82)
    else:
        yield finding("no_copies", "splits", 8)
