"""Train one of the two small models of the coherence test bed on drawn scenes.

    .host/venv/bin/python tests/pack/coherence/train.py unet|dit [--out FILE] [--steps N] [--comfy FOLDER]

One thread and one seed: the same machine makes the same file; another one, weights whose pictures give the same figures
within one picture in sixteen. Takes about 15 minutes for either (both fit two cores at a time).
"""

from __future__ import annotations

import argparse
import importlib
import importlib.util
import math
import sys
import time
from pathlib import Path
from typing import Any, NamedTuple

import torch

ROOT = Path(__file__).resolve().parents[3]
PACK = ROOT / "tests" / "pack"
SEED = 1
RATE = 2e-3
WARM_UP = 100
AVERAGING = 0.998
SAID_EVERY = 100


class Lessons(NamedTuple):
    """How long one of the models is trained: steps, and scenes per step."""

    steps: int
    batch: int


LESSONS = {"unet": Lessons(1700, 10), "dit": Lessons(4500, 16)}


def load_host(comfy: Path) -> None:
    """ComfyUI on the CPU, and this package."""
    sys.path.insert(0, str(comfy))
    arguments, sys.argv = sys.argv, [sys.argv[0], "--cpu", "--use-pytorch-cross-attention"]
    options = importlib.import_module("comfy.options")
    options.enable_args_parsing()
    importlib.import_module("comfy.cli_args")
    sys.argv = arguments
    importlib.import_module("comfy.model_management").in_training = True
    spec = importlib.util.spec_from_file_location("tilework_test", PACK / "__init__.py", submodule_search_locations=[str(PACK)])
    sys.modules["tilework_test"] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(sys.modules["tilework_test"])


def initialise(network: torch.nn.Module) -> None:
    """Weights to train from: scaled normal, and nothing in the last layers of residual branches."""
    zeros = (
        "out_layers.3.",
        "proj_out.",
        "out.2.",
        "modulation.lin",
        "img_mod.lin",
        "txt_mod.lin",
        "adaLN_modulation.1",
        "final_layer.linear",
    )
    generator = torch.Generator().manual_seed(SEED)
    with torch.no_grad():
        for name, value in network.named_parameters():
            if value.ndim > 1:
                value.copy_(torch.randn(value.shape, generator=generator) / value[0].numel() ** 0.5)
            else:
                value.fill_(0.0 if name.endswith("bias") else 1.0)
        for name, value in network.named_parameters():
            if any(part in name for part in zeros):
                value.zero_()


def copy_before_norms(network: torch.nn.Module) -> None:
    """ComfyUI's Flux blocks add in place to what their norms were given, which the gradient still needs."""
    for module in network.modules():
        if isinstance(module, torch.nn.LayerNorm):
            module.register_forward_pre_hook(lambda _, given: tuple(value.clone() for value in given))


def unet_loss(model: Any, latents: torch.Tensor, context: torch.Tensor, noise: torch.Tensor, spread: torch.Tensor) -> torch.Tensor:
    """Of the velocity, over noise levels drawn evenly from the schedule."""
    times = (spread * 999).round().long()
    sigma = model.model_sampling.sigmas[times].view(-1, 1, 1, 1)
    norm = (1 + sigma * sigma).sqrt()
    answer = model.diffusion_model((latents + sigma * noise) / norm, times.float(), context=context, transformer_options={})
    return (answer - (noise - sigma * latents) / norm).square().mean()


def dit_loss(
    model: Any, latents: torch.Tensor, context: torch.Tensor, pooled: torch.Tensor, noise: torch.Tensor, spread: torch.Tensor
) -> torch.Tensor:
    """Of the flow, over times whose logit is normal, a little towards the noise."""
    times = torch.sigmoid(torch.special.ndtri(spread.clamp(1e-4, 1 - 1e-4)) * 1.2 + 0.3)
    sigma = times.view(-1, 1, 1, 1)
    noisy = (1 - sigma) * latents + sigma * noise
    answer = model.diffusion_model(noisy, times, context=context, y=pooled, guidance=None, transformer_options={})
    return (answer - (noise - latents)).square().mean()


def train(kind: str, steps: int) -> dict[str, torch.Tensor]:
    """The running mean of the weights after `steps` steps."""
    scenes = importlib.import_module("tilework_test.coherence.scenes")
    model = importlib.import_module("tilework_test.coherence.models").untrained(kind)
    network, batch = model.diffusion_model, LESSONS[kind].batch
    if kind == "dit":
        copy_before_norms(network)
    torch.manual_seed(SEED)
    initialise(network)
    network.train().requires_grad_(True)
    learnt = [value for value in network.parameters() if value.requires_grad]
    average = [value.detach().clone() for value in learnt]
    optimizer = torch.optim.AdamW(learnt, lr=RATE, betas=(0.9, 0.98), weight_decay=0.0)
    generator = torch.Generator().manual_seed(SEED)
    begun, losses = time.monotonic(), []
    for step in range(steps):
        for group in optimizer.param_groups:
            group["lr"] = RATE * min(1.0, (step + 1) / WARM_UP) * (0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * step / steps)))
        latents, context, pooled = scenes.lesson(generator, batch)
        noise = torch.randn(latents.shape, generator=generator)
        spread = (torch.arange(batch) + torch.rand(batch, generator=generator)) / batch
        if kind == "unet":
            loss = unet_loss(model, latents, context, noise, spread)
        else:
            loss = dit_loss(model, latents, context, pooled, noise, spread)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(learnt, 1.0)
        optimizer.step()
        torch._foreach_lerp_(average, [value.detach() for value in learnt], 1 - min(AVERAGING, (step + 1) / (step + 20)))
        losses.append(loss.item())
        if (step + 1) % SAID_EVERY == 0 or step + 1 == steps:
            last = losses[-SAID_EVERY:]
            sys.stdout.write(f"step {step + 1} of {steps}: loss {sum(last) / len(last):.4f}, {time.monotonic() - begun:.0f} s\n")
            sys.stdout.flush()
    names = {id(value): name for name, value in network.named_parameters()}
    return {names[id(value)]: mean for value, mean in zip(learnt, average, strict=True)}


def main() -> None:
    """Read the command line, train and save."""
    parser = argparse.ArgumentParser(description="Train a model of the coherence test bed.")
    parser.add_argument("kind", choices=tuple(LESSONS))
    parser.add_argument("--out", type=Path, help="where to write the .safetensors file (default: where the tests read it)")
    parser.add_argument("--steps", type=int, help="training steps")
    parser.add_argument("--comfy", type=Path, default=ROOT / ".host" / "ComfyUI", help="ComfyUI's folder")
    options = parser.parse_args()
    torch.set_num_threads(1)
    load_host(options.comfy)
    out = options.out or PACK / "coherence" / f"{options.kind}.safetensors"
    weights = train(options.kind, options.steps or LESSONS[options.kind].steps)
    importlib.import_module("tilework_test.coherence.models").write_weights(weights, out)
    sys.stdout.write(f"wrote {out.name} ({out.stat().st_size / 1e6:.2f} MB)\n")


if __name__ == "__main__":
    main()
