"""The tie between noise and layout, and the noise levels of the sampler.

With a squared loss the best one-step answer is the mean over all that the prompt leaves open, which is a blur. So nothing is
left open: the noise decides the layout, by rules that convolutions can read.
- place: the four 8x8 windows around the middle of latent channel 0; the subject stands in the one with the largest sum.
- size: near where the mean of channel 1 is positive, far where it is negative.
- light: the normal quantile of the mean of channel 3.
Normal noise stays normal noise when windows are exchanged, when a channel is negated, and when a mean that is normal is replaced by
another that is: so noise can be drawn for a wanted layout.
"""
import numpy as np
import torch
from diffusers import EulerAncestralDiscreteScheduler


WINDOW = 8  # latents, two cells of the lowest level
SCHEDULER = dict(
    beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", num_train_timesteps=1000,
    prediction_type="v_prediction", timestep_spacing="trailing", steps_offset=1,
)


def windows(noise):
    """Returns the four windows of noise [..., height, width] as views, in the order of scenes.PLACES."""
    y, x = noise.shape[-2] // 2, noise.shape[-1] // 2
    return [noise[..., top : top + WINDOW, left : left + WINDOW] for top in (y - WINDOW, y) for left in (x - WINDOW, x)]


def set_place(channel, wanted):
    """Changes channel [height, width] in place so that the window of that number has the largest sum."""
    parts = windows(channel)
    largest = max(range(len(parts)), key=lambda i: parts[i].sum().item())
    if largest != wanted:
        kept = parts[wanted].clone()
        parts[wanted].copy_(parts[largest])
        parts[largest].copy_(kept)


def set_side(channel, right):
    """Changes channel [height, width] in place so that the largest sum lies on the wanted side."""
    parts = windows(channel)
    largest = max(range(len(parts)), key=lambda i: parts[i].sum().item())
    if largest % 2 != right:
        for i in (0, 2):
            kept = parts[i].clone()
            parts[i].copy_(parts[i + 1])
            parts[i + 1].copy_(kept)


def noise_for(rules, height, width, generator):
    """Returns noise [batch, 4, height, width] that stands for the rules of a picture.

    Each rule is a dict that may name `place` (0..3), `right` (0 or 1), `near` (0 or 1) and `light` (0..1); the rest is left to chance.
    """
    noise = torch.randn(len(rules), 4, height, width, generator=generator)
    for one, rule in zip(noise, rules):
        if "place" in rule:
            set_place(one[0], rule["place"])
        if "right" in rule:
            set_side(one[0], rule["right"])
        if "near" in rule and (one[1].mean() > 0) != bool(rule["near"]):
            one[1].neg_()
        if "light" in rule:
            quantile = torch.special.ndtri(torch.tensor(rule["light"], dtype=torch.float64).clamp(0.002, 0.998)).float()
            one[3] += quantile / (height * width) ** 0.5 - one[3].mean()
    return noise


def sigma_table():
    """Returns sigma for each of the 1000 timesteps."""
    betas = np.linspace(SCHEDULER["beta_start"] ** 0.5, SCHEDULER["beta_end"] ** 0.5, 1000) ** 2
    kept = np.cumprod(1 - betas)
    return torch.tensor(((1 - kept) / kept) ** 0.5, dtype=torch.float32)


SIGMAS = sigma_table()


def sampler_timesteps(steps):
    """Returns the timesteps at which a sampling of so many steps asks the UNet."""
    scheduler = EulerAncestralDiscreteScheduler(**SCHEDULER)
    scheduler.set_timesteps(steps)
    return [int(t) for t in scheduler.timesteps]


def later_noise(first, fresh, sigma):
    """Returns the unit noise that the ancestral sampler leaves at sigma after its first step: part old, part fresh."""
    up = (1 - (sigma / SIGMAS[999]) ** 2).sqrt()  # sigma_up / sigma
    return up * fresh + (1 - up**2).sqrt() * first
