"""Merge Only Changes beside the method of flux-kontext-diff-merge: what they find, and a large picture's time and memory.

    python benchmarks/diff_merge.py [--size 8192] [--runs 3] [--share 0.25] [--figures] [--large]

The peer's method is written here from its description, without its code: distance in 8-bit Lab, half of it lightness and a
quarter each colour axis; a threshold of 2 % of the range, or the mean and 2 % where the mean is over 15 %; closed and opened
by 5 x 5, areas of 250 px or more, grown by 8, blurred, alpha in 8 bits. (The original then also calls OpenCV's seamlessClone.)

Figures: six photographs of scikit-image in full; the frame moved by 3.4 px and scaled by 0.5 %, the lightness of all raised
by 2, and on top of both a square of 40 x 40 px of Delta-E 10 and noise of sd 1 in L, a and b. Large: a picture with three
edits, its frame moved, of which one covers a quarter of it (`--share`); peak memory less inputs and outputs, in planes.
"""

from __future__ import annotations

import argparse
import statistics
import sys

import numpy as np
import torch
from contestants import paint
from loading import PACK, blending, load_pack, note
from resident import extra_peak
from split_blend import timed

MOST_PLANES = 4


def _bytes_lab(pixels: torch.Tensor) -> np.ndarray:
    """[H, W, 3] as 8-bit Lab, the axes scaled to 0..255."""
    lab = blending("pixels.lab").rgb_to_lab((pixels.clamp(0, 1) * 255).round().reshape(-1, 3).T / 255)
    scaled = torch.stack((lab[0] * 2.55, lab[1] + 128, lab[2] + 128), -1)
    return scaled.round().clamp(0, 255).to(torch.uint8).reshape(pixels.shape).numpy()


def peer(original: torch.Tensor, edited: torch.Tensor) -> tuple[np.ndarray, np.ndarray]:
    """What the peer's method finds before it grows, bool [H, W], and its picture, 8 bits."""
    from scipy import ndimage

    first, second = (_bytes_lab(picture).astype(np.float32) for picture in (original, edited))
    distance = np.abs(first - second) @ np.array([0.5, 0.25, 0.25], np.float32)
    threshold = 0.02 * 255
    if distance.mean() > 0.15 * 255:
        threshold += distance.mean()
    square = np.ones((5, 5), bool)
    mask = ndimage.binary_opening(ndimage.binary_closing(distance > threshold, square), square)
    labels, count = ndimage.label(mask)
    found = (np.bincount(labels.ravel(), minlength=count + 1) >= 250)[labels] & mask
    grown = ndimage.maximum_filter(found, 17).astype(np.float32)
    alpha = ndimage.gaussian_filter(ndimage.uniform_filter(grown, 15), 15 / 3)[..., None]
    mixed = (alpha * edited.numpy() + (1 - alpha) * original.numpy()).clip(0, 1)
    return found, (255 * mixed).astype(np.uint8)


def figures() -> None:
    """Print a line for every photograph."""
    load_pack()
    sys.path.insert(0, str(PACK / "tests" / "unit" / "changes"))
    import edit_scenes as scenes

    merge = blending("changes.merge").merge_changes
    print(
        "| photograph | drift and frame alone: found, ours / peer | IoU of the patch, ours / peer | pixels changed outside, ours / peer |"
    )
    print("|---|---|---|---|")
    for name in scenes.PHOTOGRAPHS:
        original = scenes.photograph(name)
        top, left = round(0.55 * original.shape[0]) - scenes.SIDE // 2, round(0.45 * original.shape[1]) - scenes.SIDE // 2
        truth = scenes.square(original, top, left)
        alone = scenes.eight_bit(scenes.moved(scenes.lighter(original)))
        edited = scenes.eight_bit(scenes.noisy(scenes.moved(scenes.lighter(scenes.patched(original, top, left)))))
        ours, theirs = merge(original[None], edited[None]), peer(original, edited)
        empty = f"{float(merge(original[None], alone[None]).areas[0].inside.float().mean()):.1%} / {peer(original, alone)[0].mean():.1%}"
        scores = [scenes.overlap_over_union(found, truth) for found in (ours.areas[0].inside, torch.from_numpy(theirs[0]))]
        far = ~(torch.nn.functional.max_pool2d(truth[None].float(), 81, 1, 40)[0] > 0)
        whole = (original * 255).round().byte()
        changed = [
            float(((ours.image[0] * 255).round().byte() != whole)[far].float().mean()),
            float((torch.from_numpy(theirs[1]) != whole)[far].float().mean()),
        ]
        print(f"| {name} | {empty} | {scores[0]:.3f} / {scores[1]:.3f} | {changed[0]:.1%} / {changed[1]:.1%} |", flush=True)


