"""Work in a thread: the same items, errors at their place, and no thread left behind."""

import threading
import time

import pytest

from hrtk.prefetch import prefetched


def threads():
    return [thread for thread in threading.enumerate() if thread.name == 'prefetch']


@pytest.mark.parametrize('ahead', [1, 3, 100])
def test_same_items_in_the_same_order(ahead):
    assert list(prefetched((i * i for i in range(50)), ahead)) == [i * i for i in range(50)]
    assert list(prefetched([], ahead)) == [] and not threads()


def test_an_error_comes_at_its_place():
    def items():
        yield 1
        yield 2
        raise KeyError('third')

    received = []
    with pytest.raises(KeyError, match='third'):
        for item in prefetched(items()):
            received.append(item)
    assert received == [1, 2] and not threads()


def test_at_most_so_many_items_are_computed_ahead():
    computed = []

    def items():
        for i in range(20):
            computed.append(i)
            yield i

    iterator = prefetched(items(), ahead=2)
    assert next(iterator) == 0
    time.sleep(0.1)
    # One was taken, two wait, and the thread holds one more that it could not store.
    assert 2 <= len(computed) <= 4
    iterator.close()
    assert len(computed) <= 5 and not threads()


def test_items_are_computed_in_another_thread_while_the_consumer_works():
    other = []

    def items():
        for i in range(3):
            other.append(threading.current_thread() is not threading.main_thread())
            yield i

    assert list(prefetched(items())) == [0, 1, 2] and other == [True] * 3


def test_consumers_that_stop_end_the_thread():
    for item in prefetched(iter(range(1000))):
        if item == 3:
            break
    deadline = time.time() + 5
    while threads() and time.time() < deadline:
        time.sleep(0.01)
    assert not threads()


def test_a_chain_ends_with_its_consumer():
    def doubled():
        for item in prefetched(i for i in range(1000)):
            yield 2 * item

    chain = prefetched(doubled())
    assert [next(chain) for _ in range(3)] == [0, 2, 4] and len(threads()) == 2
    chain.close()
    assert not threads()
