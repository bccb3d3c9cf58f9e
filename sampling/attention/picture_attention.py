"""The function that stands in for the host's attention during one call of a model."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from typing import Any

import torch

from ...blending.attention.chunks import KEYS, Chunks, WindowAttention
from ...blending.attention.neighbourhood import neighbourhood_attention
from ...blending.attention.scale_fusion import scale_fused_attention
from ...blending.attention.windows import half_windows
from ...host.memory import is_out_of_memory
from ...host.progress import check_cancelled
from .canvas_memory import CanvasMemory
from .settings import GLOBAL_TOKENS, NEIGHBOURHOOD, AttentionSettings
from .text_turns import text_turn
from .token_layouts import PictureCall, TokenLayout

OVERRIDE = "optimized_attention_override"


@dataclass
class StepAttention:
    """What all calls of one prediction have in common. It travels in the transformer options.

    Attributes:
        settings: the user's.
        native: (height, width) of the native size, in cells.
        seed, step: of the run.
        told: what has been said in the log during this run.
        canvas: for global tokens: the whole canvas' tokens.
    """

    settings: AttentionSettings
    native: tuple[int, int]
    seed: int
    step: int
    told: set[str] = field(default_factory=set)
    canvas: CanvasMemory | None = None

    def tell(self, message: str) -> None:
        """Say something in the log, once in a run."""
        if message not in self.told:
            self.told.add(message)
            logging.info("Tilework: Tiled Attention: %s", message)

    def offset(self, call: int, patch: tuple[int, int]) -> tuple[int, int]:
        """(rows, columns) by which the windows of an attention call are shifted, 0 to patch - 1; another one at every call."""
        if not self.settings.jitter:
            return 0, 0
        drawn = torch.Generator().manual_seed(((self.seed * 100_003 + self.step) * 100_003 + call) % 2**63)
        return tuple(int(torch.randint(side, (), generator=drawn)) for side in patch)


class PictureAttention:
    """Takes the place of the attention of one call of a model, where that goes over the picture.

    A function of another pack that stood in its place before is what does the attending then.

    Args:
        step: the prediction.
        model: the BaseModel.
        shape: of the latent.
        text: tokens of text that the network is given.
        options: the transformer options, as they were before.
    """

    def __init__(self, step: StepAttention, model: Any, shape: tuple[int, ...], text: int, options: dict[str, Any]) -> None:
        self.step, self.network, self.before = step, model.diffusion_model, options.get(OVERRIDE)
        self.layout = TokenLayout(model, shape, text, step.native)
        self.asked_of = tuple(options.get("cond_or_uncond") or ())
        self.calls = 0
        self.chunks = Chunks(KEYS, between=check_cancelled, too_much=is_out_of_memory)
        if self.layout.unknown:
            step.tell(f"attention is left as it is: {self.layout.unknown}")

    def __call__(self, func, q, k, v, heads, mask=None, attn_precision=None, skip_reshape=False, skip_output_reshape=False, **more):
        options = more.get("transformer_options") or {}
        if self.before is not None:
            # What stood here before finds itself in its place, also where it asks the host for attention.
            func, more = _with(self.before, func), {**more, "transformer_options": {**options, OVERRIDE: self.before}}
        more = {"attn_precision": attn_precision, **more}
        tokens = -2 if skip_reshape else 1
        call = self.layout.of_call(q.shape[tokens], k.shape[tokens], options)
        if call is None or not self._cuts(call):
            return func(q, k, v, heads, mask=mask, skip_reshape=skip_reshape, skip_output_reshape=skip_output_reshape, **more)
        if not skip_reshape:
            depth = q.shape[-1] // heads
            # SD3 gives values with their heads apart.
            q, k, v = (one.reshape(*one.shape[:2], -1, depth).transpose(1, 2) for one in (q, k, v))

        def attend(q, k, v, mask):
            return func(q, k, v, heads, mask=mask, skip_reshape=True, **more)

        found = self._attend(WindowAttention(attend, q, k, v, call.grid, mask), call.window, options)
        self.calls += 1
        return found.unflatten(-1, (heads, -1)).transpose(1, 2) if skip_output_reshape else found

    def _cuts(self, call: PictureCall) -> bool:
        if self.step.settings.method == GLOBAL_TOKENS:
            return self.step.canvas is not None
        return any(side < length for side, length in zip(call.window, call.grid.size, strict=True))

    def _attend(self, work: WindowAttention, window: tuple[int, int], options: dict[str, Any]) -> torch.Tensor:
        settings = self.step.settings
        if settings.method == GLOBAL_TOKENS:
            return self.step.canvas.attend(work, self.calls, self.asked_of, settings.strength)
        if settings.method == NEIGHBOURHOOD:
            windows = half_windows(window)
            windows = windows._replace(offset=self.step.offset(self.calls, windows.patch))
            turned = WindowAttention(work.attend, work.q, work.k, work.v, work.grid, work.mask, text_turn(self.network, options))
            found = neighbourhood_attention(turned, windows, self.chunks)
        else:
            eighths = tuple(max(side // 8, 1) for side in window)
            found = scale_fused_attention(work, window, self.step.offset(self.calls, eighths), self.chunks)
        if settings.strength == 1:
            return found
        return torch.lerp(work.attend(work.q, work.k, work.v, work.mask), found, settings.strength)


def _with(before, func):
    def attend(*args, **more):
        return before(func, *args, **more)

    return attend
