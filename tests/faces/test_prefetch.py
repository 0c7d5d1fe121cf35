"""Prefetching: in order, a few items ahead, on threads."""

import itertools
import threading

import pytest

from agelens.faces.prefetch import prefetch


def test_results_come_in_order_while_others_are_in_progress() -> None:
    second = threading.Event()

    def work(number: int) -> int:
        if number == 0:
            assert second.wait(30)  # the first cannot end before the second has begun
        if number == 1:
            second.set()
        return number * number

    assert list(prefetch(work, range(20), 2)) == [n * n for n in range(20)]


def test_endless_iterables_are_consumed_only_a_few_ahead() -> None:
    taken = itertools.count()
    results = prefetch(lambda number: number, taken, 3)
    assert list(itertools.islice(results, 5)) == [0, 1, 2, 3, 4]
    results.close()
    assert next(taken) <= 5 + 3 + 1


def test_an_exception_is_raised_in_place_of_its_result() -> None:
    results = prefetch(lambda number: 1 // number, [2, 1, 0, 3], 2)
    assert [next(results), next(results)] == [0, 1]
    with pytest.raises(ZeroDivisionError):
        next(results)
