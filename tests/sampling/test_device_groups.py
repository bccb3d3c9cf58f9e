"""Several cards in one machine: the host's own path with copies of a model on devices that are not there (`tagged_devices`)."""

import contextvars
import logging
import threading

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tilework.blending.layout.grid import Rect
from tilework.sampling import device_groups, one_device
from tilework.sampling.device_groups import DeviceGroups
from tilework.sampling.last_call import LastCall
from tilework.sampling.tile_waves import waves

from ..host.recording import CPU, UNIT, Pointwise, TileSettings, comfy, make_model, noise, prompt, ramp, relative
from ..host.recording import tiled_model as tiled
from .tagged_devices import Cards, Tagged, WatchedPool, card, put_on
from .test_crop_areas import blob
from .test_crop_runs import patcher_of, sample

BOUND = 1e-5
SHAPE = (1, 4, 97, 131)
# 48 x 64 cells, overlap 16: 3 x 3 tiles.
TILES = {"tile_width": 512, "tile_height": 384, "overlap": 128, "tile_batch": 2}
SEVERAL = pytest.mark.parametrize("cards", [2, 3])
ORDERS = pytest.mark.parametrize("order", ["fused", "sequential"])


class OnOneDevice(Pointwise):
    """Refuses whatever is not on its device. What `before` is called with: the device, and how many pictures."""

    def __init__(self, channels, before=None):
        super().__init__(channels)
        self.register_buffer("here", torch.zeros(()))
        self.before = before or (lambda device, pictures: None)
        self.inference = True

    def forward(self, x, timesteps=None, context=None, control=None, transformer_options=None, **extra):
        held = {"x": x, "timesteps": timesteps, "context": context, **extra}
        held |= {name: transformer_options[name] for name in ("sigmas", "sample_sigmas")}
        held |= {f"control {number}": part for number, part in enumerate((control or {}).get("output", []))}
        for name, value in held.items():
            if isinstance(value, torch.Tensor):
                assert value.device == self.here.device, f"{name} is on {value.device}, the model on {self.here.device}"
        assert torch.is_inference_mode_enabled() or not self.inference
        self.before(self.here.device, x.shape[0])
        return super().forward(x, timesteps, context, control, transformer_options, **extra)


class HintMean(torch.nn.Module):
    """A control network that answers with the mean of its hint over each cell, on its own device."""

    dtype = torch.float32

    def __init__(self):
        super().__init__()
        self.register_buffer("one", torch.ones(1))

    def forward(self, x, hint=None, **extra):
        planes = torch.nn.functional.avg_pool2d(hint, UNIT).mean(dim=1, keepdim=True)
        return {"input": [], "middle": [], "output": [planes * self.one]}


class Bed:
    """A model with copies on cards. `counts` has the pictures that each device was given, per call."""

    def __init__(self, monkeypatch, cards, channels=4, before=None, inpaint=False):
        WatchedPool.left.clear()
        self.calls, self._lock = [], threading.Lock()

        def called(device, pictures):
            with self._lock:
                self.calls.append((device, pictures))
            if before is not None:
                before(device, pictures)

        self.alone = self._patcher(channels, None, CPU, inpaint)
        self.patcher = self._patcher(channels, called, CPU, inpaint)
        copies = [self._patcher(channels, called, card(number), inpaint) for number in range(1, cards)]
        for copy in copies:
            copy.is_multigpu_base_clone = True
        self.devices = [CPU, *(card(number) for number in range(1, cards))]
        self.patcher.set_additional_models("multigpu", copies)
        monkeypatch.setattr(comfy.multigpu, "MultiGPUThreadPool", WatchedPool)
        monkeypatch.setattr(comfy.model_management, "load_models_gpu", lambda *args, **more: None)
        for kind in (comfy.controlnet.ControlNet,):
            monkeypatch.setattr(kind, "deepclone_multigpu", _with_tags(kind.deepclone_multigpu))

    @staticmethod
    def _patcher(channels, called, device, inpaint):
        model = make_model(channels)
        model.diffusion_model = OnOneDevice(channels, called)
        if inpaint:
            model.set_inpaint()
        if device != CPU:
            put_on(model, device)
        patcher = patcher_of(model)
        patcher.load_device = device
        return patcher

    def tiled(self, **settings):
        return tiled(self.patcher, TileSettings(**{**TILES, **settings}))

    def one_card(self, **settings):
        return tiled(self.alone, TileSettings(**{**TILES, **settings}))

    def pictures(self):
        return {device: sum(count for one, count in self.calls if one == device) for device in self.devices}


