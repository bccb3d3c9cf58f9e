"""Networks with and without statistics of the whole picture, as UPSCALE_MODELs without a patcher, as older hosts have them."""

from __future__ import annotations

import torch
from comfy_api.latest import io
from torch import nn

from .sources import CATEGORY

WIDTH = 8


class SqueezeExcite(nn.Module):
    """Weighs its channels by their means."""

    def __init__(self) -> None:
        super().__init__()
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.gate = nn.Sequential(nn.Conv2d(WIDTH, WIDTH, 1), nn.Sigmoid())

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """[B, C, h, w] -> the same."""
        return x * self.gate(self.pool(x))


class Attend(nn.Module):
    """Attention of everything to everything, at a quarter of the size."""

    def __init__(self) -> None:
        super().__init__()
        self.attention = nn.MultiheadAttention(WIDTH, 2, batch_first=True)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """[B, C, h, w] -> the same."""
        small = nn.functional.avg_pool2d(x, 4)
        tokens = small.flatten(2).mT
        answer = self.attention(tokens, tokens, tokens, need_weights=False)[0]
        return x + nn.functional.interpolate(answer.mT.reshape(small.shape), scale_factor=4)


class LessMean(nn.Module):
    """Takes the mean off, in words of no module's."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """[B, C, h, w] -> the same."""
        return x - x.mean((2, 3), keepdim=True)


def _batch_norm() -> nn.Module:
    norm = nn.BatchNorm2d(WIDTH)
    with torch.no_grad():
        norm(1 + 3 * torch.randn(4, WIDTH, 16, 16))
    return norm


INSIDE = {
    "InstanceNorm": lambda: nn.InstanceNorm2d(WIDTH),
    "GroupNorm": lambda: nn.GroupNorm(4, WIDTH),
    "squeeze-and-excitation": SqueezeExcite,
    "attention": Attend,
    "BatchNorm": _batch_norm,
    "mean": LessMean,
}


class PlainUpscaler:
    """What a node asks of an UPSCALE_MODEL, and no more."""

    scale = 1
    input_channels = output_channels = 3

    def __init__(self, model: nn.Module) -> None:
        self.model = model.eval()

    def to(self, device: torch.device) -> PlainUpscaler:
        """Moves it."""
        self.model.to(device)
        return self

    def __call__(self, picture: torch.Tensor) -> torch.Tensor:
        """[B, 3, h, w] -> the same."""
        return self.model(picture)


class StatisticsModel(io.ComfyNode):
    """Choice -> UPSCALE_MODEL."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """The node as the host shows it."""
        return io.Schema(
            node_id="TileworkTestStatisticsModel",
            display_name="Test Statistics Model",
            category=CATEGORY,
            description="Two convolutions of 3 x 3 with something between them.",
            inputs=[io.Combo.Input("kind", options=list(INSIDE), tooltip="What is between them.")],
            outputs=[io.UpscaleModel.Output("upscale_model", display_name="upscale_model")],
        )

    @classmethod
    def execute(cls, kind) -> io.NodeOutput:
        """Build the model."""
        with torch.inference_mode(False), torch.random.fork_rng():
            torch.manual_seed(2)
            layers = [nn.Conv2d(3, WIDTH, 3, padding=1), nn.ReLU(), INSIDE[kind](), nn.Conv2d(WIDTH, 3, 3, padding=1)]
            return io.NodeOutput(PlainUpscaler(nn.Sequential(*layers).requires_grad_(False)))
