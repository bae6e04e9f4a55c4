"""Work ahead and behind: order, errors, and how far."""

import threading

import pytest

from glacier_ml.scenes.ahead import ahead, behind


@pytest.mark.parametrize("threads", [1, 3])
def test_results_come_in_the_order_of_their_items_and_few_at_a_time(threads):
    begun, used = [], []

    def square(number):
        begun.append(number)
        return number**2

    for result in ahead(square, range(20), threads):
        assert len(begun) <= len(used) + threads + 1
        used.append(result)
    assert used == [number**2 for number in range(20)]


def test_the_next_result_is_made_while_one_is_used():
    wanted = threading.Event()

    def wait_for_user(number):
        assert number == 0 or wanted.wait(10)  # nobody would ask for 1 before 0 is used
        return number

    results = ahead(wait_for_user, range(2))
    assert next(results) == 0
    wanted.set()
    assert list(results) == [1]


def test_an_error_comes_in_its_turn_and_nothing_is_begun_after_it():
    begun = []

    def invert(number):
        begun.append(number)
        return 1 / number

    results = ahead(invert, [1, 2, 0, 4, 5, 6, 7])
    assert [next(results), next(results)] == [1, 0.5]
    with pytest.raises(ZeroDivisionError):
        next(results)
    assert set(begun) <= {1, 2, 0, 4}


def test_who_gives_up_leaves_no_thread_behind():
    before = threading.active_count()
    results = ahead(str, range(100), threads=2)
    assert next(results) == "0"
    results.close()
    assert threading.active_count() == before


def test_work_behind_is_done_in_order_and_done_at_the_end():
    done = []
    with behind(lambda *given: done.append(given)) as later:
        for number in range(10):
            later(number, -number)
            assert len(done) >= number - 1
    assert done == [(number, -number) for number in range(10)]


def test_what_the_work_raises_reaches_the_caller():
    with pytest.raises(ZeroDivisionError), behind(lambda number: 1 / number) as later:
        later(0)
    done = []

    def fail_on_two(number):
        done.append(number)
        if number == 2:
            raise OSError("the disk is full")

    with pytest.raises(OSError, match="full"), behind(fail_on_two) as later:
        for number in range(100):
            later(number)
    assert len(done) < 6


def test_an_error_of_the_caller_is_not_hidden():
    with pytest.raises(KeyError), behind(str) as later:
        later(1)
        raise KeyError