def _with_tags(deepclone):
    def clone(self, load_device, autoregister=False):
        made = deepclone(self, load_device, autoregister)
        put_on(made.control_model, load_device)
        return made

    return clone


def controlnet(hint, strength, previous=None):
    control = comfy.controlnet.ControlNet(HintMean(), load_device=CPU)
    control.set_cond_hint(hint, strength)
    return control.set_previous_controlnet(previous)


def everything(shape=SHAPE):
    """Prompts with controls, masks, areas and an inpaint picture; a negative one; a noise mask."""
    height, width = shape[-2:]
    control = controlnet(ramp(500, 900), 0.1, controlnet(ramp(height * UNIT, width * UNIT), 0.05))
    inpaint = {"concat_latent_image": ramp(height, width, channels=4), "concat_mask": blob(height, width).unsqueeze(1)}
    positive = [
        *prompt(1, control=control, **inpaint),
        *prompt(2, mask=blob(height, width) + 0.05, control=control, **inpaint),
        *prompt(3, area=(40, 50, 30, 41), **inpaint),
    ]
    more = {"latent": ramp(height, width, channels=4), "noise_mask": (blob(height, width, seed=2) > 0.2).float()}
    return (positive, prompt(5, control=control, **inpaint)), more


@pytest.mark.parametrize(("cards", "sampler"), [(2, "euler_ancestral"), (3, "dpmpp_2m")])
@ORDERS
def test_tiles_on_several_devices_give_the_picture_of_one(monkeypatch, cards, order, sampler):
    bed = Bed(monkeypatch, cards, inpaint=True)
    conds, more = everything()
    x = noise(*SHAPE, seed=4)
    one = sample(bed.one_card(order=order), x, *conds, sampler, 3, **more)
    several = sample(bed.tiled(order=order), x, *conds, sampler, 3, **more)
    again = sample(bed.tiled(order=order), x, *conds, sampler, 3, **more)
    print(f"{order}, {sampler}, {cards} devices: {relative(several, one):.1e}; pictures by device {list(bed.pictures().values())}")
    assert relative(several, one) <= BOUND and torch.equal(several, again)
    assert not isinstance(several, Tagged) and several.device == CPU
    assert min(bed.pictures().values()) > 0 and WatchedPool.left == [0, 0]


@SEVERAL
@ORDERS
@pytest.mark.parametrize("shape", [(2, 4, 97, 131), (1, 16, 5, 40, 72)], ids=str)
def test_counts_per_device_are_within_one_tile(monkeypatch, cards, order, shape):
    bed = Bed(monkeypatch, cards, shape[1])
    x = noise(*shape, seed=1)
    settings = TileSettings(**TILES, order=order)
    tiles = len(settings.plan(shape[-2:], shape[0], UNIT, 1))
    sample(bed.tiled(order=order), x, prompt(1), None or prompt(2), "euler", 2)
    # Two prompts, which go through the model together or one after the other.
    counts = [count / shape[0] / 2 for count in bed.pictures().values()]
    steps = 2
    print(f"{order}, {shape}, {tiles} tiles, {steps} steps: {counts}")
    assert sum(counts) == tiles * steps and max(counts) - min(counts) <= steps


@ORDERS
def test_both_are_at_work_at_the_same_time(monkeypatch, order):
    barrier, met = threading.Barrier(2), set()

    def meet(device, pictures):
        if sum(one == device for one, _ in bed.calls) == call:
            met.add(device)
            barrier.wait(timeout=60)

    # In order sequential each device has had one tile of the first row before the second row may begin beside it.
    call = 1 if order == "fused" else 2
    bed = Bed(monkeypatch, 2, before=meet)
    sample(bed.tiled(order=order, tile_batch=1), noise(*SHAPE), prompt(1), prompt(1), "euler", 1)
    assert met == {CPU, card(1)} and barrier.n_waiting == 0 and not barrier.broken


