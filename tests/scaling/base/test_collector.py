"""The collector rests where it is told to, and not longer."""

from __future__ import annotations

import gc

import pytest

from scaling.base import uncollected


def test_the_collector_rests_inside_and_goes_on_after():
    @uncollected()
    def collections():
        before = gc.get_stats()[0]["collections"]
        kept = [[] for _ in range(20_000)]
        return gc.get_stats()[0]["collections"] - before + 0 * len(kept)

    assert collections() == 0
    assert gc.isenabled()
    with pytest.raises(ZeroDivisionError), uncollected():
        1 / 0  # noqa: B018
    assert gc.isenabled()


def test_who_had_it_off_still_has_it_off():
    gc.disable()
    try:
        with uncollected():
            pass
        assert not gc.isenabled()
    finally:
        gc.enable()
