"""Hours, energy and CO2e against published accounts, shared trunks against counting steps."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scaling import Counts, Program, ProgramSpec
from scaling.base import Store, how_compiled, write_atomic
from scaling.run.journal import Journal
from scaling.schedule import cooldown_start
from scaling.spec import RunSpec
from sweeps.estimate import calibration
from sweeps.estimate.calibration import (
    SHAPES,
    STEP_FLOPS,
    StepTimes,
    Throughput,
    calibrated,
    measure,
)
from sweeps.estimate.estimate import estimate, makespan, spent_flops
from sweeps.estimate.prices import Prices
from sweeps.estimate.throughput import finished_runs, rates, throughput, work
from sweeps.sweep import Sweep

POUND = 0.45359237


def spec_of(info, **options):
    base = {"depth": 1, "width": 16, "context": 32, "num_tokens": 1e5, "lr": 0.01}
    return RunSpec.resolve(info=info, **{**base, **options})


@pytest.mark.parametrize(
    ("watts", "hours", "kwh", "pounds"),
    [  # Strubell et al. 2019, table 3: power, hours, kWh x PUE, CO2e
        (1415.78, 12, 27, 26),
        (1515.43, 84, 201, 192),
        (517.66, 336, 275, 262),
        (12_041.51, 79, 1507, 1438),
        (1515.43, 274_120, 656_347, 626_155),
    ],
)
def test_energy_of_published_models(info, watts, hours, kwh, pounds):
    sweep = Sweep.of("x", [spec_of(info)])
    rate = sweep.flops / (hours * 3600)
    found = estimate(sweep, Prices(watts=watts, flops_per_second=rate))
    assert found.hours == pytest.approx(hours)
    # Their hours are rounded, so a published number is good to about 0.3 %.
    assert found.kwh == pytest.approx(kwh, rel=3e-3, abs=0.5)
    assert found.kg_co2e / POUND == pytest.approx(pounds, rel=3e-3, abs=0.5)


@settings(max_examples=50, deadline=None)
@given(
    st.lists(
        st.tuples(st.integers(1, 60), st.sampled_from([0.1, 0.2, 0.5])),
        min_size=1,
        max_size=6,
        unique=True,
    )
)
def test_shared_trunks_cost_each_step_once(info, lengths):
    specs = [
        spec_of(info, num_tokens=steps * 256, cooldown_fraction=fraction)
        for steps, fraction in lengths
    ]
    sweep = Sweep.of("x", specs)
    steps = set()
    for entry in sweep:
        start = cooldown_start(entry.spec.schedule, entry.spec.num_steps)
        steps |= {("trunk", step) for step in range(start)}
        steps |= {(entry.run_id, step) for step in range(start, entry.spec.num_steps)}
    per_step = specs[0].cost.flops_train * 256
    assert sum(spent_flops(sweep)) == len(steps) * per_step
    assert all(0 <= own <= e.spec.flops for own, e in zip(spent_flops(sweep), sweep, strict=True))


def test_without_a_trunk_nothing_is_shared(info):
    specs = [
        spec_of(info, schedule="cosine", num_tokens=tokens, seed=seed)
        for tokens, seed in product((1e5, 2e5), (0, 1))
    ]
    sweep = Sweep.of("x", specs)
    assert sum(spent_flops(sweep)) == sweep.flops
    other_seeds = Sweep.of("x", [spec_of(info, seed=seed) for seed in range(3)])
    assert sum(spent_flops(other_seeds)) == other_seeds.flops


@given(st.lists(st.integers(1, 20), min_size=1, max_size=6), st.integers(1, 3))
def test_makespan_against_every_assignment(seconds, workers):
    best = min(
        max(sum(s for s, w in zip(seconds, who, strict=True) if w == k) for k in range(workers))
        for who in product(range(workers), repeat=len(seconds))
    )
    found = makespan(seconds, workers)
    assert best - 1e-9 <= found <= best * (4 / 3 - 1 / (3 * workers)) + 1e-9


@given(
    st.dictionaries(st.floats(1e3, 1e9), st.floats(1e6, 1e15), min_size=1, max_size=5),
    st.floats(1, 1e12),
)
def test_rates_are_interpolated_as_numpy_does(points, size):
    rate = Throughput(tuple(sorted(points.items())), "cpu", "")
    x, y = np.log([*zip(*rate.points, strict=True)])
    assert math.log(rate.at(size)) == pytest.approx(np.interp(np.log(size), x, y), rel=1e-9)


def test_workers_beyond_the_runs_cost_nothing():
    assert makespan([3.0, 1.0], 10**9) == 3.0
    assert makespan([], 10**9) == 0.0


def test_workers_devices_and_price(info):
    sweep = Sweep.of("x", [spec_of(info, seed=seed) for seed in range(4)])
    second = Prices(flops_per_second=sweep.flops / 4, price_per_hour=3600.0, watts=1000, pue=1)
    one = estimate(sweep, second)
    two = estimate(sweep, second, workers=2)
    cards = estimate(sweep, second, workers=2, rate=Throughput(((1, sweep.flops / 4),), "cuda", ""))
    assert [e.hours * 3600 for e in (one, two, cards)] == pytest.approx([4, 2, 2])
    assert [e.devices for e in (one, two, cards)] == [1, 1, 2]
    assert [e.cost for e in (one, two, cards)] == pytest.approx([4, 2, 4])
    assert [e.kwh * 3600 for e in (one, two, cards)] == pytest.approx([4, 2, 4])
    assert one.worker_hours == pytest.approx(two.worker_hours)
    assert two.longest_hours == pytest.approx(1 / 3600)


def finished(store, spec, rate, device="cpu", time=1.0, compiled=False, **changes):
    folder = store.run_dir(spec.run_id)
    write_atomic(folder / "spec.json", json.dumps(spec.to_dict()))
    journal = Journal(folder)
    journal.append("start", device=device, time=time, compiled=compiled)
    end = {"status": "done", "tokens": spec.num_tokens, "seconds": spec.flops / rate}
    journal.append("end", **{**end, "time": time, **changes})
    journal.close()


def test_finished_runs_say_how_fast_things_go(info, home):
    store = Store.at()
    assert rates(store, finished_runs(store)) == {}
    small = [spec_of(info, seed=seed) for seed in range(3)]
    for spec, rate in zip(small, (1e6, 2e6, 9e6), strict=True):
        finished(store, spec, rate)
    large = spec_of(info, width=64)
    finished(store, large, 4e6)
    finished(store, spec_of(info, seed=8), 1e6, seconds=0.01)  # all start-up
    finished(store, spec_of(info, seed=9), 1e6, status="failed", seconds=None)
    found = rates(store, finished_runs(store))["transformer"]
    assert found.points == (
        (small[0].cost.flops_forward, pytest.approx(2e6)),
        (large.cost.flops_forward, pytest.approx(4e6)),
    )
    assert found.source == f"4 finished transformer runs in {home}"


def test_only_runs_on_the_newest_kind_of_device_count(info, home):
    store = Store.at()
    finished(store, spec_of(info), 1e6, time=1.0)
    finished(store, spec_of(info, seed=1), 5e6, device="cuda:0", time=2.0)
    (store.run_dir("unreadable")).mkdir()
    found = rates(store, finished_runs(store))["transformer"]
    assert found.device == "cuda"
    assert found.points == ((spec_of(info).cost.flops_forward, pytest.approx(5e6)),)


def program_spec(width=32, **changes):
    n = 12 * width**2
    counts = Counts(num_params=n, flops_per_token=6 * n)
    own = {"options": {"width": width}, "counts": counts, "num_tokens": 1 << 20, **changes}
    return ProgramSpec(program=Program(command=("train",)), **own)


def test_programs_are_estimated_by_their_own_runs_alone(info, home):
    store, sweep = Store.at(), Sweep.of("x", [program_spec(), program_spec(64)])
    finished(store, spec_of(info), 5e6, device="cuda:0", time=2.0)
    unknown = estimate(sweep)
    assert (unknown.hours, unknown.kwh, unknown.device, unknown.flops) == (
        None, None, None, sweep.flops
    )  # fmt: skip
    assert unknown.measured.startswith(f"no finished run of program in {home}")
    assert not (home / "throughput.json").exists(), "our transformer says nothing of a program"
    given = estimate(sweep, Prices(flops_per_second=1e9))
    assert given.hours * 3600 == pytest.approx(sweep.flops / 1e9)
    past = program_spec(seed=3)
    finished(store, past, 2e6, device="cpu", time=3.0)
    finished(store, program_spec(seed=4, name="transformer"), 9e9, time=4.0)
    found = estimate(sweep)
    assert found.hours * 3600 == pytest.approx(sweep.flops / 2e6)
    assert found.measured == f"1 finished program run in {home}" and found.device == "cpu"
    assert rates(store, finished_runs(store))["transformer"].device == "cuda"
    assert rates(store, finished_runs(store))["program transformer"].points[0][1] == pytest.approx(
        9e9
    )


def test_the_start_of_a_short_run_says_nothing_of_its_pace(info, home):
    # Two seconds to the first point, then 1e8 FLOP/s; information on held-out data is not here.
    store, spec = Store.at(), spec_of(info, num_tokens=200 * 256)
    folder = store.run_dir(spec.run_id)
    write_atomic(folder / "spec.json", json.dumps(spec.to_dict()))
    seconds = {step: 2 + (step - 16) * 256 * spec.cost.flops_train / 1e8 for step in (16, 23, 200)}
    journal = Journal(folder)
    journal.append("start", device="cpu", time=1.0)
    for step in (16, 23):
        journal.append("point", step=step * 256, loss=3.0, seconds=seconds[step])
    end = {"status": "done", "tokens": spec.num_tokens, "time": 1.0}
    journal.append("end", **end, seconds=seconds[200])
    assert rates(store, finished_runs(store))["transformer"].points[0][1] == pytest.approx(1e8)
    journal.append("end", **end, seconds=2.4)  # the rest in 0.4 s
    assert rates(store, finished_runs(store)) == {}
    journal.close()


def image_spec(**options):
    base = {"family": "lenet", "data": "digits", "num_tokens": 1e4, "batch_size": 32, "lr": 0.01}
    return RunSpec.resolve(**{**base, **options})


def test_evaluations_are_work_too(home):
    # 10,000 examples in steps of 32: 313; a curve of 16, 23, 32, ... 256 is 9 points of 100, and
    # at the end all 360 held-out images of digits are seen, and as many that were trained on.
    spec = image_spec(num_tokens=313 * 32, curve_tokens=100)
    extra = spec.cost.flops_forward * (9 * 100 + 2 * 360)
    assert work(spec, 360) == spec.flops + extra
    found = estimate(Sweep.of("x", [spec]), Prices(flops_per_second=1e6))
    assert found.flops_evaluation == extra
    assert found.hours * 3600 == pytest.approx((spec.flops + extra) / 1e6)
    # What was evaluated on the trunk before is not evaluated again: 256 is left.
    later = work(spec, 360, first_step=200)
    assert later == spec.cost.flops_forward * (3 * 113 * 32 + 100 + 2 * 360)


def test_a_curve_that_nobody_asked_for_costs_its_share_at_most(home):
    # Six steps' worth, at 9 points and at the end, where a tenth is evaluated again, or 360.
    for batch_size, again in ((8, 250), (32, 360)):
        spec = image_spec(num_tokens=313 * batch_size, batch_size=batch_size)
        extra = spec.cost.flops_forward * (10 * 6 * batch_size + 360 + again)
        assert work(spec, 360) == spec.flops + extra


# What a step costs, a layer, a GFLOP, ...: see ``calibration._amounts``.
PRICES = (1e-3, 2e-4, 1e-10, 1e-9, 2e-9, 3e-9), (5e-4, 1e-4, 5e-11, 5e-10, 1e-9, 0.0)


def seconds_of(spec):
    """A machine that has these prices: seconds of a step, and of a chunk of an evaluation."""
    cost = spec.cost
    chunk = 512 if cost.unit == "token" else 64  # what is timed
    return tuple(
        price[0]
        + price[1] * getattr(spec.model, "depth", 1)
        + price[2] * flops * units
        + price[3] * cost.activations * units
        + price[4]
        * getattr(spec.model, "depth", 1)
        * getattr(spec.model, "heads", 0)
        * getattr(spec.model, "context", 0)
        * units
        + price[5] * cost.num_params
        for price, units, flops in zip(
            PRICES,
            (spec.units_per_step, chunk),
            (cost.flops_train, cost.flops_forward),
            strict=True,
        )
    )


def ratio_of(flops_forward):
    """What a compiled step takes over another, on a machine where it falls with the size."""
    return 0.8 * (flops_forward / 1e5) ** -0.05


@pytest.fixture
def machine(monkeypatch):
    """A machine with known prices, and how often it was timed."""
    timed = []

    def fake(spec, *, compiled=False):
        timed.append(spec)
        step, chunk = seconds_of(spec)
        return step * (ratio_of(spec.cost.flops_forward) if compiled else 1.0), chunk

    monkeypatch.setattr(calibration, "measure", fake)
    return timed


@pytest.mark.parametrize(
    "options",
    [
        {"depth": 3, "width": 96, "context": 48, "batch_size": 5, "num_tokens": 5e5},
        {"depth": 12, "width": 768, "context": 1024, "batch_size": 32, "num_tokens": 1e8},
        {"family": "mlp", "data": "teacher", "depth": 4, "width": 99, "num_tokens": 1e5},
    ],
)
def test_a_shape_that_was_not_timed_has_its_time(info, home, machine, options):
    given = options if "family" in options else {"info": info, **options}
    spec = RunSpec.resolve(**given, lr=0.01)
    times = calibrated(Store.at(), [spec])
    assert len(machine) == len(SHAPES[spec.family])
    step, chunk = seconds_of(spec)
    assert times.step(spec) == pytest.approx(step, rel=1e-6)
    # Evaluations go by 2,048 tokens: what a chunk costs whatever its size is paid once for four.
    fixed = PRICES[1][0] + PRICES[1][1] * spec.model.depth
    whole = fixed + 4 * (chunk - fixed) if spec.cost.unit == "token" else chunk
    per_chunk = 2048 if spec.cost.unit == "token" else 64
    assert times.evaluating(spec, 10 * per_chunk) == pytest.approx(10 * whole, rel=1e-6)


def test_an_estimate_counts_steps_evaluations_and_starts(home, machine):
    spec = image_spec(num_tokens=313 * 32, curve_tokens=100)
    times = calibrated(Store.at(), [spec])
    found = estimate(Sweep.of("x", [spec]))
    alone = 313 * times.step(spec) + times.evaluating(spec, 9 * 100 + 2 * 360)
    assert times.seconds(spec, 360) == pytest.approx(alone)
    assert found.longest_hours * 3600 == pytest.approx(alone + calibration.RUN_SECONDS)
    whole = alone + calibration.RUN_SECONDS + calibration.WORKER_SECONDS
    assert found.hours * 3600 == pytest.approx(whole)


def test_short_runs_of_the_past_do_not_mislead_about_long_ones(info, home, machine):
    """Ten runs of a second that took twice as long, and one of a minute by the prices."""
    store, long = Store.at(), spec_of(info, num_tokens=256 * 20_000)
    times = calibrated(store, [long])
    for seed in range(10):
        short = spec_of(info, num_tokens=256 * 100, seed=seed)
        finished(store, short, 1.0, seconds=2 * times.seconds(short, 0))
    before = throughput(store, [long])["transformer"]
    assert before.factor == pytest.approx(2.0)
    finished(store, long, 1.0, seconds=times.seconds(long, 0), time=2.0)
    after = throughput(store, [long])["transformer"]
    assert 1.0 < after.factor < 1.1
    assert after.source.endswith("by 11 finished runs")
    finished(store, spec_of(info, seed=99), 1.0, seconds=1e9, time=3.0, ensemble=8)
    assert throughput(store, [long])["transformer"] == after


def test_a_run_that_will_be_compiled_is_foretold_so(info, home, machine):
    spec = spec_of(info, depth=3, width=96, num_tokens=1e6)
    plain = estimate(Sweep.of("x", [spec])).longest_hours
    assert len(machine) == len(SHAPES["transformer"])
    asked = replace(Sweep.of("x", [spec]), resources={"compile": "always"})
    times = calibrated(Store.at(), [spec], [("always", 1)])
    assert len(machine) == len(SHAPES["transformer"]) + 2 * len(calibration.COMPILED_SHAPES["cpu"])
    ratio = ratio_of(spec.cost.flops_forward)
    assert times.step(spec, compiled=True) == pytest.approx(ratio * times.step(spec))
    trained = spec.num_steps * times.step(spec) * (1 - ratio) / 3600
    assert estimate(asked).longest_hours == pytest.approx(plain - trained)
    assert len(machine) == len(SHAPES["transformer"]) + 2 * len(calibration.COMPILED_SHAPES["cpu"])
    # One that was compiled and took what is foretold says nothing else of those that are not.
    seconds = times.seconds(spec, 0, compiled=True)
    finished(Store.at(), spec, 1.0, seconds=seconds, compiled=True)
    found = throughput(Store.at(), [spec], [("always", 1)])["transformer"]
    assert found.factor == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("asked", "card", "flops", "how"),
    [  # 180 s at 0.3 of 989e12 FLOP/s are 5.3e16 FLOPs; a quarter of it on four GPUs
        ("auto", "NVIDIA H100 80GB HBM3", 5.2e16, ""),
        ("auto", "NVIDIA H100 80GB HBM3", 5.5e16, "blocks"),
        # 11 further blocks take 41 s to compile, a hundredth of 4,125 s or 1.224e18 FLOPs
        ("auto", "NVIDIA H100 80GB HBM3", 1.21e18, "blocks"),
        ("auto", "NVIDIA H100 80GB HBM3", 1.24e18, "whole"),
        ("auto", "", 1e20, ""),
        ("always", "", 1.0, "whole"),
        ("blocks", "", 1.0, "blocks"),
        ("never", "NVIDIA H100 80GB HBM3", 1e20, ""),
    ],
)
def test_what_is_compiled(asked, card, flops, how):
    assert how_compiled(asked, flops, card, "bfloat16", blocks=12) == how
    assert how_compiled(asked, 4 * flops, card, "bfloat16", 4, 12) == how


def test_runs_on_another_kind_of_device_than_is_here_speak_for_themselves(info, home, machine):
    store, spec = Store.at(), spec_of(info)
    finished(store, spec, 5e6, device="cuda:0")
    found = throughput(store, [spec])["transformer"]
    assert isinstance(found, Throughput) and found.device == "cuda"
    assert found.points == ((spec.cost.flops_forward, pytest.approx(5e6)),)


def test_a_calibration_is_made_once_and_kept(info, home, machine):
    specs = [spec_of(info)]
    first, second = throughput(Store.at(), specs), throughput(Store.at(), specs)
    assert first == second
    assert len(machine) == len(SHAPES["transformer"])
    kept = json.loads((home / "throughput.json").read_text())
    for entry in kept.values():
        entry["time"] -= 40 * 86400
    (home / "throughput.json").write_text(json.dumps(kept))
    throughput(Store.at(), specs)
    assert len(machine) == 2 * len(SHAPES["transformer"])
    (home / "throughput.json").write_text('{"time": 1e12}')
    assert throughput(Store.at(), specs) == first


def test_a_family_without_shapes_is_timed_on_its_own_models_once(home, machine, monkeypatch):
    specs = [image_spec(widths=[w, 2 * w]) for w in (4, 2, 8, 6, 5, 3, 7)]
    found = calibrated(Store.at(), specs)
    assert [spec.model.widths[0] for spec in machine] == [2, 3, 4, 5, 6, 8]
    assert calibrated(Store.at(), specs) == found
    assert len(machine) == 6
    # Of such models nothing but their size differs: those between are told well.
    assert found.step(specs[6]) == pytest.approx(seconds_of(specs[6])[0], rel=0.01)
    # A model whose step would take long is not tried.
    monkeypatch.setitem(STEP_FLOPS, "cpu", 2.5 * 32 * specs[3].cost.flops_train / 2)
    calibrated(Store.at(), [specs[3], specs[2]])
    assert [spec.model.widths[0] for spec in machine[6:]] == [6]


def test_what_cannot_be_timed_quickly_is_taken_as_a_transformer(home, machine, monkeypatch):
    monkeypatch.setitem(STEP_FLOPS, "cpu", 1.0)
    assert isinstance(calibrated(Store.at(), [image_spec()]), StepTimes)
    assert {spec.family for spec in machine} == {"transformer"}


def test_timing_leaves_torch_as_it_was(info):
    import torch

    threads, state = torch.get_num_threads(), torch.random.get_rng_state()
    for spec in (image_spec(), spec_of(info)):
        step, chunk = measure(spec, seconds=0.01)
        assert 1e-6 < step < 1e3 and 1e-6 < chunk < 1e3
    assert torch.get_num_threads() == threads
    assert torch.equal(torch.random.get_rng_state(), state)


def test_models_whose_stages_have_heads_of_their_own_are_priced():
    shape = {"depths": (1, 1), "widths": (16, 32)}
    spec = RunSpec.resolve(family="swin", data="digits", num_examples=64, lr=0.01, **shape)
    *_, scores, num_params = calibration._amounts(spec, 32, 1.0)
    assert (scores, num_params) == (0, spec.cost.num_params)