def _not_moved(what):
    """`ask` with one transfer left out."""
    ask = DeviceGroups.ask

    def forgetful(self, device, executor, conds, pictures, times, options):
        def back(model, conds, pictures, times, options):
            given = {"pictures": pictures, "times": times}
            given |= {name: value.to(CPU) for name, value in given.items() if name == what}
            return executor(model, conds, *given.values(), options)

        said = ask(self, device, back, conds, pictures, times, options)
        return [part.to(device) for part in said] if what == "answers" else said

    return forgetful


@ORDERS
@pytest.mark.parametrize("what", ["conditions", "options", "control", "pictures", "times", "answers", "nothing"])
def test_a_missing_transfer_fails(monkeypatch, order, what):
    bed = Bed(monkeypatch, 2, inpaint=True)
    conds, more = everything()
    if what == "conditions":
        monkeypatch.setattr(device_groups, "conditions_on", lambda conds, device: conds)
    elif what == "options":
        monkeypatch.setattr(device_groups, "options_on", lambda options, device: options)
    elif what == "control":
        monkeypatch.setattr(comfy.controlnet.ControlBase, "get_instance_for_device", lambda self, device: self)
    else:
        monkeypatch.setattr(DeviceGroups, "ask", _not_moved(what))

    def run():
        return sample(bed.tiled(order=order), noise(*SHAPE), *conds, "euler", 1, **more)

    if what == "nothing":
        assert torch.isfinite(run()).all()
        return
    with pytest.raises((RuntimeError, AssertionError), match=r"cpu:1"):
        run()
    assert WatchedPool.left == [0]


@ORDERS
@pytest.mark.parametrize("where", [CPU, card(1)], ids=str)
def test_a_copy_that_fails_is_named_and_nothing_is_left_queued(monkeypatch, order, where):
    broken = [True]

    def fail(device, pictures):
        if device == where and broken[0]:
            raise ValueError("these weights are torn")

    bed = Bed(monkeypatch, 2, before=fail)
    said = (ValueError, "^these weights are torn$") if where == CPU else (RuntimeError, "on cpu:1 failed.*torn.*MultiGPU CFG Split out")
    with pytest.raises(said[0], match=said[1]):
        sample(bed.tiled(order=order), noise(*SHAPE), prompt(1), prompt(2), "euler", 2)
    calls = len(bed.calls)
    broken[0] = False
    one = sample(bed.one_card(order=order), noise(*SHAPE), prompt(1), prompt(2), "euler", 2)
    several = sample(bed.tiled(order=order), noise(*SHAPE), prompt(1), prompt(2), "euler", 2)
    print(f"{order}, {where}: {calls} calls until it ended")
    assert WatchedPool.left == [0, 0] and relative(several, one) <= BOUND, "the next run is clean"
    assert calls <= 12, "nobody goes on with the steps"


@ORDERS
@pytest.mark.parametrize("where", [CPU, card(1)], ids=str)
def test_a_cancel_ends_both(monkeypatch, order, where):
    seen = []

    def cancel(device, pictures):
        if device == where and where not in seen:
            comfy.model_management.interrupt_current_processing()
        seen.append(device)

    bed = Bed(monkeypatch, 2, before=cancel)
    with pytest.raises(comfy.model_management.InterruptProcessingException):
        sample(bed.tiled(order=order, tile_batch=4), noise(*SHAPE), prompt(1), prompt(2), "euler", 20)
    after = seen[seen.index(where) + 1 :]
    print(f"{order}, {where}: {len(after)} calls after the cancel")
    # A tile that is in the model goes to its end: of both prompts, and of what the other device had begun.
    assert len(after) <= 4 and WatchedPool.left == [0]
    assert torch.isfinite(sample(bed.tiled(order=order), noise(*SHAPE), prompt(1), prompt(2), "euler", 1)).all(), "the next run is clean"


def test_progress_counts_the_steps_of_all_tiles_and_its_node_is_known_in_every_thread(monkeypatch):
    node = contextvars.ContextVar("node", default=None)
    told = []
    bed = Bed(monkeypatch, 2)
    node.set("7")
    with torch.inference_mode():
        comfy.sample.sample(
            bed.tiled(order="sequential"), noise(*SHAPE), 3, 3.0, "euler", "normal", prompt(1), prompt(2), torch.zeros(SHAPE), seed=1,
            disable_pbar=True, callback=lambda step, x0, x, total: told.append((step, total, tuple(x0.shape), node.get())),
        )  # fmt: skip
    assert [step for step, *_ in told] == list(range(27)) and {one[1:] for one in told} == {(27, SHAPE, "7")}


