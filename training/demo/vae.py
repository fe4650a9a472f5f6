"""Stage 1: the VAE. Trained on crops of renders, then for a short while on whole pictures."""
import time

import numpy as np
import torch
from diffusers import AutoencoderKL
from diffusers.training_utils import EMAModel

from scenes import IMAGE_SIZE, Scene, glyph, place, render
from subjects import SETTINGS, SUBJECTS
from vae_start import start_as_thumbnail

CONFIG = dict(
    block_out_channels=[16, 32, 64, 80], layers_per_block=1, latent_channels=4,
    norm_num_groups=1,  # with 2 channels to a group, as 8 groups of 16 would have, the norm wipes out flat colours
    down_block_types=["DownEncoderBlock2D"] * 4, up_block_types=["UpDecoderBlock2D"] * 4, sample_size=IMAGE_SIZE,
)
# Crops: quick steps, encoder and decoder. Learning rates of 1e-3 and more lose the colours and never find them again.
CROP_STEPS, CROP_HORIZON, CROP_BATCH, CROP, CROP_RATE = 1200, 2800, 6, 64, 5e-4
# Whole pictures: the decoder alone, so that norms and attention meet the statistics they will have.
WHOLE_STEPS, WHOLE_BATCH, WHOLE_RATE = 360, 2, 4e-4
KL_WEIGHT = 5e-4  # strong enough that the decoder forgives small errors of the UNet
EDGE_WEIGHT = 1.0

# Half of the pictures show emoji that are (perhaps) no subjects, so that a new subject needs no new VAE.
RANGES = ((0x1F400, 0x1F43E), (0x1F330, 0x1F37F), (0x1F680, 0x1F6A4), (0x1F980, 0x1F9AF), (0x1F3E0, 0x1F3EF), (0x1F600, 0x1F64F))


def strangers():
    """Returns the emoji of RANGES which the font has."""
    letters = [chr(code) for first, last in RANGES for code in range(first, last + 1)]
    return [letter for letter in letters if glyph(letter)]


def random_picture(rng, letters):
    """Returns a render of any drawing at any place and size on any colour or in a setting, and the drawing's box."""
    names = list(SUBJECTS)
    drawing = SUBJECTS[names[rng.integers(len(names))]][0] if rng.random() < 0.5 else letters[rng.integers(len(letters))]
    side = rng.uniform(72, 215)
    room = max((IMAGE_SIZE - side) / 2, 8)
    item = (drawing, *(IMAGE_SIZE / 2 + rng.uniform(-room, room, 2)), side)
    ground = list(SETTINGS)[rng.integers(len(SETTINGS))] if rng.random() < 0.2 else tuple(rng.integers(0, 256, 3))
    return render(Scene((item,), ground, rng.random())), place(item)


