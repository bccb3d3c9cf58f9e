"""Detection and segmentation in tiles: a trained face detector, SAHI itself, and masks of 8,192 px.

    python benchmarks/detections.py [--part faces] [--part sahi] [--part masks] [--side 8192]

- faces: MTCNN (facenet-pytorch, weights in the package) on a 4,000 px collage of faces of several sizes: what the pass at
  640 px finds, what tiles of 1024 px find, both merged, and what is counted twice.
- sahi: 500 random sets of boxes through sahi's GREEDYNMM and NMS and through ours.
- masks: Merge Masks at `--side` pixels: time, and peak memory in planes beside inputs and outputs.

The packages are named in requirements.txt; a part whose package is not there is left out.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from loading import blending, note
from resident import extra_peak

COLLAGE, SMALL, TILE, OVERLAP = 4000, 640, 1024, 256
SIDES = (1000, 420, 240, 160, 110, 80, 64, 52)  # of the photographs in the collage; a face takes about a quarter of one
SURE = 0.95


def collage() -> tuple[torch.Tensor, list[tuple[float, float, float, float]]]:
    """A 4,000 px picture with 25 copies of a portrait, mirrored, dimmed and at eight sizes, and where the faces are."""
    import skimage.data
    from PIL import Image

    photo = Image.fromarray(skimage.data.astronaut())
    face = (170 / 512, 65 / 512, 275 / 512, 215 / 512)
    ground = Image.fromarray(skimage.data.grass()).convert("RGB").resize((COLLAGE, COLLAGE), Image.Resampling.BICUBIC)
    draw, places = np.random.default_rng(3), []
    cells = [(row, column) for row in range(5) for column in range(5)]
    for index, (row, column) in enumerate(cells):
        side = SIDES[index % len(SIDES)] if index else 760
        side = min(side, 760)
        room = COLLAGE // 5 - side
        x, y = column * COLLAGE // 5 + int(draw.integers(0, room)), row * COLLAGE // 5 + int(draw.integers(0, room))
        dim = draw.uniform(0.75, 1.05)
        copy = Image.eval(photo.resize((side, side), Image.Resampling.LANCZOS), lambda value, dim=dim: min(255, round(value * dim)))
        ends = [face[0], face[2]]
        if index % 2:
            copy, ends = copy.transpose(Image.Transpose.FLIP_LEFT_RIGHT), [1 - face[2], 1 - face[0]]
        ground.paste(copy, (x, y))
        places.append((x + ends[0] * side, y + face[1] * side, x + ends[1] * side, y + face[3] * side))
    return torch.from_numpy(np.asarray(ground, np.float32) / 255)[None], places


def face_detector() -> Callable[[torch.Tensor], list[dict[str, Any]]] | None:
    """[1, H, W, 3] -> boxes, as a node would give them; None where facenet-pytorch is not installed."""
    try:
        from facenet_pytorch import MTCNN
    except ImportError:
        note("faces are left out: pip install --no-deps facenet-pytorch==2.6.0")
        return None
    network = MTCNN(keep_all=True, min_face_size=20, device="cpu")

    def detect(picture: torch.Tensor) -> list[dict[str, Any]]:
        boxes, scores = network.detect((picture[0] * 255).round().numpy().astype(np.uint8))
        found = [] if boxes is None else zip(boxes.tolist(), scores.tolist(), strict=True)
        return [
            {"x": x, "y": y, "width": right - x, "height": bottom - y, "label": "face", "score": score}
            for (x, y, right, bottom), score in found
            if score >= SURE
        ]

    return detect


def found_in(boxes: list[dict[str, Any]], places: list[tuple[float, float, float, float]]) -> tuple[int, int, int]:
    """(faces found, faces with more than one box, boxes where no face is): a box has its centre in the face it is of."""
    hits, wrong = [0] * len(places), 0
    for box in boxes:
        x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
        at = [i for i, (left, top, right, bottom) in enumerate(places) if left <= x <= right and top <= y <= bottom]
        wrong += not at
        for i in at:
            hits[i] += 1
    return sum(map(bool, hits)), sum(count > 1 for count in hits), wrong


def faces() -> None:
    """The collage through MTCNN, whole at 640 px, whole in full size, and in tiles."""
    detect = face_detector()
    if detect is None:
        return
    ours, merging = blending(), blending("detection.merging")
    picture, places = collage()
    small = torch.nn.functional.interpolate(picture.movedim(-1, 1), (SMALL, SMALL), mode="area").movedim(1, -1)
    scale = COLLAGE / SMALL
    low = [{**box, **{side: box[side] * scale for side in ("x", "y", "width", "height")}} for box in detect(small)]
    layout = ours.TileLayout.grid(COLLAGE, COLLAGE, TILE, TILE, OVERLAP, 8)
    tiles = [detect(tile) for tile in ours.cut(picture, layout)]
    print(f"\nMTCNN on a collage of {COLLAGE} px, {len(places)} faces of {min(SIDES) // 4} to 190 px; score from {SURE}\n")
    print("| way | boxes | faces found | found twice | elsewhere |\n|---|---|---|---|---|")
    joined = [
        {**box, "x": box["x"] + tile.x, "y": box["y"] + tile.y} for boxes, tile in zip(tiles, layout.tiles, strict=True) for box in boxes
    ]
    rows = {
        f"whole picture at {SMALL} px": low,
        "whole picture in full size": detect(picture),
        f"{len(layout)} tiles of {TILE} px, not merged": joined,
        "tiles, Merge Detections": merging.merge_detections(tiles, layout),
        "tiles and the pass at 640 px, Merge Detections": merging.merge_detections(tiles, layout, whole=low),
        "the same, IoU": merging.merge_detections(tiles, layout, match="IoU", whole=low),
        "the same, suppress": merging.merge_detections(tiles, layout, method="suppress", whole=low),
    }
    for way, boxes in rows.items():
        found, twice, wrong = found_in(boxes, places)
        print(f"| {way} | {len(boxes)} | {found} of {len(places)} | {twice} | {wrong} |")


def random_set(seed: int) -> tuple[str, float, list[tuple]]:
    """(match, threshold, boxes): boxes (x, y, width, height, score, class); a third of the sets has many equal scores."""
    draw = np.random.default_rng(seed)
    count, steps = int(draw.integers(2, 40)), 20 if seed % 3 == 0 else 100
    corners, sides = draw.integers(0, 400, (count, 2)), draw.integers(10, 200, (count, 2))
    scores, classes = np.round(draw.uniform(0.05, 0.99, count) * steps) / steps, draw.integers(0, 3, count)
    boxes = [
        (*map(int, (*at, *size)), float(score), int(kind)) for at, size, score, kind in zip(corners, sides, scores, classes, strict=True)
    ]
    return ("IOS" if seed % 2 else "IoU"), (0.5, 0.3, 0.7)[seed % 3], boxes


def beside_sahi(count: int) -> None:
    """Random sets through sahi and through ours."""
    try:
        from sahi.postprocess.combine import GreedyNMMPostprocess, NMSPostprocess
        from sahi.prediction import ObjectPrediction
    except ImportError as error:
        note(f"sahi is left out ({error}): pip install sahi==0.12.8 into a folder of its own")
        return
    merging, detection = blending("detection.merging"), blending("detection.boxes").Detection
    for method, theirs in (("merge", GreedyNMMPostprocess), ("suppress", NMSPostprocess)):
        equal = 0
        for seed in range(count):
            match, threshold, boxes = random_set(seed)
            predictions = [
                ObjectPrediction([x, y, x + w, y + h], category_id=kind, category_name=str(kind), score=score, full_shape=[1000, 1000])
                for x, y, w, h, score, kind in boxes
            ]
            kept = theirs(match_threshold=threshold, match_metric=match.upper(), class_agnostic=False)(predictions)
            want = sorted((*map(float, one.bbox.to_xyxy()), round(float(one.score.value), 4), one.category.id) for one in kept)
            got = []
            for kind in {box[5] for box in boxes}:
                found = [detection((x, y, x + w, y + h), {"score": score, "label": kind}) for x, y, w, h, score, k in boxes if k == kind]
                line = merging.take_together(found, match, threshold, method)
                got += [(*one.corners, round(one.score, 4), one.label) for one in line]
            equal += sorted(got) == want
        print(f"{method}: {equal} of {count} random sets as {theirs.__name__} of sahi gives them")


def large_masks(side: int) -> None:
    """Merge Masks on three objects, SAM3's way and soft, with and without a prior."""
    ours, merge = blending(), blending("detection.mask_merge")
    layout = ours.TileLayout.grid(side, side, 2048, 2048, 512, 8)
    y, x = torch.meshgrid(torch.arange(side), torch.arange(side), indexing="ij")
    shapes = [(0.3, 0.35, 0.2), (0.62, 0.6, 0.16), (0.8, 0.2, 0.1)]
    distance = [radius * side - torch.hypot(y - cy * side, x - cx * side) for cy, cx, radius in shapes]
    del y, x
    low = torch.stack([torch.nn.functional.interpolate((one > 0).float()[None, None], (640, 640), mode="area")[0, 0] for one in distance])
    print(f"\nMerge Masks, {side} x {side}, {len(layout)} tiles of 2048, overlap 512, 3 objects, {torch.get_num_threads()} threads\n")
    print("| masks | prior | s | peak beside inputs and outputs, planes |\n|---|---|---|---|")
    plane = 4 * side * side
    for kind in ("binary", "soft"):
        items = [one_tile(distance, tile, kind) for tile in layout.tiles]
        for prior in (None, low):
            note(f"{kind}, {'with' if prior is not None else 'without'} a prior")
            with torch.inference_mode():
                began = time.perf_counter()
                extra, merged = extra_peak(lambda items=items, prior=prior: merge.merge_masks(items, layout, prior=prior))
                seconds = time.perf_counter() - began
            assert merged.count == len(shapes)
            peak = "-" if extra is None else f"{(extra - merged.mask.nbytes - merged.objects.nbytes) / plane:.2f}"
            print(f"| {kind} | {'yes' if prior is not None else 'no'} | {seconds:.1f} | {peak} |", flush=True)
            del merged
        del items


def one_tile(distance: list[torch.Tensor], tile: Any, kind: str) -> torch.Tensor:
    """The objects that a tile sees, [N, h, w]."""
    planes = []
    for one in distance:
        part = one[tile.y : tile.y + tile.height, tile.x : tile.x + tile.width]
        part = torch.nn.functional.pad(part, (0, tile.width - part.shape[1], 0, tile.height - part.shape[0]), value=-100.0)
        if (part > 0).any():
            planes.append((part > 0).float() if kind == "binary" else torch.sigmoid(part / 2))
    return torch.stack(planes) if planes else torch.zeros(0, tile.height, tile.width)


def main() -> None:
    """Run the parts and print them."""
    parts = {"faces": faces, "sahi": lambda: beside_sahi(500), "masks": lambda: large_masks(options.side)}
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--part", action="append", choices=parts, help="all of them where none is named")
    parser.add_argument("--side", type=int, default=8192)
    options = parser.parse_args()
    for part in options.part or parts:
        parts[part]()


if __name__ == "__main__":
    main()
