"""Train the test upscaler: small, real, and made here in about a minute.

    python tests/pack/train_upscaler.py --out FILE.safetensors [--steps N] [--seconds S]

The network is spandrel's Compact (x2, 24 features, 4 inner convolutions, 24,000
numbers, 98 kB). It is six 3 x 3 convolutions deep, so one output pixel sees at most 6 input pixels
to each side: RECEPTIVE_RADIUS = 6 source pixels. Each convolution pads with zeros and the
loss leaves those pixels out, so the network never learns what to do at a border: cut an
image in tiles without enough overlap and the seams show, as they do with any upscaler.

It learns from the photographs inside the scikit-image wheel (read from disk, nothing is
downloaded); the astronaut is held out to measure it by. Everything is drawn from one seed
and the number of steps is fixed, so one machine always makes the same file. A run that the
time limit cuts short says so: that one is not repeatable.
"""

from __future__ import annotations

import argparse
import importlib.util
import math
import os
import sys
import time
from pathlib import Path

import numpy
import safetensors.torch
import torch
import torch.nn.functional as F
from PIL import Image
from spandrel.architectures.Compact import Compact

SCALE = 2
FEATURES = 24
INNER_CONVOLUTIONS = 4
RECEPTIVE_RADIUS = INNER_CONVOLUTIONS + 2

SEED = 20
STEPS = 1300
SECONDS = 75.0
PATCH = 32
BATCH = 4
FLAT_SHARE = 0.1
LEARNING_RATE = 3e-3
BETAS = (0.9, 0.99)
# Many quick steps learn most in a minute; unclipped, a few seeds ran away at this learning rate.
GRADIENT_CLIP = 0.05
# The running mean of the weights: what makes a run that was cut short as good as one that was not.
AVERAGING = 0.99

HELD_OUT = "astronaut.png"
PHOTOGRAPHS = (
    "brick.png",
    "camera.png",
    "chelsea.png",
    "coffee.png",
    "coins.png",
    "grass.png",
    "gravel.png",
    "hubble_deep_field.jpg",
    "moon.png",
    "motorcycle_left.png",
    "motorcycle_right.png",
    "retina.jpg",
    "rocket.jpg",
)


class Say:
    """Progress lines on standard output, each with the seconds since the start."""

    def __init__(self) -> None:
        self.start = time.monotonic()
        self.last = self.start

    @property
    def seconds(self) -> float:
        """Seconds since the start."""
        return time.monotonic() - self.start

    def __call__(self, line: str) -> None:
        self.last = time.monotonic()
        sys.stdout.write(f"{self.seconds:6.1f} s  {line}\n")
        sys.stdout.flush()

    def due(self, every: float = 5.0) -> bool:
        """Whether `every` seconds have gone by without a line."""
        return time.monotonic() - self.last >= every


def photograph(name: str) -> torch.Tensor | None:
    """The photograph `name` of scikit-image as float32 [3, H, W] with even sides, or None where it is not on disk.

    The file is opened directly: skimage.data would offer to download what is missing.
    """
    spec = importlib.util.find_spec("skimage")
    if spec is None or spec.origin is None:
        raise SystemExit("scikit-image is needed for its photographs: pip install scikit-image")
    path = Path(spec.origin).parent / "data" / name
    if not path.is_file():
        return None
    with Image.open(path) as image:
        pixels = torch.from_numpy(numpy.array(image.convert("RGB"))).movedim(-1, 0).float() / 255
    height, width = (side - side % SCALE for side in pixels.shape[-2:])
    return pixels[:, :height, :width].contiguous()


