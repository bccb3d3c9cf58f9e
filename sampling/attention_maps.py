"""Where on a picture a model looks for each word: its own cross-attention, read in one call.

Nothing is left on the model: the attention is looked at through the options of that call, and answers as it would.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch

from ..host.latents import cells_per_patch
from ..host.progress import check_cancelled
from .patch_order import ORDER
from .prompt_words import UnreadableWordsError

OVERRIDE = "optimized_attention_override"
# Networks whose joint attention has the text's tokens before the picture's.
TEXT_FIRST = ("comfy.ldm.flux.model", "comfy.ldm.chroma.model", "comfy.ldm.modules.diffusionmodules.mmdit")
LARGEST = 32 * 32  # places of a map, where a network attends at several sizes: as published
CHUNK = 16 << 20  # scores that are held at once, 64 MB


class AttentionMaps:
    """Looks at every attention of one call and writes down what pictures' places give to each word.

    Args:
        words: the places of each word's tokens.
        length: text tokens.
        cells: (height, width) of the latent.
        patch: cells of a side that are one token, for networks that cut a latent into patches.
        text_first: whether joint attention has the text's tokens first.
        earlier: what looked at or took the attention's place before, or None.
    """

    def __init__(
        self,
        words: Sequence[Sequence[int]],
        length: int,
        cells: tuple[int, int],
        patch: int,
        text_first: bool,
        earlier: Callable | None = None,
    ) -> None:
        self.words, self.length, self.cells, self.earlier = words, length, cells, earlier
        self.joint = tuple(-(-side // patch) for side in cells) if text_first else None
        self.seen: list[torch.Tensor] = []

    def __call__(self, func: Callable, q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, heads: int, *args: Any, **named: Any):
        """As the host calls an attention's override."""
        options = named.get("transformer_options") or {}
        self._look(q, k, heads, named.get("mask", args[0] if args else None), named.get("skip_reshape", False), options)
        return (func if self.earlier is None else self.earlier)(*(() if self.earlier is None else (func,)), q, k, v, heads, *args, **named)

    def _look(self, q: torch.Tensor, k: torch.Tensor, heads: int, mask: torch.Tensor | None, split: bool, options: dict) -> None:
        if not split:
            q, k = (part.unflatten(2, (heads, -1)).transpose(1, 2) for part in (q, k))
        asked, text = q.shape[2], k.shape[2]
        grid = self._grid(asked)
        if self.joint is not None and asked == text == self.length + self.joint[0] * self.joint[1]:
            q, k, grid, mask = q[:, :, self.length :], k[:, :, : self.length], self.joint, None
        elif text != self.length or asked == text or grid is None:
            return  # a picture that looks at itself, or another text
        check_cancelled()
        asks = options.get("cond_or_uncond") or [0]
        if len(asks) > 1:
            q, k = (part.chunk(len(asks))[asks.index(0)] if 0 in asks else part for part in (q, k))
        self.seen.append(self._scores(q.float(), k.float(), mask).reshape(-1, *grid).cpu())

    def _scores(self, q: torch.Tensor, k: torch.Tensor, mask: torch.Tensor | None) -> torch.Tensor:
        """[words, places]: the share of its look that each place gives to the word's tokens, mean over pictures and heads."""
        k = k.repeat_interleave(q.shape[1] // k.shape[1], 1)
        rows = max(1, CHUNK // (q.shape[0] * q.shape[1] * k.shape[2]))
        hidden = (
            None if mask is None or mask.dtype != torch.bool or mask.shape[-1] != k.shape[2] or mask.ndim != 2 else ~mask[:, None, None]
        )
        found = []
        for part in q.split(rows, 2):
            scores = part @ k.transpose(-2, -1) * q.shape[-1] ** -0.5
            if hidden is not None and hidden.shape[0] == scores.shape[0]:
                scores = scores.masked_fill(hidden, -torch.inf)
            shares = scores.softmax(-1).mean((0, 1))
            found.append(torch.stack([shares[:, list(places)].sum(1) for places in self.words]))
        return torch.cat(found, 1)

    def _grid(self, places: int) -> tuple[int, int] | None:
        """Rows and columns of a network that halves the latent's sides, rounding up; None for another number."""
        for halved in range(max(self.cells).bit_length()):
            rows, columns = (-(-side // 2**halved) for side in self.cells)
            if rows * columns == places:
                return rows, columns
        return None

    def mean(self) -> torch.Tensor:
        """[words, h, w]: the mean over the attentions that tell most.

        Where a network attends at several sizes, those of at most 32 x 32 places; where all are of one size, the middle third.

        Raises:
            UnreadableWordsError: where nothing was seen.
        """
        if not self.seen:
            raise UnreadableWordsError(
                "this model does not show where on the picture it looks for a word: its attention goes past ComfyUI's hook, or it is not "
                "known which of its tokens are text"
            )
        sizes = [one[0].numel() for one in self.seen]
        if len(set(sizes)) == 1:
            third = len(self.seen) // 3
            used = self.seen[third : len(self.seen) - third]
        else:
            least = min(max(LARGEST, min(sizes)), max(sizes))
            used = [one for one, size in zip(self.seen, sizes, strict=True) if size <= least]
        grid = max((one.shape[-2:] for one in used), key=lambda shape: shape[0] * shape[1])
        larger = [torch.nn.functional.interpolate(one[None], size=grid, mode="bilinear")[0] for one in used]
        return torch.stack(larger).mean(0)


def attention_maps(model: Any, conditioning: list, latent: torch.Tensor, words: Sequence[Sequence[int]], share: float) -> torch.Tensor:
    """Where a model looks for each word of a prompt.

    Args:
        model: a MODEL. It is called once, as a sampler would call it, without tiles and without our other patches.
        conditioning: of the prompt.
        latent: the picture [B, C, h, w], of the size the model was made for.
        words: the places of each word's tokens in the conditioning.
        share: of the sampling range that the picture's noise belongs to: 1 is nothing but noise.

    Returns:
        [words, h', w'], mean over the pictures.

    Raises:
        UnreadableWordsError: where the model does not show it.
        ValueError: in words for the user.
    """
    alone = without_tiles(model)
    network = alone.get_model_object("diffusion_model")
    options = alone.model_options.setdefault("transformer_options", {})
    first = type(network).__module__ in TEXT_FIRST
    maps = AttentionMaps(
        words, conditioning[0][0].shape[1], tuple(latent.shape[-2:]), cells_per_patch(alone.model), first, options.get(OVERRIDE)
    )
    alone.model_options["transformer_options"] = {**options, OVERRIDE: maps}
    predicted(alone, conditioning, latent, share)
    return maps.mean()


def predicted(model: Any, conditioning: list, latent: torch.Tensor, share: float) -> torch.Tensor:
    """What a model makes of a picture in one call: the clean latent that it sees in the picture with some noise, the same each time.

    Args:
        model: a MODEL.
        conditioning: of the prompt.
        latent: the picture [B, C, h, w].
        share: of the sampling range that the noise belongs to.

    Raises:
        ValueError: in words for the user.
    """
    import comfy.sample
    import comfy.samplers

    if not 0 < share <= 1:
        raise ValueError(f"sigma {share} is no share of the sampling range: use more than 0 (no noise) up to 1 (nothing but noise)")
    channels = model.get_model_object("latent_format").latent_channels
    if latent.shape[1] != channels:
        raise ValueError(
            f"the latent has {latent.shape[1]} channels and this model's have {channels}: encode the picture with the model's own VAE"
        )
    if latent.ndim == 5 and latent.shape[2] > 1:
        raise ValueError(f"the latent is a video of {latent.shape[2]} frames: give one picture, for instance its first frame")
    if latent.ndim == 5 and getattr(model.get_model_object("latent_format"), "latent_dimensions", 2) == 2:
        latent = latent[:, :, 0]  # the one frame that a video model's VAE gives
    sigmas = torch.tensor([float(model.get_model_object("model_sampling").percent_to_sigma(1 - share)), 0.0])
    if not sigmas[0] > 0:
        raise ValueError(f"sigma {share} is too near to the end of the sampling range: use 0.05 or more")
    return comfy.sample.sample_custom(
        model, comfy.sample.prepare_noise(latent, 0), 1.0, comfy.samplers.KSAMPLER(_one_call), sigmas, conditioning, conditioning, latent,
        disable_pbar=True, seed=0,
    )  # fmt: skip


def _one_call(model: Any, x: torch.Tensor, sigmas: torch.Tensor, extra_args: dict | None = None, **_: Any) -> torch.Tensor:
    """A sampler that only asks what the model says."""
    return model(x, sigmas[0] * x.new_ones(x.shape[0]), **(extra_args or {}))


def without_tiles(model: Any) -> Any:
    """A clone of a MODEL without any of our wrappers."""
    alone = model.clone()
    for kind, wrappers in list(alone.wrappers.items()):
        for key in [name for name in wrappers if name in ORDER]:
            alone.remove_wrappers_with_key(kind, key)
    return alone
