"""Stage 4d: the last and longest part of the UNet's training, spent where its pictures are worst.

Scenes are drawn by kind (SHARES) and, within a kind, in proportion to the error that their subjects had of late. Each batch joins
the first step of new scenes with a later step of the scenes before, whose first answer is known by then: one pass for both.
"""
import math
import os
import time

import numpy as np
import torch
from diffusers.training_utils import EMAModel

from noise import SIGMAS, later_noise, noise_for
from subjects import COLOURS, SETTINGS
from unet import WIDE_EVERY, draw_later_timesteps, draw_time_ids, encode, predict, prompt_and_rule, weights_of

STEPS, BATCH, RATE, WARM_UP = 9400, 12, 3e-4, 100
SHARES = dict(one=0.42, setting=0.13, pair=0.35, shown=0.09, empty=0.01)  # pairs take longest to learn
UNKNOWN_ERROR, NEWEST_SHARE, WEIGH_EVERY = 0.4, 0.1, 100
EMA_DECAY = 0.995
SAVE_EVERY = 300


def kind_of(scene):
    """Returns the kind of a scene that is not one of SHOWN."""
    first, second, _, ground, _ = scene
    if not first:
        return "empty"
    return "pair" if second else "setting" if ground in SETTINGS else "one"


class Chooser:
    """Chooses stored scenes: by SHARES and by the errors of their subjects, each of which it keeps as a running mean."""

    def __init__(self, scenes, shown):
        self.scenes, self.errors = scenes, {}
        self.kinds = np.array([*map(kind_of, scenes[: len(scenes) - shown]), *["shown"] * shown])
        self.weigh()

    def error_of(self, row):
        """Returns the mean error of late of the subjects of a scene."""
        subjects = [name for name in self.scenes[row][:2] if name]
        return np.mean([self.errors.get((self.kinds[row], name), UNKNOWN_ERROR) for name in subjects] or [UNKNOWN_ERROR])

    def weigh(self):
        """Computes anew how likely each scene is."""
        self.shares = np.zeros(len(self.scenes))
        for kind, share in SHARES.items():
            rows = np.flatnonzero(self.kinds == kind)
            errors = np.array([self.error_of(row) for row in rows])
            self.shares[rows] = share * errors / errors.sum() if len(rows) else 0
        self.shares /= self.shares.sum()

    def choose(self, rng):
        """Returns the numbers of BATCH scenes."""
        return rng.choice(len(self.scenes), BATCH, p=self.shares)

    def learn(self, rows, errors):
        """Takes the errors of scenes into account."""
        for row, error in zip(rows, errors):
            for name in self.scenes[row][:2]:
                if name:
                    key = (self.kinds[row], name)
                    self.errors[key] = self.errors.get(key, error) + NEWEST_SHARE * (error - self.errors.get(key, error))

    def summary(self):
        """Returns the mean error of each kind, as text."""
        means = {kind: [error for (of, _), error in self.errors.items() if of == kind] for kind in SHARES}
        return " ".join(f"{kind} {np.mean(errors):.3f}" for kind, errors in means.items() if errors)


def first_inputs(nets, tokenizers, data, rows, rng, generator):
    """Returns a dict of what the first step sees and what it is to answer; `data` is (latents, scenes)."""
    latents, scenes = data[0][rows], [data[1][row] for row in rows]
    height, width = latents.shape[2:]
    device = nets["unet"].device
    prompts, rules = zip(*(prompt_and_rule(rng, scene) for scene in scenes))
    noise = noise_for(rules, height, width, generator).to(device)
    t = torch.full((len(rows),), 999, device=device)
    with torch.no_grad():
        text = encode(nets, tokenizers, list(prompts))
    return dict(
        latents=latents.to(device), weights=torch.stack([weights_of(scene, width * 8) for scene in scenes]).to(device), noise=noise,
        noisy=SIGMAS.to(device)[t].view(-1, 1, 1, 1) * noise, t=t, text=text, time_ids=draw_time_ids(rng, len(rows), width * 8).to(device),
    )


def later_inputs(before, rng, generator):
    """Returns the same for a later step of the scenes of `before`, which sees their latents mixed with the network's first answer."""
    device, size = before["noisy"].device, len(before["noisy"])
    t = draw_later_timesteps(rng, size).to(device)
    sigma = SIGMAS.to(device)[t].view(-1, 1, 1, 1)
    own = torch.from_numpy(np.clip(rng.random(size) * 2.2 - 0.6, 0, 1).astype(np.float32)).view(-1, 1, 1, 1).to(device)
    known = own * before["answer"] + (1 - own) * before["latents"]
    fresh = torch.randn(known.shape, generator=generator).to(device)
    return {**before, "noisy": known + sigma * later_noise(before["noise"], fresh, sigma), "t": t}