def random_batch(rng, letters, batch, crop):
    """Returns pictures or crops of them, [batch, 3, side, side] in -1..1. Each render gives two crops."""
    out = []
    while len(out) < batch:
        picture, (left, top, width, height) = random_picture(rng, letters)
        for _ in range(2 if crop else 1):
            if crop:
                x = int(np.clip(left + rng.integers(-crop // 2, max(width - crop // 2, 1)), 0, IMAGE_SIZE - crop))
                y = int(np.clip(top + rng.integers(-crop // 2, max(height - crop // 2, 1)), 0, IMAGE_SIZE - crop))
                out.append(picture[y : y + crop, x : x + crop])
            else:
                out.append(picture)
    stack = torch.from_numpy(np.stack(out[:batch])).permute(0, 3, 1, 2)
    return (stack.float() / 127.5 - 1).contiguous(memory_format=torch.channels_last)


def edges(x):
    """Returns the differences to the right and lower neighbours."""
    return x[..., :, 1:] - x[..., :, :-1], x[..., 1:, :] - x[..., :-1, :]


def softened(difference):
    """Returns the absolute difference, rounded off near zero so that flat areas stop pulling once they are right."""
    return (difference.square() + 0.02**2).sqrt() - 0.02


def likeness(decoded, pictures):
    """Returns (loss, mean absolute error) of colours and edges."""
    colour = softened(decoded - pictures).mean()
    edge = sum(softened(a - b).mean() for a, b in zip(edges(decoded), edges(pictures)))
    return colour + EDGE_WEIGHT * edge, colour


def loss_of(vae, pictures):
    """Returns (loss, mean absolute error), the KL term that keeps latents small and smooth included."""
    posterior = vae.encode(pictures).latent_dist
    loss, colour = likeness(vae.decode(posterior.sample()).sample, pictures)
    kl = 0.5 * (posterior.mean.square() + posterior.var - 1 - posterior.logvar).mean()
    return loss + KL_WEIGHT * kl, colour


def decoder_loss_of(vae, pictures):
    """Returns (loss, mean absolute error) of the decoder on noised latents."""
    with torch.no_grad():
        latents = vae.encode(pictures).latent_dist.sample()
    return likeness(vae.decode(latents).sample, pictures)


def learn(module, loss, batches, steps, horizon, rate, name, checkpoint, log):
    """Trains with AdamW and a cosine that would end at the horizon; the module is left with its averaged weights.

    `loss` maps a batch to (loss, error), `batches` maps a step number to a batch. Resumes from the checkpoint file.
    """
    optimizer = torch.optim.AdamW(module.parameters(), lr=rate, betas=(0.9, 0.99), weight_decay=1e-3)
    ema = EMAModel(module.parameters(), decay=0.997 if horizon > 500 else 0.97, use_ema_warmup=True, power=0.75)
    done, started = 0, time.time()
    if checkpoint.exists():
        state = torch.load(checkpoint, weights_only=False)
        module.load_state_dict(state["vae"]), optimizer.load_state_dict(state["optimizer"]), ema.load_state_dict(state["ema"])
        done = state["done"]
    for step in range(done, steps):
        for group in optimizer.param_groups:
            group["lr"] = rate * min((step + 1) / min(100, steps / 5), 1.0) * max(0.5 + 0.5 * np.cos(np.pi * step / horizon), 0.02)
        value, error = loss(batches(step))
        optimizer.zero_grad(set_to_none=True)
        value.backward()
        torch.nn.utils.clip_grad_norm_(module.parameters(), 1.0)
        optimizer.step(), ema.step(module.parameters())
        if step % 20 == 0:
            log(f"{name} step {step} loss {value.item():.4f} l1 {error.item():.4f} {time.time() - started:.0f} s")
        if step % 200 == 199 or step == steps - 1:
            state = dict(vae=module.state_dict(), optimizer=optimizer.state_dict(), ema=ema.state_dict(), done=step + 1)
            torch.save(state, checkpoint)
    ema.copy_to(module.parameters())


def train_vae(work, log):
    """Trains the VAE on crops and returns it (averaged weights). Resumes from work/vae.pt."""
    torch.manual_seed(1)
    vae = AutoencoderKL(**CONFIG).to(memory_format=torch.channels_last)
    start_as_thumbnail(vae)
    compiled, letters = torch.compile(loss_of), strangers()
    batches = lambda step: random_batch(np.random.default_rng((1, step)), letters, CROP_BATCH, CROP)
    learn(vae, lambda pictures: compiled(vae, pictures), batches, CROP_STEPS, CROP_HORIZON, CROP_RATE, "vae", work / "vae.pt", log)
    return vae.eval().requires_grad_(False)


def finish_decoder(work, vae, log):
    """Trains the decoder on whole pictures; the encoder, and with it all stored latents, stays as it is. Resumes from work/decoder.pt."""
    torch.manual_seed(2)
    letters = strangers()
    vae.decoder.requires_grad_(True)
    batches = lambda step: random_batch(np.random.default_rng((2, step)), letters, WHOLE_BATCH, None)
    loss = lambda pictures: decoder_loss_of(vae, pictures)
    learn(vae.decoder, loss, batches, WHOLE_STEPS, WHOLE_STEPS, WHOLE_RATE, "decoder", work / "decoder.pt", log)
    return vae.eval().requires_grad_(False)
