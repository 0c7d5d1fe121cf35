"""The module names of version 0.1.0 still work, with a warning."""

import importlib
import sys

import pytest

import agelens
from agelens.images.decode import read


@pytest.mark.parametrize("old", sorted(agelens._MOVED))
def test_old_module_names_import_the_moved_modules(old: str, monkeypatch) -> None:
    new = importlib.import_module(agelens._MOVED[old])
    monkeypatch.delitem(sys.modules, old, raising=False)
    with pytest.warns(DeprecationWarning, match=f"{old} is now {new.__name__}") as caught:
        assert importlib.import_module(old) is new
    assert new.__spec__.name == new.__name__
    monkeypatch.delattr(agelens, old.removeprefix("agelens."), raising=False)
    if old != "agelens.frames":  # a public name as an attribute
        with pytest.warns(DeprecationWarning, match="is now") as caught:
            assert getattr(agelens, old.removeprefix("agelens.")) is new
        assert caught[0].filename == __file__


def test_the_old_images_module_is_a_package_with_the_same_functions() -> None:
    with pytest.warns(DeprecationWarning, match=r"is now agelens\.images\.decode\.read"):
        assert agelens.images.read is read
    with pytest.raises(AttributeError, match="nothing"):
        _ = agelens.images.nothing


def test_old_names_of_members_still_work(tiny_model, drawn_chip) -> None:
    predictor = agelens.load(tiny_model, threads=1)
    (one,) = predictor.predict(drawn_chip(), chips=True)
    with pytest.warns(DeprecationWarning, match="use Prediction.error_probability"):
        assert one.doubt == one.error_probability
    with pytest.warns(DeprecationWarning, match="use Predictor.from_distribution"):
        assert predictor.settle(one.age_probabilities, one.age, 0.5).age == one.age