def smaller(image: torch.Tensor, kernel: str) -> torch.Tensor:
    """`image` [C, H, W] at half the size, by antialiased "bicubic" or by "area"."""
    if kernel == "area":
        return F.avg_pool2d(image[None], SCALE)[0]
    size = [side // SCALE for side in image.shape[-2:]]
    return F.interpolate(image[None], size=size, mode="bicubic", antialias=True)[0].clamp(0, 1)


def bicubic(image: torch.Tensor) -> torch.Tensor:
    """`image` [C, H, W] at twice the size by bicubic interpolation: what the network has to beat."""
    return F.interpolate(image[None], scale_factor=SCALE, mode="bicubic")[0].clamp(0, 1)


def psnr(image: torch.Tensor, truth: torch.Tensor) -> float:
    """Peak signal to noise ratio in dB over all pixels and channels, of images in 0..1."""
    return -10 * math.log10(float((image.double() - truth.double()).square().mean()))


class Patches:
    """Random pairs of a small patch and its large original, from one generator.

    Args:
        photographs: [3, H, W] each.
        generator: the only source of chance.
    """

    def __init__(self, photographs: list[torch.Tensor], generator: torch.Generator) -> None:
        self.generator = generator
        self.pairs = [(torch.stack([smaller(photo, "bicubic"), smaller(photo, "area")]), photo) for photo in photographs]

    def _below(self, stop: int) -> int:
        return int(torch.randint(stop, (), generator=self.generator))

    def _photographed(self) -> tuple[torch.Tensor, torch.Tensor]:
        small, large = self.pairs[self._below(len(self.pairs))]
        y, x = (self._below(side - PATCH + 1) for side in small.shape[-2:])
        low = small[self._below(2), :, y : y + PATCH, x : x + PATCH]
        high = large[:, SCALE * y : SCALE * (y + PATCH), SCALE * x : SCALE * (x + PATCH)]
        # Channels in any order, and every mirror image: no colour and no direction is special.
        channels = torch.randperm(3, generator=self.generator)
        turn = self._below(8)
        low, high = (torch.rot90(part[channels], turn % 4, (-2, -1)) for part in (low, high))
        return (low.flip(-1), high.flip(-1)) if turn >= 4 else (low, high)

    def _flat(self) -> tuple[torch.Tensor, torch.Tensor]:
        # A plain colour must come out as it is: no tint, no change of brightness, no checkerboard.
        colour = torch.rand(3, 1, 1, generator=self.generator)
        return colour.expand(3, PATCH, PATCH), colour.expand(3, SCALE * PATCH, SCALE * PATCH)

    def batch(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Small patches [BATCH, 3, PATCH, PATCH] and large ones, SCALE times the size."""
        flat = torch.rand(BATCH, generator=self.generator) < FLAT_SHARE
        pairs = [self._flat() if plain else self._photographed() for plain in flat.tolist()]
        lows, highs = zip(*pairs, strict=True)
        return torch.stack(lows), torch.stack(highs)


def new_network() -> Compact:
    """The untrained network: nearest-neighbour upscaling plus a correction that begins at almost nothing."""
    network = Compact(num_feat=FEATURES, num_conv=INNER_CONVOLUTIONS, upscale=SCALE)
    with torch.no_grad():
        network.body[-1].weight.mul_(0.1)
        network.body[-1].bias.zero_()
    return network


def loss_of(network: Compact, low: torch.Tensor, high: torch.Tensor) -> torch.Tensor:
    """Mean absolute error over the pixels that no zero padding has reached."""
    edge = SCALE * RECEPTIVE_RADIUS
    error = (network(low) - high)[..., edge:-edge, edge:-edge]
    return error.abs().mean()


def train(steps: int, seconds: float, say: Say) -> tuple[Compact, int]:
    """Train for `steps` steps or `seconds` seconds, whichever is over first.

    Returns:
        the network with the running mean of its last weights, and the number of steps made.
    """
    photographs = [photo for photo in map(photograph, PHOTOGRAPHS) if photo is not None]
    if not photographs:
        raise SystemExit("none of the photographs is inside this scikit-image: install scikit-image 0.26")
    say(f"{len(photographs)} photographs, {steps} steps, {torch.get_num_threads()} thread(s), limit {seconds:g} s")
    torch.manual_seed(SEED)
    network = new_network()
    patches = Patches(photographs, torch.Generator().manual_seed(SEED))
    optimizer = torch.optim.Adam(network.parameters(), lr=LEARNING_RATE, betas=BETAS)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=LEARNING_RATE, total_steps=steps + 1, pct_start=0.1)
    average = torch.optim.swa_utils.AveragedModel(network, multi_avg_fn=torch.optim.swa_utils.get_ema_multi_avg_fn(AVERAGING))
    recent: list[float] = []
    done = 0
    while done < steps and say.seconds < seconds:
        loss = loss_of(network, *patches.batch())
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), GRADIENT_CLIP)
        optimizer.step()
        schedule.step()
        average.update_parameters(network)
        done += 1
        recent.append(float(loss.detach()))
        if say.due() or done == steps:
            say(f"step {done:4d} of {steps}: mean error {255 * sum(recent) / len(recent):.2f} of 255")
            recent.clear()
    return average.module.eval(), done


@torch.no_grad()
def upscale(network: torch.nn.Module, image: torch.Tensor) -> torch.Tensor:
    """`image` [3, H, W] at twice the size by the network."""
    return network(image[None])[0].clamp(0, 1)


def report(network: torch.nn.Module, say: Say) -> None:
    """Say how well the network and bicubic bring back the photograph that was held out."""
    truth = photograph(HELD_OUT)
    if truth is None:
        say(f"{HELD_OUT} is not inside this scikit-image: nothing to measure by")
        return
    for kernel in ("bicubic", "area"):
        low = smaller(truth, kernel)
        plain, learned = psnr(bicubic(low), truth), psnr(upscale(network, low), truth)
        say(f"astronaut halved by {kernel}: bicubic {plain:.2f} dB, this network {learned:.2f} dB ({learned - plain:+.2f})")


def save(network: torch.nn.Module, path: Path) -> None:
    """Write the weights to `path`, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        unfinished.write_bytes(safetensors.torch.save({name: value.contiguous() for name, value in network.state_dict().items()}))
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)


def main(arguments: list[str] | None = None) -> None:
    """Read the command line, train, save, and say what came of it."""
    parser = argparse.ArgumentParser(description="Train the small x2 upscaler that the tests and examples use.")
    parser.add_argument("--out", type=Path, required=True, help="where to write the .safetensors file")
    parser.add_argument("--steps", type=int, default=STEPS, help="training steps (default %(default)s)")
    parser.add_argument("--seconds", type=float, default=SECONDS, help="stop after this long (default %(default)s)")
    options = parser.parse_args(arguments)
    if options.steps < 1:
        parser.error(f"--steps {options.steps}: use 1 or more")
    # One thread: several make the result depend on the machine's cores, and on a busy machine they wait for each other.
    torch.set_num_threads(1)
    say = Say()
    network, done = train(options.steps, options.seconds, say)
    if done < options.steps:
        say(f"stopped at the limit of {options.seconds:g} s after {done} steps: this file is not repeatable")
    report(network, say)
    save(network, options.out)
    say(f"wrote {options.out} ({options.out.stat().st_size} bytes)")


if __name__ == "__main__":
    main()
