"""Large buffers: nobody gets memory that somebody else still uses, and what was given back is used again."""

import gc
import sys
import threading

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tilework.blending import METHODS
from tilework.blending.composition.compose import compose
from tilework.blending.layout.cutting import cut
from tilework.blending.layout.tile_layout import TileLayout
from tilework.blending.pixels import memory

MB = 1 << 20
ON_LINUX = pytest.mark.skipif(sys.platform != "linux", reason="only Linux has pages that the system may take back when it needs them")


@pytest.fixture(autouse=True)
def small_is_large(monkeypatch):
    monkeypatch.setattr(memory, "_WORTH_IT", 64 << 10)
    memory.release()
    yield
    memory.release()


def filled(size, value):
    tensor = memory.empty((size // 4,))
    tensor.fill_(value)
    return tensor


@settings(max_examples=60, deadline=None)
@given(steps=st.lists(st.tuples(st.sampled_from([64 << 10, 100 << 10, 1 << 20]), st.booleans(), st.integers(0, 9)), max_size=40))
def test_no_two_tensors_ever_share_memory(steps):
    alive = {}
    for number, (size, drop, which) in enumerate(steps):
        if drop and alive:
            del alive[sorted(alive)[which % len(alive)]]
        else:
            # A view of a part keeps the whole.
            alive[number] = filled(size, float(number))[which:]
        assert all(bool((tensor == float(value)).all()) for value, tensor in alive.items())
    spans = sorted((tensor.data_ptr(), tensor.numel() * 4) for tensor in alive.values())
    assert all(start + size <= other for (start, size), (other, _) in zip(spans, spans[1:], strict=False))


@ON_LINUX
def test_the_next_run_writes_to_the_same_pages():
    import resource

    faults = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_minflt  # noqa: E731
    first = filled(64 * MB, 1.0)
    place = first.data_ptr()
    del first
    before = faults()
    again = filled(64 * MB, 2.0)
    print(f"{faults() - before} faults for {64 * MB >> 12} small pages")
    assert again.data_ptr() == place and faults() - before < 1000


def kept(shelf):
    return [len(buffer) // MB for buffer in shelf.buffers]


@ON_LINUX
def test_a_large_one_that_fits_nobody_takes_the_place_of_the_others(monkeypatch):
    monkeypatch.setattr(memory, "_SMALL", 2 * MB)
    both = [filled(size * MB, 1.0) for size in (3, 4)]
    del both
    filled(1 * MB, 1.0)
    assert sorted(kept(memory._large)) == [3, 4] and kept(memory._small) == [1], "scratch is in nobody's way"
    held = filled(5 * MB, 1.0)
    assert kept(memory._large) == [] and kept(memory._small) == [1]
    filled(6 * MB, 2.0)
    assert kept(memory._large) == [6] and bool((held == 1).all())
    memory.release()
    assert kept(memory._large) == kept(memory._small) == []


@ON_LINUX
@pytest.mark.parametrize("shelf", ["_small", "_large"])
def test_no_more_is_kept_than_is_said(monkeypatch, shelf):
    monkeypatch.setattr(memory, "_SMALL", 2 * MB if shelf == "_small" else 1 * MB)
    monkeypatch.setattr(memory, shelf, memory._Shelf(5 * MB))
    several = [filled(2 * MB, 1.0) for _ in range(4)]
    del several
    gc.collect()
    assert kept(getattr(memory, shelf)) == [2, 2]


def test_a_system_that_has_no_such_pages_loses_the_memory_with_the_tensor(monkeypatch):
    monkeypatch.delattr(memory.mmap, "MADV_FREE", raising=False)
    tensor = filled(2 * MB, 3.0)
    assert bool((tensor == 3).all())
    del tensor
    assert not kept(memory._small) and not kept(memory._large)


@ON_LINUX
def test_where_addresses_count_nothing_is_kept(monkeypatch):
    monkeypatch.setattr(memory, "_addresses_count", lambda: True)
    filled(2 * MB, 1.0)
    assert not kept(memory._small) and not kept(memory._large)


@ON_LINUX
def test_a_child_process_has_shelves_of_its_own():
    import os

    filled(2 * MB, 1.0)
    with memory._small.lock:
        child = os.fork()
        if not child:
            thread = threading.Thread(target=filled, args=(2 * MB, 2.0))  # another than the one that held the lock
            thread.start()
            thread.join(10)
            os._exit(3 if thread.is_alive() else 0)
        assert os.waitpid(child, 0)[1] == 0
    assert kept(memory._small) == [2]


@pytest.mark.parametrize("error", [OSError, MemoryError, RuntimeError])
def test_where_the_system_refuses_there_is_ordinary_memory(monkeypatch, error):
    def refuse(size):
        raise error("no")

    monkeypatch.setattr(memory, "_buffer", refuse)
    assert bool((filled(2 * MB, 4.0) == 4).all())


@pytest.mark.parametrize("channels", [1, 3, 4])
@pytest.mark.parametrize("method", METHODS)
def test_nobody_reads_what_was_there_before(monkeypatch, method, channels):
    """Used memory is full of what somebody else wrote: here of NaN."""
    fresh = memory._buffer

    def used(size):
        buffer = fresh(size)
        buffer[:] = b"\xff" * size
        return buffer

    monkeypatch.setattr(memory, "_WORTH_IT", 1)
    monkeypatch.setattr(memory, "_buffer", used)
    picture = torch.rand(2, 300, 420, channels, generator=torch.Generator().manual_seed(3))
    layout = TileLayout.grid(300, 420, 128, 160, 40, 8)
    assert float((compose(cut(picture, layout), layout, method) - picture).abs().max()) <= 1e-6
