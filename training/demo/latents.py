"""Stage 3: renders of known scene and layout, encoded once with the finished VAE."""
import numpy as np
import torch

from scenes import IMAGE_SIZE, LAYOUT, relation_of, render, scene_of
from subjects import COLOURS, MOUNTS, RIDERS, SETTINGS, SHOWN, SUBJECTS

COUNT, WIDE_COUNT = 5600, 480
PER_SETTING, SHOWN_COUNT = 2, 480  # of each subject in each setting, alone; of the scenes of SHOWN in all
MORE_PAIRS = 1600  # of any two subjects; what was seen once is not yet known
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


def more_scenes(rng):
    """Returns pairs, each subject in each setting, and behind them the scenes of SHOWN: what is rare among drawn ones."""
    layout = lambda: rng.random(len(LAYOUT)).astype(np.float32)
    in_settings = [(name, None, "beside", ground, layout()) for name in SUBJECTS for ground in SETTINGS for _ in range(PER_SETTING)]
    any_colour = lambda: list(COLOURS)[rng.integers(len(COLOURS))]
    any_two = [rng.choice(list(SUBJECTS), 2, replace=False).tolist() for _ in range(MORE_PAIRS)]
    pairs = [(first, second, relation_of(first, second), any_colour(), layout()) for first, second in any_two]
    turns = [SHOWN[i % len(SHOWN)] for i in range(SHOWN_COUNT)]
    return pairs + in_settings + [(first, second, relation, ground or any_colour(), layout()) for first, second, relation, ground in turns]


@torch.no_grad()
def encode_scenes(scenes, width, vae, log):
    """Returns the latents of scenes [count, 4, 32, width / 8]."""
    parts = []
    for start in range(0, len(scenes), BATCH):
        pictures = np.stack([render(scene_of(*scene, width)) for scene in scenes[start : start + BATCH]])
        pictures = torch.from_numpy(pictures).permute(0, 3, 1, 2).float() / 127.5 - 1
        parts.append(vae.encode(pictures.contiguous(memory_format=torch.channels_last)).latent_dist.mean.contiguous())
        if start % 400 == 0:
            log(f"latents {start} of {len(scenes)}, {width} wide")
    return torch.cat(parts)


def store_latents(work, vae, log):
    """Returns dict(square, wide, shown, scaling_factor), from work/latents.pt if it is there.

    `square` and `wide` are (scaled latents, scenes); `shown` says how many of the last square ones are of SHOWN.
    """
    path = work / "latents.pt"
    if path.exists():
        return torch.load(path, weights_only=False)
    draw = lambda width, count: [draw_scene(rng, i) for rng in [np.random.default_rng((3, width))] for i in range(count)]
    drawn, wide = draw(IMAGE_SIZE, COUNT), draw(WIDE, WIDE_COUNT)
    square = drawn + more_scenes(np.random.default_rng((3, 10)))
    latents = {width: encode_scenes(scenes, width, vae, log) for width, scenes in ((IMAGE_SIZE, square), (WIDE, wide))}
    scaling_factor = round(1 / latents[IMAGE_SIZE][: len(drawn)].std().item(), 5)
    data = dict(
        scaling_factor=scaling_factor, shown=SHOWN_COUNT,
        square=(latents[IMAGE_SIZE] * scaling_factor, square), wide=(latents[WIDE] * scaling_factor, wide),
    )
    torch.save(data, path)
    return data