def test_memory_that_runs_out_on_one_device_halves_its_tiles_alone(monkeypatch, caplog):
    def tight(device, pictures):
        if device == card(1) and pictures > 2:
            raise torch.OutOfMemoryError("no room")

    bed = Bed(monkeypatch, 2, before=tight)
    one = sample(bed.one_card(tile_batch=4), noise(*SHAPE), prompt(1), prompt(2), "euler", 2)
    several = sample(bed.tiled(tile_batch=4), noise(*SHAPE), prompt(1), prompt(2), "euler", 2)
    largest = {device: max(count for one_, count in bed.calls[2:] if one_ == device) for device in bed.devices}
    print(f"largest calls {largest}, {relative(several, one):.1e}")
    assert relative(several, one) <= BOUND and largest[CPU] > 2
    assert sum("out of memory" in line for line in caplog.messages) == 1
    bed = Bed(monkeypatch, 2, before=lambda device, pictures: tight(device, 3))
    with pytest.raises(torch.OutOfMemoryError, match=r"^cpu:1, which holds a copy.*smaller tiles"):
        sample(bed.tiled(), noise(*SHAPE), prompt(1), prompt(2), "euler", 1)


def test_the_host_does_not_spread_a_tile_once_more(monkeypatch):
    seen = []

    def look(executor, model, conds, x, timestep, options):
        seen.append({name for name in options if "multigpu" in name} & {"multigpu_clones", "multigpu_thread_pool"})
        return executor(model, conds, x, timestep, options)

    for order in ("fused", "sequential"):
        bed = Bed(monkeypatch, 2)
        patched = bed.tiled(order=order)
        patched.add_wrapper_with_key(comfy.patcher_extension.WrappersMP.CALC_COND_BATCH, "look", look)
        sample(patched, noise(*SHAPE), prompt(1), prompt(2), "euler", 1)
    assert seen and not any(seen)


@pytest.mark.parametrize(
    "what", ["after guidance", "a control", "wavelet edit", "no threads", "no copies"], ids=lambda what: what.replace(" ", "_")
)
def test_what_knows_one_call_at_a_time_stays_on_one_device(monkeypatch, caplog, what):
    caplog.set_level(logging.INFO)
    bed = Bed(monkeypatch, 2)
    order = "sequential" if what == "after guidance" else "fused"
    patched = bed.tiled(order=order)
    if what == "after guidance":
        patched.set_model_sampler_post_cfg_function(lambda args: args["denoised"])
    elif what == "a control":
        control = controlnet(ramp(97 * UNIT, 131 * UNIT), 0.1)
        groups = DeviceGroups({CPU: None, card(1): None}, None)
        assert "no copy on other devices" in one_device._of_condition({"control": control}, groups)
        control.multigpu_clones = {card(1): control}
        assert not one_device._of_condition({"control": control}, groups)
        control.vae = object()
        assert "with a VAE" in one_device._of_condition({"control": control}, groups)
        assert "GLIGEN" in one_device._of_condition({"gligen": ("position", None, [])}, groups)
        return
    elif what == "wavelet edit":
        patched.add_wrapper_with_key(comfy.patcher_extension.WrappersMP.CALC_COND_BATCH, one_device.EDIT, lambda run, *args: run(*args))
    elif what == "no threads":
        assert device_groups.device_groups(bed.patcher.model, {"multigpu_clones": {CPU: bed.patcher}}) is None
        return
    else:
        assert device_groups.device_groups(bed.patcher.model, {}) is None
        return
    # The host's threads do not sample in inference mode.
    for patcher in (bed.patcher, *bed.patcher.get_additional_models_with_key("multigpu")):
        patcher.model.diffusion_model.inference = False
    one = sample(bed.one_card(order=order), noise(*SHAPE), prompt(1), prompt(2), "euler", 2)
    several = sample(patched, noise(*SHAPE), prompt(1), prompt(2), "euler", 2)
    assert relative(several, one) <= BOUND
    assert sum("the tiles stay on one device" in line for line in caplog.messages) == 1


