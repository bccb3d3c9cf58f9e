"""Convolutional networks whose receptive radius is known exactly. Plain torch: no ComfyUI."""

from __future__ import annotations

import math

import torch

LAYERS = 3


def seeded(seed: int) -> torch.Generator:
    """A generator on the CPU, so that a seed means the same numbers on every machine."""
    return torch.Generator().manual_seed(seed)


def layer_radii(radius: int) -> list[int]:
    """The radii of LAYERS convolutions that add up to `radius`.

    Few wide kernels, not many of 3 x 3: through many layers the corner of the receptive
    field fades below what float32 can tell from nothing, and the radius would be a claim
    instead of a fact.
    """
    if radius < 0:
        raise ValueError(f"radius {radius} is negative: use 0 or more")
    return [radius // LAYERS + (layer < radius % LAYERS) for layer in range(LAYERS)]


class ConvolutionStack(torch.nn.Module):
    """[B, inputs, H, W] -> [B, outputs, H, W] in -1..1, zero padded, of a receptive radius of exactly `radius` cells.

    Three convolutions with tanh after each: whatever goes in, a change anywhere within the radius
    (a square of 2 radius + 1 to a side) shows, and nothing outside it does.

    Args:
        inputs: channels that go in.
        outputs: channels that come out.
        radius: receptive radius, 0 or more.
        seed: of the weights.
        hidden: channels in between.
    """

    def __init__(self, inputs: int, outputs: int, radius: int, seed: int = 0, hidden: int = 6) -> None:
        super().__init__()
        generator = seeded(seed)
        channels = [inputs, *[hidden] * (LAYERS - 1), outputs]
        self.layers = torch.nn.ModuleList()
        for reach, before, after in zip(layer_radii(radius), channels[:-1], channels[1:], strict=True):
            layer = torch.nn.Conv2d(before, after, 2 * reach + 1, padding=reach)
            with torch.no_grad():
                layer.weight.copy_(torch.randn(layer.weight.shape, generator=generator) * math.sqrt(2 / layer.weight[0].numel()))
                layer.bias.copy_(torch.randn(layer.bias.shape, generator=generator) * 0.1)
            self.layers.append(layer)
        self.requires_grad_(False).eval()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Run the layers one after the other."""
        for layer in self.layers:
            x = torch.tanh(layer(x))
        return x


class ConvImage(ConvolutionStack):
    """A ConvolutionStack from pictures to pictures: values 0..1 both ways."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Grey becomes zero on the way in, zero becomes grey on the way out."""
        return 0.5 + 0.5 * super().forward(2 * x - 1)


def conv_image(radius: int, seed: int = 0, channels: int = 3) -> ConvImage:
    """A picture filter for the exactness law of pixel tiling.

    Args:
        radius: receptive radius in pixels, exact, 0 or more.
        seed: of the weights.
        channels: of the pictures.

    Returns:
        a float32 module [B, channels, H, W] -> [B, channels, H, W], values in 0..1. It pads with zeros (black is not
        zero to it, so a border looks different from any picture): a tile is wrong to a depth of `radius` along each cut.
    """
    return ConvImage(channels, channels, radius, seed)


class ConvDenoiser(torch.nn.Module):
    """A denoiser that says outright what the clean latent is: a ConvolutionStack of the noisy one, shifted by the prompt.

    Args:
        radius: receptive radius in latent cells, exact.
        channels: of the latent.
        context_dim: width of the prompt's tokens.
        seed: of the weights.
    """

    dtype = torch.float32

    def __init__(self, radius: int, channels: int = 4, context_dim: int = 16, seed: int = 0) -> None:
        super().__init__()
        self.stack = ConvolutionStack(channels, channels, radius, seed)
        meaning = torch.randn(context_dim, channels, generator=seeded(seed + 1)) / math.sqrt(context_dim)
        self.meaning = torch.nn.Parameter(meaning, requires_grad=False)

    def forward(self, x, timesteps=None, context=None, control=None, transformer_options=None, **unused):
        """The clean latent for the noisy x [B, C, h, w], or [B, C, T, h, w] whose frames are denoised one by one.

        Two prompts (context [B, tokens, context_dim]) give two latents; time, control and the rest are ignored.
        """
        frames = x.movedim(2, 1).flatten(0, 1) if x.ndim == 5 else x
        clean = self.stack(frames)
        if x.ndim == 5:
            clean = clean.unflatten(0, (x.shape[0], x.shape[2])).movedim(1, 2)
        if context is not None:
            shift = torch.tanh(context.mean(dim=1) @ self.meaning)
            clean = clean + 0.5 * shift.reshape(*shift.shape, *[1] * (x.ndim - 2))
        return clean
