"""A network run in stages, tile by tile, is the network: tiled equals untiled, and memory stays under what is stated."""

import weakref

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tilework.blending.stages import run as stage_canvas
from tilework.blending.stages.plan import StagePlan, stage_cores, trace
from tilework.blending.stages.run import StageRun, Workplace
from tilework.blending.stages.steps import Add, Attention, Keep, Local, Norm, Region, factors

CHANNELS = 8
CELLS = (20, 28)


class Net:
    """Twice up (or down), three blocks with group norms, attention over everything at the coarsest."""

    def __init__(self, up: bool = True, seed: int = 0) -> None:
        self.generator = torch.Generator().manual_seed(seed)
        first, last = (self.conv(3, CHANNELS), self.conv(CHANNELS, 3))
        double = torch.nn.Upsample(scale_factor=2)
        half = self.conv(CHANNELS, CHANNELS, stride=2)
        if up:
            blocks = [self.block(), self.attention(), [Local(double, up=2)], self.block(2), [Local(double, up=2)], self.block()]
        else:
            blocks = [self.block(), [Local(half, 1, down=2)], self.block(2), [Local(half, 1, down=2)], self.attention(), self.block()]
        self.steps = [Local(first, 1), *(step for block in blocks for step in block), self.norm(), Local(torch.tanh), Local(last, 1)]

    def conv(self, into, out, side=3, stride=1):
        layer = torch.nn.Conv2d(into, out, side, stride, padding=side // 2).requires_grad_(False)
        layer.weight.copy_(torch.randn(layer.weight.shape, generator=self.generator) / (into * side * side) ** 0.5)
        layer.bias.copy_(torch.randn(layer.bias.shape, generator=self.generator) * 0.1)
        return layer

    def norm(self):
        weight, bias = 1 + 0.1 * torch.randn(CHANNELS, generator=self.generator), torch.randn(CHANNELS, generator=self.generator)
        return Norm(2, 1e-6, lambda x: (weight, bias))

    def block(self, keeps=1):
        shortcut = Local(self.conv(CHANNELS, CHANNELS), 1) if keeps == 2 else None
        inner = [self.norm(), Local(torch.relu), Local(self.conv(CHANNELS, CHANNELS), 1)]
        inner += [Keep(), self.norm(), Local(self.conv(CHANNELS, CHANNELS), 1), Add()]
        return [Keep(), *inner, Local(self.conv(CHANNELS, CHANNELS, 1)), Add(shortcut)]

    def attention(self):
        parts = [self.conv(CHANNELS, CHANNELS, 1) for _ in range(4)]
        return [Keep(), self.norm(), Attention(*parts), Add()]

    def untiled(self, x):
        """With torch's own norm and attention."""
        kept = []
        for step in self.steps:
            if isinstance(step, Local):
                x = step.run(x)
            elif isinstance(step, Norm):
                x = torch.nn.functional.group_norm(x, step.groups, *step.affine(x), step.eps)
            elif isinstance(step, Attention):
                q, k, v = (part(x).flatten(2).mT for part in (step.query, step.key, step.value))
                x = step.project((torch.softmax(q @ k.mT / q.shape[-1] ** 0.5, -1) @ v).mT.reshape(x.shape))
            elif isinstance(step, Keep):
                kept.append(x)
            else:
                other = kept.pop()
                x = x + (other if step.shortcut is None else step.shortcut.run(other))
        return x


def picture(up, cells=CELLS, seed=1):
    """A picture whose left half is brighter."""
    scale = 1 if up else 4
    x = torch.randn(1, 3, cells[0] * scale, cells[1] * scale, generator=torch.Generator().manual_seed(seed))
    x[..., : x.shape[-1] // 2] += 1.5
    return x


def run(net, x, plan, tile, place=None, corrections=0, cells=CELLS):
    out = torch.full(net.untiled(x).shape, float("nan"))
    stage = StageRun(plan, place or Workplace(), cells, tile, corrections)
    stage.run(x, out)
    return out, stage


@pytest.mark.parametrize("up", [True, False])
@settings(deadline=None, max_examples=12)
@given(
    tile=st.tuples(st.integers(1, 24), st.integers(2, 30)), cells=st.tuples(st.integers(1, 13), st.integers(1, 17)), seed=st.integers(0, 9)
)
def test_exact_equals_untiled_for_any_tile_and_size(up, tile, cells, seed):
    net, x = Net(up, seed), picture(up, cells)
    before = x.clone()
    out, stage = run(net, x, StagePlan.exact(net.steps), tile, cells=cells)
    assert (out - net.untiled(x)).abs().max() < 2e-5
    assert torch.equal(x, before)
    assert stage.done == stage.total


@pytest.mark.parametrize("up", [True, False])
def test_statistics_per_tile_would_be_far_off_and_corrections_come_near(up):
    net, x = Net(up), picture(up)
    wanted = net.untiled(x)
    errors = [float((run(net, x, StagePlan.lean(net.steps), (7, 7), corrections=n)[0] - wanted).abs().mean()) for n in (0, 1, 2, 12)]
    scale = 1 if up else 4
    half = [net.untiled(part) for part in x.split(x.shape[-1] // 2 // scale * scale, -1)]
    apart = float((torch.cat(half, -1) - wanted).abs().mean())
    print(f"\nmean error, up={up}: two halves apart {apart:.2e}; estimated {errors[0]:.2e}; corrected {errors[1:]}")
    assert apart > 1e-2
    assert errors[1] < apart / 5 and errors[2] < errors[0] and errors[2] < apart / 10
    assert errors[3] < 1e-5, "as often as there are normalisations, it is exact"


@pytest.mark.parametrize("plan", [StagePlan.exact, StagePlan.lean])
@pytest.mark.parametrize("up", [True, False])
def test_canvases_stay_under_the_stated_bound(monkeypatch, plan, up):
    net, x = Net(up), picture(up)
    alive = most = 0

    def forget(size):
        nonlocal alive
        alive -= size

    def counted(shape, dtype, device):
        nonlocal alive, most
        canvas = torch.empty(shape, dtype=dtype)
        weakref.finalize(canvas, forget, canvas.numel())
        alive += canvas.numel()
        most = max(most, alive)
        return canvas

    monkeypatch.setattr(stage_canvas, "empty", counted)
    planned = plan(net.steps)
    run(net, x, planned, (6, 6))
    sample = torch.zeros(1, 3, *((2, 2) if up else (8, 8)))
    bound = planned.held(trace(net.steps, sample), CELLS)
    assert 0.8 * bound < most <= bound


def test_lean_holds_a_fraction_of_exact():
    net = Net()
    channels = trace(net.steps, torch.zeros(1, 3, 2, 2))
    assert StagePlan.lean(net.steps).held(channels, CELLS) * 10 < StagePlan.exact(net.steps).held(channels, CELLS)


def test_no_cell_is_computed_much_more_than_once():
    net, x = Net(), picture(True)
    done = 0

    def count(module, inputs, output):
        nonlocal done
        done += output[0, 0].numel() * module.weight.numel()

    for step in net.steps:
        for part in (step, getattr(step, "shortcut", None)):
            if isinstance(part, Local) and isinstance(part.run, torch.nn.Conv2d):
                part.run.register_forward_hook(count)
    out = net.untiled(x)
    untiled, done = done, 0
    StageRun(StagePlan.exact(net.steps), Workplace(), CELLS, (10, 14)).run(x, out)
    print(f"\nwork {done / untiled:.3f} of untiled")
    assert untiled < done <= 1.1 * untiled


class OutOfMemoryError(RuntimeError):
    """Faked."""


def test_after_running_out_of_memory_finished_tiles_stay():
    net, x = Net(), picture(True)
    finished, relieved = [], []

    def limited(values):
        if values.shape[-1] > 45:
            raise OutOfMemoryError
        finished.append(values.shape)
        return values

    steps = [*net.steps[:-1], Local(limited), net.steps[-1]]
    sizes = iter([(8, 8)])
    place = Workplace(shrink=lambda error: next(sizes) if isinstance(error, OutOfMemoryError) else None, relieve=lambda: relieved.append(1))
    out, stage = run(net, x, StagePlan.exact(steps), (20, 14), place)
    assert (out - net.untiled(x)).abs().max() < 2e-5
    assert stage.tile == (8, 8) and relieved == [1]
    assert stage.done == stage.total
    with pytest.raises(OutOfMemoryError):
        run(net, x, StagePlan.exact(steps), (20, 14))


def test_what_cannot_be_is_said():
    net, x = Net(), picture(True)
    with pytest.raises(ValueError, match="must begin with a Local step"):
        StagePlan.exact(net.steps[1:])
    with pytest.raises(ValueError, match="no Keep before it"):
        factors([Local(torch.tanh), Add()])
    x[0, 0, 13, 4] = float("nan")
    with pytest.raises(ValueError, match=r"NaN \(1 value\) in tile 2, the first at row 13, column 4"):
        run(net, x, StagePlan.exact(net.steps), (10, 14))


def test_cores_cover_the_plane_once():
    parts = stage_cores(Region(3, 23, 5, 36), (6, 7))
    seen = torch.zeros(30, 40)
    for part in parts:
        part.of(seen).add_(1)
        assert part.size[0] <= 6 and part.size[1] <= 7
    assert seen[3:23, 5:36].eq(1).all() and seen.sum() == 20 * 31