def _scene(size: int, share: float) -> tuple[torch.Tensor, torch.Tensor]:
    """A picture and its edited version: moved by 5 and 3 px, lighter, with such a share and two small places painted over."""
    original = paint(size, size).clamp_(0, 1)
    edited = original.roll((5, 3), (1, 2)).mul_(0.97).add_(0.03)
    large, spot = round(size * share**0.5), size // 64
    edited[:, :large, :large, 0] = 1 - edited[:, :large, :large, 0]
    for y, x in ((0.7, 0.2), (0.6, 0.8)):
        edited[:, int(y * size) :, int(x * size) :, 1][:, :spot, :spot] = 0.1
    return original, edited


def large(size: int, runs: int, share: float) -> None:
    """Print time and memory of a large picture."""
    module = blending("changes.merge")
    small = _scene(512, share)
    module.merge_changes(*small)  # whatever is loaded on first use is no part of the answer
    peer(*(picture[0] for picture in small))
    note(f"making a picture of {size} x {size}")
    pair = _scene(size, share)
    plane = size * size * 4
    target = torch.empty_like(pair[0])
    target.copy_(pair[0])
    for blend in ("gradient", "feather"):
        times: dict[str, list[float]] = {"ours": [], "peer": [], "copy": []}
        extra = report = None
        for run in range(runs):
            note(f"{blend}: round {run + 1} of {runs}")
            settings = module.MergeSettings(blend=blend)
            peak, (seconds, merged) = extra_peak(lambda settings=settings: timed(lambda: module.merge_changes(*pair, settings)))
            outputs, report = merged.image.nbytes + merged.mask.nbytes, merged.report
            extra = None if peak is None else max(extra or 0, peak - outputs)
            del merged
            times["ours"].append(seconds)
            times["peer"].append(timed(lambda: peer(*(picture[0] for picture in pair)))[0])
            times["copy"].append(timed(lambda: target.copy_(pair[0]))[0])
        ours, theirs, copy = (statistics.median(times[name]) for name in ("ours", "peer", "copy"))
        met = "" if extra is None else f" ({'met' if extra <= MOST_PLANES * plane else 'MISSED'}: at most {MOST_PLANES})"
        planes = "-" if extra is None else f"{extra / plane:.2f}{met}"
        print(
            f"{blend}, {size} x {size}, {share:.0%} edited: {ours:.1f} s, {ours / theirs:.2f} of the peer's method, "
            f"{ours / copy:.0f} x one copy; planes beside inputs and outputs: {planes}\n{report}",
            flush=True,
        )


def main() -> None:
    """Figures, then the large picture; one of them alone where it is asked for."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--size", type=int, default=8192)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--share", type=float, default=0.25, help="of the large picture that its largest edit covers")
    parser.add_argument("--figures", action="store_true", help="the photographs alone")
    parser.add_argument("--large", action="store_true", help="the large picture alone")
    options = parser.parse_args()
    with torch.inference_mode():
        if options.figures or not options.large:
            figures()
        if options.large or not options.figures:
            large(options.size, options.runs, options.share)


if __name__ == "__main__":
    main()
