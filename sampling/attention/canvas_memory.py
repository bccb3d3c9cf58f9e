"""Keys and values of the whole canvas, shown to the model at its native size, for the tiles of one step."""

from __future__ import annotations

import torch

from ...blending.attention.chunks import WindowAttention
from ...blending.attention.global_tokens import attention_beside, canvas_tokens


class CanvasMemory:
    """Of one prediction of the canvas.

    At most 1,024 tokens of the picture are kept per attention and prompt, so that it takes 2 x 1,024 x the attention's
    channels x the bytes of a number for each of them: some 700 MB per prompt and picture for Flux in half precision.

    Attributes:
        recording: whether the canvas is being shown, or its tiles.
    """

    def __init__(self) -> None:
        self.recording = True
        self._kept: dict[tuple[int, int], tuple[torch.Tensor, torch.Tensor]] = {}

    def attend(self, work: WindowAttention, call: int, asked_of: tuple[int, ...], share: float) -> torch.Tensor:
        """Plain attention while the canvas is shown, and afterwards attention to the canvas' tokens, too.

        Args:
            work: of the canvas, or of tiles.
            call: number of the attention in the model's call.
            asked_of: which list of conditions (0 positive, 1 negative) the pictures of the batch are for, in equal parts.
            share: how much a token of the canvas counts.
        """
        prompts = asked_of or (0,)
        rows, left = divmod(work.q.shape[0], len(prompts))
        if self.recording:
            if not left:
                for index, prompt in enumerate(prompts):
                    part = slice(index * rows, (index + 1) * rows)
                    # Of several prompts the first that is asked, which the host takes from the end of the list.
                    self._kept.setdefault((call, prompt), (canvas_tokens(work.k[part], work.grid), canvas_tokens(work.v[part], work.grid)))
            return work.attend(work.q, work.k, work.v, work.mask)
        kept = [self._kept.get((call, prompt)) for prompt in prompts]
        if left or any(one is None or rows % one[0].shape[0] for one in kept):
            return work.attend(work.q, work.k, work.v, work.mask)
        more = tuple(torch.cat([one[which].to(work.k).repeat(rows // one[which].shape[0], 1, 1, 1) for one in kept]) for which in (0, 1))
        return attention_beside(work.attend, work.q, work.k, work.v, more, share, work.mask)