def answer(nets, batches):
    """Returns the denoised latents of batches of inputs, from one pass."""
    joined = {key: torch.cat([batch[key] for batch in batches]) for key in ("noisy", "t", "time_ids")}
    text = [torch.cat([batch["text"][i] for batch in batches]) for i in range(2)]
    told = predict(nets, joined["noisy"], SIGMAS.to(joined["t"].device)[joined["t"]], joined["t"], text, joined["time_ids"])
    return told.split([len(batch["t"]) for batch in batches])


def error_of(batch, told):
    """Returns the weighted error of each picture; later steps count more, up to three times."""
    sigma = SIGMAS.to(told.device)[batch["t"]].view(-1, 1, 1, 1)
    urgency = torch.where(batch["t"].view(-1, 1, 1, 1) == 999, 1, (1 + 1 / sigma**2).clamp(max=3))
    return (urgency * batch["weights"] * (told - batch["latents"]).square()).mean(dim=(1, 2, 3))


def practise(work, nets, data, tokenizers, log, export, steps=STEPS):
    """Trains the UNet in place and leaves it with its averaged weights. Resumes from work/practise.pt; exports at each checkpoint."""
    unet = nets["unet"].requires_grad_(True)
    nets["text_encoder"].requires_grad_(False), nets["text_encoder_2"].requires_grad_(False)
    optimizer = torch.optim.AdamW(unet.parameters(), lr=RATE, betas=(0.9, 0.99), weight_decay=0.01)
    ema = EMAModel(unet.parameters(), decay=EMA_DECAY, use_ema_warmup=True, power=0.75)
    choosers = {kind: Chooser(data[kind][1], data["shown"] if kind == "square" else 0) for kind in ("square", "wide")}
    checkpoint, done, before, seen, started = work / "practise.pt", 0, {}, [], time.time()
    if checkpoint.exists():
        state = torch.load(checkpoint, map_location=unet.device, weights_only=False)
        nets.load_state_dict(state["nets"]), optimizer.load_state_dict(state["optimizer"]), ema.load_state_dict(state["ema"])
        done = state["done"]
    for step in range(done, steps):
        for group in optimizer.param_groups:
            group["lr"] = RATE * min((step + 1) / WARM_UP, 1) * max(1 - step / steps, 0.01)
        rng, generator = np.random.default_rng((7, step)), torch.Generator().manual_seed(7 * 10**6 + step)
        kind = "wide" if step % WIDE_EVERY == WIDE_EVERY - 1 else "square"
        rows = choosers[kind].choose(rng)
        new = first_inputs(nets, tokenizers, data[kind], rows, rng, generator)
        batches = [new, later_inputs(before[kind], rng, generator)] if kind in before else [new]
        answers = answer(nets, batches)
        errors = [error_of(batch, told) for batch, told in zip(batches, answers)]
        optimizer.zero_grad(set_to_none=True)
        sum(error.mean() for error in errors).backward()
        torch.nn.utils.clip_grad_norm_(unet.parameters(), 1.0)
        optimizer.step(), ema.step(unet.parameters())
        before[kind] = {**new, "answer": answers[0].detach()}
        choosers[kind].learn(rows, errors[0].tolist())
        seen.append([error.mean().item() for error in errors] if len(errors) == 2 else [errors[0].mean().item(), math.nan])
        if step % 50 == 49:
            first, later = np.nanmean(seen, axis=0)
            log(f"practise step {step + 1} first {first:.4f} later {later:.4f} {choosers['square'].summary()} {time.time() - started:.0f} s")
            seen = []
        if step % WEIGH_EVERY == WEIGH_EVERY - 1:
            for chooser in choosers.values():
                chooser.weigh()
        if step % SAVE_EVERY == SAVE_EVERY - 1 or step == steps - 1:
            state = dict(nets=nets.state_dict(), optimizer=optimizer.state_dict(), ema=ema.state_dict(), done=step + 1)
            torch.save(state, f"{checkpoint}.part")
            os.replace(f"{checkpoint}.part", checkpoint)
            ema.store(unet.parameters()), ema.copy_to(unet.parameters())
            export(nets)
            ema.restore(unet.parameters())
    ema.copy_to(unet.parameters())
    return nets.eval()
