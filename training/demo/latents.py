"""Stage 3: renders of known scene and layout, encoded once with the finished VAE."""
import numpy as np
import torch

from scenes import IMAGE_SIZE, LAYOUT, relation_of, render, scene_of
from subjects import COLOURS, MOUNTS, RIDERS, SETTINGS, SUBJECTS

COUNT, WIDE_COUNT = 5600, 480
WIDE = 320  # width of the pictures that show the UNet another aspect ratio
EMPTY, PAIR, RIDING, WORN, IN_SETTING = 0.02, 0.34, 0.16, 0.14, 0.22  # shares; riding and worn are shares of the pairs
BATCH = 8


def draw_subjects(rng, i):
    """Returns (first, second, relation) by the shares above; the first subjects take turns."""
    names = list(SUBJECTS)
    first, draw = names[i % len(names)], rng.random()
    if draw < EMPTY:
        return None, None, "beside"
    if draw > EMPTY + PAIR:
        return first, None, "beside"
    kind = rng.random()
    if kind < RIDING and first in RIDERS:
        second = MOUNTS[rng.integers(len(MOUNTS))]
        return (first, second, "riding") if second != first else (first, None, "beside")
    second = "headphones" if kind > 1 - WORN else names[rng.integers(len(names))]
    return (first, None, "beside") if second == first else (first, second, relation_of(first, second))


def draw_scene(rng, i):
    """Returns (first, second, relation, ground, layout)."""
    first, second, relation = draw_subjects(rng, i)
    layout = rng.random(len(LAYOUT))
    if rng.random() < IN_SETTING:
        ground = list(SETTINGS)[rng.integers(len(SETTINGS))]
    else:
        ground = list(COLOURS)[rng.integers(len(COLOURS))]
    return first, second, relation, ground, layout.astype(np.float32)


@torch.no_grad()
def encode_scenes(rng, count, width, vae, log):
    """Returns (latents [count, 4, 32, width / 8], scenes)."""
    scenes, parts = [], []
    for start in range(0, count, BATCH):
        batch = [draw_scene(rng, i) for i in range(start, min(start + BATCH, count))]
        pictures = torch.from_numpy(np.stack([render(scene_of(*scene, width)) for scene in batch])).permute(0, 3, 1, 2).float() / 127.5 - 1
        parts.append(vae.encode(pictures.contiguous(memory_format=torch.channels_last)).latent_dist.mean.contiguous())
        scenes += batch
        if start % 400 == 0:
            log(f"latents {start} of {count}, {width} wide")
    return torch.cat(parts), scenes


def store_latents(work, vae, log):
    """Returns dict(square, wide, scaling_factor), from work/latents.pt if it is there; square and wide are (scaled latents, scenes)."""
    path = work / "latents.pt"
    if path.exists():
        return torch.load(path, weights_only=False)
    square, wide = (encode_scenes(np.random.default_rng((3, width)), count, width, vae, log) for count, width in ((COUNT, IMAGE_SIZE), (WIDE_COUNT, WIDE)))
    scaling_factor = round(1 / square[0].std().item(), 5)
    data = dict(scaling_factor=scaling_factor, square=(square[0] * scaling_factor, square[1]), wide=(wide[0] * scaling_factor, wide[1]))
    torch.save(data, path)
    return data
