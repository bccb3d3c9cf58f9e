"""Every way in which a layer may look at the whole picture that can be pooled over tiles, as a function of a map [N, 8, h, w].

Plain torch: no ComfyUI.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F

GROUPS = 2


def response_norm(x: torch.Tensor, norms: torch.Tensor, channel: int = 1) -> torch.Tensor:
    """Global response normalisation (ConvNeXt V2, Woo et al. 2023) with the norms of each channel's map."""
    return x * norms / (norms.mean(channel, keepdim=True) + 1e-6)


def root_mean_square(x: torch.Tensor, norms: torch.Tensor) -> torch.Tensor:
    """A map over the root of its mean square."""
    return x / (norms / (x.shape[2] * x.shape[3]) ** 0.5 + 0.1)


def _channels_last(x: torch.Tensor) -> torch.Tensor:
    y = x.movedim(1, -1)
    return response_norm(y, torch.norm(y, p=2, dim=(1, 2), keepdim=True), -1).movedim(-1, 1)


def _grouped_by_hand(x: torch.Tensor) -> torch.Tensor:
    y = x.reshape(x.shape[0], GROUPS, -1)
    return ((y - y.mean(2, keepdim=True)) * (y.var(2, keepdim=True) + 0.01).rsqrt()).reshape(x.shape)


def _grouped_apart(x: torch.Tensor) -> torch.Tensor:
    y = x.unflatten(1, (GROUPS, -1))
    return 3 * (y - y.mean((2, 3, 4), keepdim=True)).flatten(1, 2)


