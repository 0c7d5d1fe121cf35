"""Some items ahead, on threads, in order."""

import itertools
import threading

import pytest

from agelens.faces.prefetch import prefetch


def test_results_come_in_order_while_others_are_under_way() -> None:
    second = threading.Event()

    def work(number: int) -> int:
        if number == 0:
            assert second.wait(30)  # the first cannot end before the second has begun
        if number == 1:
            second.set()
        return number * number

    assert list(prefetch(work, range(20), 2)) == [n * n for n in range(20)]


def test_items_may_be_endless_and_few_are_taken_early() -> None:
    taken = itertools.count()
    results = prefetch(lambda number: number, taken, 3)
    assert list(itertools.islice(results, 5)) == [0, 1, 2, 3, 4]
    results.close()
    assert next(taken) <= 5 + 3 + 1


def test_an_error_comes_where_its_result_would_have() -> None:
    results = prefetch(lambda number: 1 // number, [2, 1, 0, 3], 2)
    assert [next(results), next(results)] == [0, 1]
    with pytest.raises(ZeroDivisionError):
        next(results)
