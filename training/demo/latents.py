"""Stage 3: renders of known layout, encoded once with the finished VAE."""
import numpy as np
import torch

from scenes import LAYOUT, background_only, colour_of_hue, render, scene_of
from subjects import COLOURS, SUBJECTS

COUNT = 1120
EMPTY = 0.04  # share of scenes without a subject, for prompts that name none
BATCH = 8


def draw_scene(rng, i):
    """Returns (subject or None, colour, layout); subjects and colours take turns. The hue of the layout lands on the colour."""
    names, colours = list(SUBJECTS), list(COLOURS)
    subject = None if rng.random() < EMPTY else names[i % len(names)]
    place = rng.integers(len(colours))
    layout = rng.random(len(LAYOUT))
    layout[LAYOUT.index("hue")] = (place + layout[-1]) / len(colours)
    assert colour_of_hue(layout[-1]) == colours[place]
    return subject, colours[place], layout.astype(np.float32)


def picture_of(subject, colour, layout):
    """Returns the render of a drawn scene, uint8 [256, 256, 3]."""
    return render(scene_of(subject, colour, layout)) if subject else background_only(colour, layout)


@torch.no_grad()
def store_latents(work, vae, log):
    """Returns dict(latents, layouts, subjects, colours, scaling_factor), from work/latents.pt if it is there. Latents are scaled."""
    path = work / "latents.pt"
    if path.exists():
        return torch.load(path, weights_only=False)
    rng, scenes, parts = np.random.default_rng(3), [], []
    encode = vae.encode
    for start in range(0, COUNT, BATCH):
        batch = [draw_scene(rng, i) for i in range(start, min(start + BATCH, COUNT))]
        pictures = torch.from_numpy(np.stack([picture_of(*scene) for scene in batch])).permute(0, 3, 1, 2).float() / 127.5 - 1
        parts.append(encode(pictures.contiguous(memory_format=torch.channels_last)).latent_dist.mean.contiguous())
        scenes += batch
        if start % 400 == 0:
            log(f"latents {start} of {COUNT}")
    latents = torch.cat(parts)
    scaling_factor = round(1 / latents.std().item(), 5)
    data = dict(
        latents=latents * scaling_factor, scaling_factor=scaling_factor, subjects=[s for s, _, _ in scenes],
        colours=[c for _, c, _ in scenes], layouts=torch.from_numpy(np.stack([layout for _, _, layout in scenes])),
    )
    torch.save(data, path)
    return data