# name -> layer, what it is called where it is named
LAYERS: dict[str, tuple[Callable[[torch.Tensor], torch.Tensor], str]] = {
    "group norm": (lambda x: F.group_norm(x, 4), "group_norm"),
    "instance norm, functional": (lambda x: F.instance_norm(x), "instance_norm"),
    "batch norm without stored statistics": (lambda x: F.batch_norm(x, None, None, training=True), "batch_norm"),
    "group norm of torch itself": (lambda x: torch.group_norm(x, 4), "group_norm"),
    "instance norm of torch itself": (
        lambda x: torch.instance_norm(x, None, None, None, None, True, 0.1, 1e-5, False),
        "instance_norm",
    ),
    "mean of both": (lambda x: x * 4 * x.mean((2, 3), keepdim=True), "mean"),
    "mean, numbers": (lambda x: x * 4 * torch.mean(x, [-1, -2])[..., None, None], "mean"),
    "mean in two steps": (lambda x: x * 4 * x.mean(3).mean(2)[..., None, None], "mean"),
    "sum in two steps over the size": (
        lambda x: x * 4 * x.sum(3, keepdim=True).sum(2, keepdim=True) / (x.shape[2] * x.shape[3]),
        "sum",
    ),
    "mean of the flattened map": (lambda x: x * 4 * x.flatten(2).mean(2)[..., None, None], "mean"),
    "contrast": (lambda x: x * (x.std((2, 3), keepdim=True) + x.var((2, 3), unbiased=False, keepdim=True)), "std"),
    "variance and mean": (lambda x: (x - (m := torch.var_mean(x, (2, 3), keepdim=True))[1]) * (m[0] + 0.01).rsqrt(), "var_mean"),
    "max": (lambda x: x * torch.sigmoid(F.adaptive_max_pool2d(x, 1)), "adaptive_max_pool2d"),
    "amax": (lambda x: x * torch.sigmoid(x.amax((2, 3), keepdim=True)), "max"),
    "pool at half size": (lambda x: x * 4 * F.adaptive_avg_pool2d(F.avg_pool2d(x, 2), 1), "adaptive_avg_pool2d"),
    "window as large as the map": (lambda x: x * 4 * F.avg_pool2d(x, x.shape[2:]), "avg_pool2d"),
    "norm, as in a global response norm": (lambda x: response_norm(x, x.norm(p=2, dim=(2, 3), keepdim=True)), "norm"),
    "norm of torch itself": (lambda x: root_mean_square(x, torch.norm(x, dim=(2, 3), keepdim=True)), "norm"),
    "vector norm": (lambda x: root_mean_square(x, torch.linalg.vector_norm(x, dim=(2, 3), keepdim=True)), "norm"),
    "norm of the flattened map, channels last": (
        lambda x: x * (g := torch.linalg.norm(x.flatten(2).transpose(1, 2), dim=1)[..., None, None]) / g.mean(1, keepdim=True),
        "norm",
    ),
    "norm of everything": (lambda x: 2 * x / (x.norm() / x.numel() ** 0.5), "norm"),
    "mean of everything": (lambda x: 3 * (x - x.mean()), "mean"),
    "sum of everything over the size": (lambda x: 3 * (x - torch.sum(x) / x.numel()), "sum"),
    "contrast of everything": (lambda x: x / x.std() + x * x.var(False), "std"),
    "mean of all channels": (lambda x: 3 * (x - x.mean((1, 2, 3), keepdim=True)), "mean"),
    "mean of all channels, channels last": (lambda x: 3 * (x - x.movedim(1, -1).mean((1, 2, 3))[:, None, None, None]), "mean"),
    "max of everything": (lambda x: x / x.max(), "max"),
    "max with its place, flattened": (lambda x: x * torch.sigmoid(x.flatten(2).max(-1).values[..., None, None]), "max"),
    "max with its place, in two steps": (lambda x: x * torch.sigmoid(x.max(2)[0].max(2)[0][..., None, None]), "max"),
    "min with its place, in two steps": (lambda x: x * torch.sigmoid(x.min(3, keepdim=True)[0].min(2, keepdim=True)[0]), "min"),
    "layer norm over everything": (lambda x: F.layer_norm(x, x.shape[1:]), "layer_norm"),
    "layer norm over both directions": (lambda x: torch.layer_norm(x, x.shape[2:]), "layer_norm"),
    "channels last": (lambda x: x * 4 * x.movedim(1, -1).mean((1, 2))[..., None, None], "mean"),
    "instance norm of torch itself, by names": (
        lambda x: torch.instance_norm(
            x,
            weight=None,
            bias=None,
            running_mean=None,
            running_var=None,
            use_input_stats=True,
            momentum=0.1,
            eps=1e-5,
            cudnn_enabled=False,
        ),
        "instance_norm",
    ),
    "global response norm with torch.norm": (lambda x: response_norm(x, torch.norm(x, p=2, dim=(2, 3), keepdim=True)), "norm"),
    "global response norm with a vector norm": (
        lambda x: response_norm(x, torch.linalg.vector_norm(x, dim=(2, 3), keepdim=True)),
        "norm",
    ),
    "global response norm, channels last": (_channels_last, "norm"),
    "norm of a matrix": (lambda x: root_mean_square(x, torch.linalg.matrix_norm(x, keepdim=True)), "norm"),
    "norm in two steps": (lambda x: root_mean_square(x, x.norm(dim=3, keepdim=True).norm(dim=2, keepdim=True)), "norm"),
    "mean in two steps, the other way round": (lambda x: x * 4 * x.mean(2).mean(2)[..., None, None], "mean"),
    "mean of the wholly flattened map": (lambda x: 3 * (x - x.flatten(1).mean(1)[:, None, None, None]), "mean"),
    "mean over the batch, too": (lambda x: 3 * (x - x.mean((0, 2, 3), keepdim=True)), "mean"),
    "group norm by hand": (_grouped_by_hand, "mean"),
    "group norm by hand, apart": (_grouped_apart, "mean"),
    "pool of the flattened map": (lambda x: x * 4 * F.adaptive_avg_pool1d(x.flatten(2), 1)[..., None], "adaptive_avg_pool1d"),
    "area": (lambda x: x * 4 * F.interpolate(x, size=1, mode="area"), "area"),
    "largest in a window as large as the map": (lambda x: x * torch.sigmoid(F.max_pool2d(x, x.shape[2:])), "max_pool2d"),
    "pool after a convolution without padding": (lambda x: x * 4 * F.avg_pool2d(x, 3, 1).mean((2, 3), keepdim=True), "mean"),
    "pool after space to channels": (lambda x: x * 4 * F.pixel_unshuffle(x, 2).mean((1, 2, 3), keepdim=True), "mean"),
    "root mean square norm": (lambda x: F.rms_norm(x, x.shape[1:], eps=1e-3), "rms_norm"),
}
