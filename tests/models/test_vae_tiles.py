"""Tiled VAEs against the host's own, on tiny VAEs of every family, inside the test's own process."""

import pytest
import tilework.tests.host.recording  # noqa: F401 - sets ComfyUI up
import torch
from tilework.models.vae.tiles import VAETiles
from tilework.models.vae.tiling import decode, encode
from tilework.tests.pack.sources import smooth_picture
from tilework.tests.pack.vaes import KINDS, tiny

STAGED = [kind for kind in KINDS if kind not in ("wan", "stranger", "svd")]


@pytest.fixture(autouse=True)
def no_gradients():
    with torch.inference_mode():
        yield


def noise(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def shifted():
    """The latent of the acceptance: (1, 4, 64, 96), its left half shifted."""
    latent = noise(1, 4, 64, 96)
    latent[..., :48] += 1.0
    return latent


def errors(a, b):
    assert a.shape == b.shape and a.dtype == b.dtype
    return float((a - b).abs().max()), float((a - b).abs().mean())


class Work:
    """Multiplications of all convolutions of a VAE, per batch item."""

    def __init__(self, vae):
        self.done = 0
        for module in vae.first_stage_model.modules():
            if isinstance(module, torch.nn.Conv2d):
                module.register_forward_hook(self.count)

    def count(self, module, inputs, output):
        self.done += output[:, 0].numel() * module.weight.numel()

    def since(self):
        done, self.done = self.done, 0
        return done


def test_acceptance_of_decoding():
    vae, latent = tiny("kl"), shifted()
    work = Work(vae)
    untiled = vae.decode(latent)
    whole = work.since()
    core = errors(vae.decode_tiled(latent, tile_x=32, tile_y=32, overlap=8), untiled)
    core_work = work.since()
    said = {"core": (*core, core_work / whole)}
    for mode in ("exact", "statistics"):
        image, _ = decode(vae, latent, VAETiles(mode, 256, 256))
        said[mode] = (*errors(image, untiled), work.since() / whole)
    for name, (most, mean, share) in said.items():
        print(f"\n{name}: max {most:.2e}, mean {mean:.2e}, work {share:.3f} of untiled", end="")
    print(f"\nstatistics is {core[1] / said['statistics'][1]:.0f} times as near as the core's tiled decode")
    assert said["exact"][0] <= 1e-3 and said["exact"][1] <= 1e-4 and said["exact"][2] <= 1.6
    assert said["statistics"][1] * 5 <= core[1]
    image, _ = decode(vae, latent, VAETiles("fast", 256, 256))
    print(f"fast is {core[1] / errors(image, untiled)[1]:.0f} times as near, work {work.since() / whole:.3f}")
    assert errors(image, untiled)[1] * 2 <= core[1]
    assert 2 * said["exact"][2] <= core_work / whole


def test_ten_rounds_drift_no_more_than_untiled():
    vae = tiny("kl")
    picture = smooth_picture(1, 128, 192, 3, 3)
    tiles = VAETiles("exact", 64, 64)
    ours = theirs = picture
    for _ in range(10):
        theirs = vae.decode(vae.encode(theirs))
        ours = decode(vae, encode(vae, ours, tiles)[0], tiles)[0]
    drift, untiled = errors(ours, picture)[1], errors(theirs, picture)[1]
    print(f"\ndrift after ten rounds: {drift:.5f}, untiled {untiled:.5f}, ratio {drift / untiled:.4f}")
    assert drift <= 1.05 * untiled


@pytest.mark.parametrize("kind", STAGED)
def test_every_known_vae_decodes_and_encodes_as_untiled(kind):
    vae, (_, channels, ratio) = tiny(kind), KINDS[kind]
    tile = max(64, 4 * ratio)
    latent = noise(2, channels, 2 * tile // ratio - 3, 2 * tile // ratio + 1)
    image, outcome = decode(vae, latent, VAETiles("exact", tile, tile))
    wanted = vae.decode(latent)
    assert wanted.std() > 0.01
    assert errors(image, wanted)[0] < 1e-5
    assert outcome.grid == (2, 3) and "tiled equals untiled" in " ".join(outcome.lines)
    picture = torch.rand(1, tile + 5, tile + ratio + 3, 3, generator=torch.Generator().manual_seed(2))
    before = picture.clone()
    samples, outcome = encode(vae, picture, VAETiles("exact", tile, tile))
    assert errors(samples, vae.encode(picture))[0] < 5e-4, "the host's own group norm is off by as much in float32"
    assert torch.equal(picture, before)
    assert outcome.grid == (1, 2) if ratio > 5 else (2, 2)


@pytest.mark.parametrize("mode", ["statistics", "fast"])
def test_without_norms_all_modes_are_exact(mode):
    vae, latent = tiny("taesd"), noise(1, 4, 20, 24)
    image, outcome = decode(vae, latent, VAETiles(mode, 64, 96))
    assert errors(image, vae.decode(latent))[0] < 1e-5
    assert "tiled equals untiled" in outcome.lines[1]
    rough, outcome = decode(vae, latent, VAETiles(mode, 64, 96, overlap=8))
    assert errors(rough, vae.decode(latent))[0] > 1e-4, "a smaller overlap is used, and costs exactness"
    assert "read 4 px" in outcome.lines[1]


@pytest.mark.parametrize("mode", ["statistics", "fast"])
def test_encoding_with_estimated_statistics_beats_the_core(mode):
    vae, picture = tiny("kl"), smooth_picture(1, 256, 384, 3, 3)
    wanted = vae.encode(picture)
    core = errors(vae.encode_tiled(picture, tile_x=128, tile_y=128, overlap=32), wanted)[1]
    mean = errors(encode(vae, picture, VAETiles(mode, 128, 128))[0], wanted)[1]
    print(f"\nencode, {mode}: mean {mean:.2e}, core {core:.2e}")
    assert mean * 2 < core


def test_a_video_vae_is_tiled_in_space():
    vae, latent = tiny("wan"), noise(1, 16, 2, 8, 28)
    image, outcome = decode(vae, latent, VAETiles("exact", 128, 128, 64))
    wanted = vae.decode(latent)
    wanted = wanted.reshape(-1, *wanted.shape[-3:])
    assert wanted.shape == (5, 64, 224, 3)
    core = vae.decode_tiled(latent, tile_x=16, tile_y=16, overlap=8).reshape(wanted.shape)
    mean, worst = errors(image, wanted)[1], errors(core, wanted)[1]
    print(f"\nvideo: mean {mean:.2e}, core {worst:.2e}")
    assert mean < 1.1 * worst
    assert "WanVAE is not known" in outcome.lines[1] and "frames stay together" in outcome.lines[-1]
    one, _ = decode(vae, latent, VAETiles("exact", 512, 512))
    assert errors(one, wanted)[0] < 1e-6, "one tile over all is the untiled run"
    frames = torch.rand(5, 60, 70, 3, generator=torch.Generator().manual_seed(1))
    samples, _ = encode(vae, frames, VAETiles("exact", 256, 256))
    assert errors(samples, vae.encode(frames))[0] < 1e-5


def test_frames_that_the_decoder_mixes_go_through_together():
    vae, latent = tiny("svd"), noise(4, 4, 8, 28)
    wanted = vae.decode(latent)
    alone = torch.cat([vae.decode(latent[at : at + 1]) for at in range(4)])
    apart, apart_mean = errors(alone, wanted)
    assert apart > 0.05, "this VAE mixes frames"
    for tiles in (VAETiles(), VAETiles("exact", 512, 512)):
        one, outcome = decode(vae, latent, tiles)
        assert errors(one, wanted)[0] < 1e-6, "one tile over all is the untiled run"
        assert outcome.grid == (1, 1) and "4 frames stay together" in outcome.lines[-1]
        said = " ".join(outcome.lines)
        assert "VideoDecoder is not known stage by stage" in said and "equals untiled" not in said
    image, outcome = decode(vae, latent, VAETiles("exact", 128, 128, 64))
    core = errors(vae.decode_tiled(latent, tile_x=16, tile_y=16, overlap=4), wanted)[1]
    mean = errors(image, wanted)[1]
    print(f"\nframes mixed: mean {mean:.2e}, core {core:.2e}, frame by frame {apart_mean:.2e}")
    assert outcome.grid == (1, 3) and mean < 1.1 * core and mean * 2 < apart_mean


def test_frames_that_do_not_fit_together_go_in_groups_as_in_the_host(monkeypatch):
    vae, latent = tiny("svd"), noise(5, 4, 16, 16)
    one = vae.memory_used_decode(latent.shape, vae.vae_dtype)
    monkeypatch.setattr(vae.patcher, "get_free_memory", lambda device: 2.5 * one)
    image, outcome = decode(vae, latent, VAETiles("exact", 512, 512))
    assert errors(image, vae.decode(latent))[0] < 1e-6
    assert "5 frames in groups of 2" in outcome.lines[-1]


def test_frames_are_planned_for_together():
    import comfy.model_management as management

    vae, latent, frames = tiny("svd"), noise(1, 4, 64, 64), 6
    free = management.get_free_memory(torch.device("cpu"))
    share = free / 3 / (512 * 512)
    vae.memory_used_decode = lambda shape, dtype: share * shape[2] * shape[3] * 64
    run, shapes = nearest().first_stage_model.decode, []
    vae.first_stage_model.decode = lambda z: shapes.append(tuple(z.shape)) or run(z)
    assert decode(vae, latent, VAETiles())[1].grid == (1, 1)
    shapes.clear()
    image, outcome = decode(vae, latent.expand(frames, -1, -1, -1), VAETiles())
    assert image.shape == (frames, 512, 512, 3) and len(outcome.layout) > 1
    assert all(shape[0] == frames for shape in shapes), "smaller tiles rather than fewer frames"
    assert "6 frames stay together" in outcome.lines[-1]


def test_a_convolution_that_mixes_frames_is_not_taken_for_known():
    from comfy.ldm.modules.temporal_ae import AE3DConv
    from tilework.models.vae.steps import decoder_steps, encoder_steps

    video = tiny("svd").first_stage_model
    assert decoder_steps(video) is None and encoder_steps(video) is not None, "its encoder is that of pictures"
    model = tiny("kl").first_stage_model
    model.decoder.conv_out = AE3DConv(32, 3, 3, 3, padding=1)
    assert decoder_steps(model) is None


def nearest(ratio=8):
    """A VAE of no known kind that sees nothing but the cell itself, so that tiles can only be placed wrong."""
    vae = tiny("stranger")
    model = vae.first_stage_model
    model.decode = lambda z: z[:, :3].repeat_interleave(ratio, -2).repeat_interleave(ratio, -1)
    model.encode = lambda x: torch.nn.functional.avg_pool2d(x, ratio).repeat(1, 2, 1, 1)[:, :4]
    return vae


def narrow_sizes():
    """(height, width) of 8 to 400 by 8 to 1000 px: the narrow, the ends, those about a tile, and some drawn."""
    named = [(height, width) for height in (8, 16, 96, 136, 400) for width in (8, 72, 520, 928, 1000)]
    drawn = torch.randint(0, 1 << 20, (24, 2), generator=torch.Generator().manual_seed(4)).tolist()
    return [*named, *((8 + a % 50 * 8, 8 + b % 125 * 8) for a, b in drawn)]


@pytest.mark.parametrize("tile", [(64, 64), (128, 128), (512, 512), (64, 512), (512, 72), (0, 0), (0, 256)])
def test_whole_tiles_of_a_picture_of_any_size(tile):
    vae = nearest()
    for height, width in narrow_sizes():
        latent = noise(1, 4, height // 8, width // 8)
        image, _ = decode(vae, latent, VAETiles("exact", *tile))
        assert image.shape == (1, height, width, 3)
        assert errors(image, vae.decode(latent))[0] < 1e-5, (height, width)
        samples, _ = encode(vae, image, VAETiles("exact", *tile))
        assert samples.shape == latent.shape
        assert errors(samples, vae.encode(image))[0] < 1e-5, (height, width)


def test_only_the_side_that_is_cut_limits_the_overlap():
    _, outcome = decode(nearest(), noise(1, 4, 12, 116), VAETiles("exact", 512, 512))
    assert outcome.grid == (1, 3) and outcome.layout.axes[1].overlap >= 128
    assert "overlap 128 px" in outcome.lines[0]


@pytest.mark.parametrize("overlap", [0, 1, 7, 100, 255])
def test_every_overlap_smaller_than_the_tile_is_taken(overlap):
    vae = nearest()
    for height, width in ((96, 928), (400, 8), (264, 272)):
        latent = noise(1, 4, height // 8, width // 8)
        assert errors(decode(vae, latent, VAETiles("exact", 256, 256, overlap))[0], vae.decode(latent))[0] < 1e-5


def test_an_unknown_vae_is_blended_and_says_so(caplog):
    vae, latent = tiny("stranger"), noise(1, 4, 40, 48)
    caplog.set_level("INFO")
    image, outcome = decode(vae, latent, VAETiles("exact", 256, 256, 128))
    assert errors(image, vae.decode(latent))[1] < 1e-4
    assert "Stranger is not known stage by stage" in " ".join(outcome.lines)
    assert "Stranger is not a VAE known stage by stage" in caplog.text
    picture = smooth_picture(1, 250, 300, 3, 1)
    samples, _ = encode(vae, picture, VAETiles("exact", 192, 192))
    assert errors(samples, vae.encode(picture))[1] < 1e-3


@pytest.mark.parametrize("changed", ["decode", "hook", "subclass"])
def test_a_vae_that_somebody_changed_is_not_taken_for_known(changed):
    from tilework.models.vae.steps import decoder_steps, encoder_steps

    model = tiny("kl").first_stage_model
    assert decoder_steps(model) is not None and encoder_steps(model) is not None
    if changed == "decode":
        model.decode = lambda z: type(model).decode(model, z)
    elif changed == "hook":
        model.decoder.mid.block_1.register_forward_hook(lambda module, inputs, output: output)
    else:
        block = model.decoder.up[0].block[0]
        block.__class__ = type("Other", (type(block),), {})
    assert decoder_steps(model) is None


class Card:
    """A device whose memory is faked: a convolution on more than `pixels` runs out of it."""

    def __init__(self, vae, pixels):
        self.pixels, self.failures, self.calls = pixels, 0, 0
        for module in vae.first_stage_model.modules():
            if isinstance(module, torch.nn.Conv2d):
                module.register_forward_pre_hook(self.check)

    def check(self, module, inputs):
        self.calls += 1
        if inputs[0].shape[-1] * inputs[0].shape[-2] > self.pixels:
            self.failures += 1
            raise torch.cuda.OutOfMemoryError("faked: out of memory")


def test_out_of_memory_makes_tiles_smaller_and_goes_on():
    vae, latent = tiny("kl"), noise(1, 4, 40, 48)
    wanted = vae.decode(latent)
    card = Card(vae, 150 * 150)
    image, outcome = decode(vae, latent, VAETiles("exact", 256, 256))
    assert errors(image, wanted)[0] < 1e-5
    assert 0 < card.failures <= 5 and max(outcome.tile) < 256
    assert f"memory ran out {card.failures} times" in outcome.lines[-1]


@pytest.mark.parametrize("kind", ["kl", "stranger"])
def test_out_of_memory_at_last_says_what_to_do(kind):
    vae = tiny(kind)
    card = Card(vae, 24 * 24)
    with pytest.raises(RuntimeError, match="Close other programs that use the memory"):
        decode(vae, noise(1, 4, 40, 48), VAETiles("exact", 256, 256))
    assert 1 < card.failures <= 6


def test_memory_is_asked_for_a_tile(monkeypatch):
    import comfy.model_management as management

    asked = []
    loaded = management.load_models_gpu
    monkeypatch.setattr(
        management, "load_models_gpu", lambda models, **more: asked.append(more["memory_required"]) or loaded(models, **more)
    )
    vae, latent = tiny("taesd"), noise(1, 4, 64, 64)
    decode(vae, latent, VAETiles("exact", 64, 64))
    whole = vae.memory_used_decode(latent.shape, vae.vae_dtype)
    assert 0 < max(asked) < whole / 15


def test_main_memory_that_is_not_there_is_refused_before_the_run(monkeypatch):
    import comfy.model_management as management

    free = management.get_free_memory
    monkeypatch.setattr(management, "get_free_memory", lambda device=None, *more: 40 << 20 if str(device) == "cpu" else free(device, *more))
    with pytest.raises(ValueError, match=r"mode exact holds up to .* use mode statistics or fast, which hold 2\.5 MB"):
        decode(tiny("kl"), noise(1, 4, 40, 64), VAETiles("exact", 64, 64))


def test_a_cancel_stops_within_a_tile(monkeypatch):
    import comfy.model_management as management

    calls = 0

    def cancelled():
        nonlocal calls
        calls += 1
        if calls == 5:
            raise management.InterruptProcessingException

    monkeypatch.setattr(management, "throw_exception_if_processing_interrupted", cancelled)
    for kind in ("kl", "stranger"):
        calls = 0
        with pytest.raises(management.InterruptProcessingException):
            decode(tiny(kind), noise(1, 4, 40, 64), VAETiles("exact", 64, 64))
        assert calls == 5


def test_half_precision_is_no_further_off_than_untiled():
    vae, latent = tiny("kl"), shifted()[..., :20, 38:58]
    wanted = vae.decode(latent)
    vae.first_stage_model.to(torch.bfloat16)
    vae.vae_dtype = torch.bfloat16
    untiled = errors(vae.decode(latent), wanted)[1]
    ours = errors(decode(vae, latent, VAETiles("exact", 128, 128))[0], wanted)[1]
    print(f"\nbfloat16: mean {ours:.2e}, untiled {untiled:.2e}")
    assert ours < 1.5 * untiled


def test_grey_and_alpha_pictures():
    vae = tiny("kl")
    picture = smooth_picture(1, 64, 80, 4, 1)
    assert errors(encode(vae, picture, VAETiles("exact", 64, 64))[0], vae.encode(picture))[0] < 5e-4
    grey = picture[..., :1]
    assert errors(encode(vae, grey, VAETiles("exact", 64, 64))[0], vae.encode(grey.expand(-1, -1, -1, 3)))[0] < 5e-4