def test_patches_that_write_down_one_call_for_the_next_are_known():
    from comfy_extras import nodes_freelunch, nodes_hypertile, nodes_sag, nodes_tomesd

    model = patcher_of(make_model())
    model.model.model_config.unet_config = {"model_channels": 320}
    patched = {
        "HyperTile": nodes_hypertile.HyperTile.execute(model, 256, 2, 0, False),
        "Token Merging": nodes_tomesd.TomePatchModel.execute(model, 0.3),
        "Self-Attention Guidance": nodes_sag.SelfAttentionGuidance.execute(model, 0.5, 2.0),
        "FreeU": nodes_freelunch.FreeU_V2.execute(model, 1.3, 1.4, 0.9, 0.2),
        "nothing": [model],
    }
    found = {name: LastCall(one[0].model_options).writing for name, one in patched.items()}
    print(found)
    assert [name for name, writing in found.items() if not writing] == ["FreeU", "nothing"]


def test_hooks_are_brought_to_the_step_once_for_all_devices():
    asked = []

    class Patcher:
        def prepare_hook_patches_current_keyframe(self, timestep, hooks, options):
            asked.append((float(timestep[0]), hooks, "multigpu_clones" in options))

    class Model:
        current_patcher = Patcher()

    groups = DeviceGroups({CPU: Model(), card(1): None}, None)
    one, other = object(), object()
    conds = [[{"hooks": one}, {"hooks": one}, {}, {"hooks": other, "timestep_end": 4.0}], None]
    groups.prepare(conds, torch.tensor([3.0]), {"multigpu_clones": {}})
    assert asked == [(3.0, one, True)], "each once, and not what is out of its range"


@given(st.lists(st.integers(1, 9), min_size=1, max_size=12), st.integers(1, 4))
def test_of_equal_devices_none_is_more_than_a_tile_ahead(chunks, cards):
    groups, given_ = DeviceGroups({card(number): None for number in range(cards)}, None), {}
    for count in chunks:
        assert sum(groups.deal(count, given_).values()) == count
        assert len(given_) <= cards and max(given_.values()) - min(given_.get(one, 0) for one in groups.models) <= 1


def test_a_faster_device_gets_more():
    groups, given_ = DeviceGroups({CPU: None, card(1): None}, None, [3.0, 1.0]), {}
    groups.deal(40, given_)
    assert given_ == {CPU: 30, card(1): 10}


@given(st.integers(1, 6), st.integers(1, 6), st.integers(1, 12), st.integers(0, 8), st.integers(1, 4))
def test_waves_keep_every_tile_behind_those_it_sees(rows, columns, step, overlap, most):
    side = step + overlap
    rects = [Rect(y * step, x * step, side, side) for y in range(rows) for x in range(columns)]
    canvas = (rows * step + overlap - min(overlap, 1), columns * step + overlap)
    finished = []
    for wave in waves(rects, canvas, most):
        assert 0 < len(wave) <= most and wave == sorted(wave)
        for one in wave:
            for other in range(len(rects)):
                if other != one and _overlap(rects[one], rects[other]):
                    assert (other in finished) == (other < one), (one, other)
        finished += wave
    assert sorted(finished) == list(range(len(rects))) and (most > 1 or finished == sorted(finished))


def _overlap(a, b):
    return all(a[axis] < b[axis] + b[axis + 2] and b[axis] < a[axis] + a[axis + 2] for axis in (0, 1))


def test_two_devices_need_little_more_than_half_of_the_waves():
    rects = [Rect(y * 48, x * 48, 64, 64) for y in range(9) for x in range(9)]
    assert [len(list(waves(rects, (448, 448), most))) for most in (1, 2, 3)] == [81, 43, 31]


def test_tensors_of_two_cards_are_not_mixed():
    with Cards(), torch.inference_mode():
        here, there = torch.ones(2, 2), torch.ones(2, 2).to(card(1))
        assert there.device == card(1) and torch.equal((there * 2).to(CPU), here * 2) and torch.zeros(2, device=card(1)).device == card(1)
        for other in (here, here.to(card(2))):
            with pytest.raises(RuntimeError, match="same device"):
                there + other
