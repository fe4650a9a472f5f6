"""Stage 4b: the UNet's lowest level learns to read noise and text and to draw, before the upper levels have to refine it.

Trained as a whole from the start, the UNet drew a blur in the middle for a thousand steps: as long as it does not know the place it
cannot learn the subjects, and without subjects the place is worth little. The lowest level alone is quick to train, first down to the
middle block, which tells a thumbnail and where the subjects are, then to the end of the level, which tells the latents, 4x4 to a cell.
The heads that tell are thrown away.
"""
import math
import time

import numpy as np
import torch
import torch.nn.functional as F

CELL = 4  # latents to a side of one cell of the lowest level
BATCH = 16
THUMBNAIL_STEPS, PATCH_STEPS, RATE = 2400, 4000, 1e-3


class Reached(Exception):
    """The forward pass has come as far as it is needed."""


def output_of(module, unet, noise, text, time_ids):
    """Returns what a module of the UNet makes of the noise [batch, channels, height, width], at the first sampling step."""
    kept = []

    def stop(module, inputs, output):
        kept.append(output if isinstance(output, torch.Tensor) else output[0])
        raise Reached

    hook = module.register_forward_hook(stop)
    try:
        timesteps = torch.full((len(noise),), 999, device=noise.device)
        unet(noise.contiguous(memory_format=torch.channels_last), timesteps, text[0], added_cond_kwargs=dict(text_embeds=text[1], time_ids=time_ids))
    except Reached:
        return kept[0]
    finally:
        hook.remove()


def learn(unet, module, outputs, error_of, draw, steps, rate_at, name, log):
    """Trains the UNet up to a module, in place. `error_of(told, latents, weights)` maps a head's [batch, outputs, h, w] to an error.

    `draw(step, batch)` gives latents, error weights, noise, text and time ids; `rate_at(step)` the learning rate.
    """
    head = torch.nn.Conv2d(unet.config.block_out_channels[-1], outputs, 1, device=unet.device)
    used, started, errors = [*unet.parameters(), *head.parameters()], time.time(), []  # those that get no gradient stay as they are
    optimizer = torch.optim.AdamW(used, lr=RATE, betas=(0.9, 0.99), weight_decay=0.01)
    for step in range(steps):
        for group in optimizer.param_groups:
            group["lr"] = rate_at(step)
        latents, weights, *inputs = draw(step, BATCH)
        error = error_of(head(output_of(module, unet, *inputs)), latents, weights)
        optimizer.zero_grad(set_to_none=True)
        error.backward()
        torch.nn.utils.clip_grad_norm_(used, 1.0)
        optimizer.step()
        errors.append(error.item())
        if step % 100 == 99:
            log(f"{name} step {step + 1} error {np.mean(errors[-100:]):.4f} {time.time() - started:.0f} s")


def thumbnail_error(told, latents, weights):
    """Returns the error of the mean latents of each cell and of the share of it that subjects cover."""
    covered = F.avg_pool2d((weights > 1).float(), CELL)
    return (told[:, :4] - F.avg_pool2d(latents, CELL)).square().mean() + F.binary_cross_entropy_with_logits(told[:, 4:], covered)


def patch_error(told, latents, weights):
    """Returns the weighted error of the latents."""
    return (weights * (F.pixel_shuffle(told, CELL) - latents).square()).mean()


def train_thumbnail(unet, draw, log, steps=THUMBNAIL_STEPS):
    """Trains the UNet down to its middle block."""
    learn(unet, unet.mid_block, 5, thumbnail_error, draw, steps, lambda step: RATE * min((step + 1) / 50, 1), "thumbnail", log)


def train_patches(unet, draw, log, steps=PATCH_STEPS):
    """Trains the UNet to the end of its lowest level."""
    rate_at = lambda step: RATE * min((step + 1) / 50, 1) * max(0.5 + 0.5 * math.cos(math.pi * step / steps), 0.05)
    learn(unet, unet.up_blocks[0].attentions[-1], 4 * CELL**2, patch_error, draw, steps, rate_at, "patches", log)
