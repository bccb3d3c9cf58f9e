"""Attention in windows takes no more memory than plain tiles, and as much for each token of a larger canvas."""

import weakref

import torch
import torch.nn.functional as F
from tilework.blending.attention.chunks import Chunks, WindowAttention
from tilework.blending.attention.neighbourhood import neighbourhood_attention
from tilework.blending.attention.token_grid import TokenGrid
from tilework.blending.attention.windows import half_windows
from torch.utils._python_dispatch import TorchDispatchMode

NATIVE, TEXT = 16, 4


class Live(TorchDispatchMode):
    """Bytes of all tensors that were made meanwhile and are still there, at the most."""

    def __init__(self):
        super().__init__()
        self.now = self.most = 0
        self.known = set()

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        result = func(*args, **(kwargs or {}))
        for one in result if isinstance(result, tuple | list) else (result,):
            if isinstance(one, torch.Tensor):
                storage = one.untyped_storage()
                if storage.data_ptr() not in self.known and not any(
                    isinstance(given, torch.Tensor) and given.untyped_storage().data_ptr() == storage.data_ptr() for given in args
                ):
                    self.known.add(storage.data_ptr())
                    self.now += storage.nbytes()
                    self.most = max(self.most, self.now)
                    weakref.finalize(storage, self._gone, storage.data_ptr(), storage.nbytes())
        return result

    def _gone(self, place, size):
        self.known.discard(place)
        self.now -= size


def attend(q, k, v, mask=None):
    return F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2)


def peak(call):
    with torch.inference_mode(), Live() as live:
        call()
    return live.most


def tiled(q, k, v, side):
    """Tiles of the native size side by side, as Tiled Sampling would give them to the model."""
    result = q.new_empty(1, q.shape[2], q.shape[1] * q.shape[3])
    image = result[:, TEXT:].unflatten(1, (side, side))
    for y in range(0, side, NATIVE):
        for x in range(0, side, NATIVE):
            cut = [one[:, :, TEXT:].unflatten(2, (side, side))[:, :, y : y + NATIVE, x : x + NATIVE].flatten(2, 3) for one in (q, k, v)]
            joined = [torch.cat((one[:, :, :TEXT], part), 2) for one, part in zip((q, k, v), cut, strict=True)]
            del cut
            image[:, y : y + NATIVE, x : x + NATIVE] = attend(*joined)[:, TEXT:].unflatten(1, (NATIVE, NATIVE))
    return result


def test_memory_is_that_of_plain_tiles_and_linear():
    """The geometry of 64, 128 and 192 tokens a side at a native size of 64, four times smaller."""
    ours, tiles = {}, {}
    for side in (32, 48, 64):
        q, k, v = torch.randn(3, 1, 2, TEXT + side * side, 4).unbind()
        work = WindowAttention(attend, q, k, v, TokenGrid(TEXT, side, side))
        windows, chunks = half_windows((NATIVE, NATIVE), (3, 5)), Chunks(NATIVE * NATIVE)
        ours[side] = peak(lambda work=work, windows=windows, chunks=chunks: neighbourhood_attention(work, windows, chunks))
        tiles[side] = peak(lambda q=q, k=k, v=v, side=side: tiled(q, k, v, side))
    print({side: f"{ours[side] / tiles[side]:.2f} of plain tiles" for side in ours})
    assert all(ours[side] <= 1.2 * tiles[side] for side in ours)
    # Beside the result there is one chunk, whatever the canvas: a straight line through its tokens.
    per_token = [(ours[large] - ours[small]) / (large**2 - small**2) for small, large in ((32, 48), (48, 64))]
    assert abs(per_token[0] / per_token[1] - 1) < 0.05 and abs(per_token[0] / (2 * 4 * 4) - 1) < 0.05
