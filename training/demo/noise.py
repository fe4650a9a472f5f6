"""The tie between noise and layout, and the noise levels of the sampler.

With a squared loss the best one-step answer is the mean over all that the prompt leaves open, which is a blur. So nothing is
left open: each number of the layout is the normal quantile of the noise's projection on a fixed pattern. The projections of
normal noise on orthonormal patterns are independent and normal, so noise made for a given layout is normal noise.
"""
import numpy as np
import torch
from diffusers import EulerAncestralDiscreteScheduler

from scenes import LAYOUT

LATENT_SIDE = 32
SCHEDULER = dict(
    beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", num_train_timesteps=1000,
    prediction_type="v_prediction", timestep_spacing="trailing", steps_offset=1,
)


def patterns(side=LATENT_SIDE):
    """Returns the orthonormal patterns [len(LAYOUT), 4 * side * side], each in one latent channel.

    The mean of a channel tells shade or hue, a ramp from top to bottom the fall of light.
    """
    ramp = np.cos(np.pi * (np.arange(side) + 0.5) / side)
    out = np.zeros((len(LAYOUT), 4, side, side), np.float32)
    out[LAYOUT.index("shade"), 3] = 1
    out[LAYOUT.index("gradient"), 0] = ramp[:, None]
    out[LAYOUT.index("hue"), 2] = 1
    flat = torch.from_numpy(out).flatten(1)
    return flat / flat.norm(dim=1, keepdim=True)


PATTERNS = patterns()


def noise_for(layout, generator):
    """Returns noise [batch, 4, 32, 32] whose projections stand for the layouts [batch, len(LAYOUT)]; nan leaves a number to chance."""
    noise = torch.randn(len(layout), PATTERNS.shape[1], generator=generator)
    drawn = noise @ PATTERNS.T
    wanted = torch.special.ndtri(layout.clamp(0.002, 0.998))
    noise += (torch.where(wanted.isnan(), drawn, wanted) - drawn) @ PATTERNS
    return noise.view(-1, 4, LATENT_SIDE, LATENT_SIDE)


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
