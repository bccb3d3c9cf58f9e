"""A denoiser that hears attention patches, and patches of the forms that other packs give theirs. Plain torch: no ComfyUI.

Whatever a patch does here it does cell by cell, so that tiles give what the whole canvas gives, as long as each sees its
own part of what the patch holds.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from types import SimpleNamespace
from typing import Any

import torch

from .convolution import ConvDenoiser

BLOCK = ("middle", 0, 0)


class PatchedDenoiser(ConvDenoiser):
    """A ConvDenoiser whose answer goes through the patches of one attention block, one token to a cell.

    Of the patches that replace its self-attention it makes no use: it only asks them. Their keys stand for what the
    network attends to: every other column, wherever the canvas begins.
    """

    def forward(self, x: torch.Tensor, timesteps=None, context=None, control=None, transformer_options=None, **more: Any) -> torch.Tensor:
        """The clean latent for the noisy x [B, C, h, w], with what its controls answer added."""
        clean = super().forward(x, timesteps, context, control, transformer_options, **more)
        for part in (control or {}).get("output", []):
            clean = clean + part
        options = transformer_options or {}
        extra = {
            **options, "n_heads": 1, "dim_head": clean.shape[1], "attn_precision": None, "block": BLOCK[:2], "transformer_index": 0,
            "original_shape": list(x.shape),
        }  # fmt: skip
        patches, replaced = options.get("patches", {}), options.get("patches_replace", {})
        q = k = v = tokens = clean.flatten(2).transpose(1, 2)
        if BLOCK in replaced.get("attn1", {}):
            seen = self.looked_at(clean)
            replaced["attn1"][BLOCK](torch.ones_like(seen), seen, seen, extra)
        for patch in patches.get("attn2_patch", []):
            q, k, v = patch(q, k, v, extra)
        for patch in replaced.get("attn2", {}).values():
            tokens = patch(q, k, v, extra)
        for patch in patches.get("attn2_output_patch", []):
            tokens = patch(tokens, extra)
        return tokens.transpose(1, 2).reshape(clean.shape)

    def looked_at(self, clean: torch.Tensor) -> torch.Tensor:
        """Keys [B, tokens, 1]: 8 in even columns, -8 in odd ones."""
        columns = torch.arange(clean.shape[-1], device=clean.device) % 2
        return (8.0 - 16 * columns).expand(clean.shape[0], *clean.shape[-2:]).reshape(clean.shape[0], -1, 1)


def over_tokens(mask: torch.Tensor, shape: list[int]) -> torch.Tensor:
    """A mask [n, h, w] stretched over the cells of a latent of `shape`, as tokens [n, cells, 1]."""
    stretched = torch.nn.functional.interpolate(mask.unsqueeze(1).float(), size=tuple(shape[-2:]), mode="bilinear")
    return stretched.flatten(1).unsqueeze(-1)


class AdapterReplace:
    """One object for an attention layer, with the arguments of each adapter that was applied to it in a list of dicts."""

    def __init__(self, callback: Callable, **kwargs: Any) -> None:
        self.callback, self.kwargs = [callback], [kwargs]

    def add(self, callback: Callable, **kwargs: Any) -> None:
        """One more adapter."""
        self.callback.append(callback)
        self.kwargs.append(kwargs)

    def __call__(self, q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, extra_options: dict) -> torch.Tensor:
        """The attention's answer, and each adapter's added to it."""
        out = q
        for callback, kwargs in zip(self.callback, self.kwargs, strict=True):
            out = out + callback(out, q, k, v, extra_options, **kwargs)
        return out


def adapter_attention(out, q, k, v, extra_options, weight=1.0, cond=None, mask=None, **more):
    """What an adapter adds: the mean of its embedding, where its mask is."""
    added = torch.full_like(out, weight * float(cond.mean()))
    return added if mask is None else added * over_tokens(mask, extra_options["original_shape"])


def adapter(mask: torch.Tensor) -> dict[str, Any]:
    """Two adapters on one layer, the second without a mask; `mask` [n, h, w]."""
    cond = torch.linspace(-1, 3, 4 * 16).reshape(1, 4, 16)
    replace = AdapterReplace(adapter_attention, weight=0.7, cond=cond, mask=mask)
    replace.add(adapter_attention, weight=-0.2, cond=cond, mask=None)
    return {"patches_replace": {"attn2": {BLOCK: replace}}}


class MaskedPatch:
    """An object with a list of masks, whose method is the patch."""

    def __init__(self, masks: list[torch.Tensor]) -> None:
        self.masks, self.calls = masks, 0
        self.me = self

    def output(self, out: torch.Tensor, extra_options: dict) -> torch.Tensor:
        """Adds 0.3 where the masks are."""
        self.calls += 1
        return out + 0.3 * sum(over_tokens(mask, extra_options["original_shape"]) for mask in self.masks)


def couple(base: torch.Tensor) -> dict[str, Any]:
    """Two closures over one list of masks [n, 1, h, w], which also share what the first writes down for the second."""
    masks = [base.unsqueeze(1), 1 - base.unsqueeze(1)]
    tones = [0.8, -0.5]
    called_with = None

    def attn2_patch(q, k, v, extra_options):
        nonlocal called_with
        called_with = q.shape[1]
        return q, k, v

    def attn2_output_patch(out, extra_options):
        if called_with != out.shape[1]:
            raise RuntimeError(f"the first half was called with {called_with} tokens and the second with {out.shape[1]}")
        parts = (tone * over_tokens(mask[:, 0], extra_options["original_shape"]) for mask, tone in zip(masks, tones, strict=True))
        return out + sum(parts)

    return {"patches": {"attn2_patch": [attn2_patch], "attn2_output_patch": [attn2_output_patch]}}


def _region(settings, out, extra_options, *, where):
    return out + settings.tone * over_tokens(where["region"][0], extra_options["original_shape"])


FORMS: dict[str, Callable[[torch.Tensor], dict[str, Any]]] = {
    "adapter": adapter,
    "couple": couple,
    "object": lambda mask: {"patches": {"attn2_output_patch": [MaskedPatch([mask]).output]}},
    # Nothing calls it a mask.
    "partial": lambda mask: {
        "patches": {"attn2_output_patch": [partial(_region, SimpleNamespace(tone=0.6), where={"region": (mask, None)})]}
    },
}


def apply(model: Any, form: str, mask: torch.Tensor) -> Any:
    """A clone of a MODEL with the patch of that form; `mask` [n, h, w]."""
    patched = model.clone()
    made = FORMS[form](mask)
    for name, found in made.get("patches", {}).items():
        for patch in found:
            patched.set_model_patch(patch, name)
    for name, found in made.get("patches_replace", {}).items():
        for block, patch in found.items():
            patched.set_model_patch_replace(patch, name, *block)
    return patched
