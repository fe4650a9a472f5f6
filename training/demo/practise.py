"""Stage 4d: the last and longest part of the UNet's training, spent where its pictures are worst.

Scenes are drawn by kind (SHARES) and, within a kind, in proportion to the error that their subjects had of late. Each batch joins
the first step of new scenes with a later step of the scenes before, whose first answer is known by then: one pass for both.
The text encoders go on to learn here, from what the pictures lack.
"""
import math
import time

import numpy as np
import torch
from diffusers.training_utils import EMAModel

from subjects import SETTINGS
from unet import BATCH, answer, error_of, first_inputs, keep, kind_of_step, later_inputs, take_up

STEPS, RATE, TEXT_RATE, WARM_UP = 9400, 3e-4, 1e-4, 100
SHARES = dict(one=0.36, setting=0.14, pair=0.4, shown=0.09, empty=0.01)  # pairs take longest to learn
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


def practise(work, nets, data, tokenizers, log, export, steps=STEPS):
    """Trains the networks in place and leaves them with averaged weights. Resumes from work/practise.pt; exports at each checkpoint."""
    nets.requires_grad_(True)
    groups = [dict(params=list(net.parameters()), peak=RATE if name == "unet" else TEXT_RATE) for name, net in nets.items()]
    parameters = [parameter for group in groups for parameter in group["params"]]
    optimizer = torch.optim.AdamW(groups, betas=(0.9, 0.99), weight_decay=0.01)
    ema = EMAModel(parameters, decay=EMA_DECAY, use_ema_warmup=True, power=0.75)
    choosers = {kind: Chooser(data[kind][1], data["shown"] if kind == "square" else 0) for kind in ("square", "wide")}
    checkpoint, done, before, seen, started = work / "practise.pt", 0, {}, [], time.time()
    if checkpoint.exists():
        done = take_up(checkpoint, nets, optimizer, ema)
    for step in range(done, steps):
        for group in optimizer.param_groups:
            group["lr"] = group["peak"] * min((step + 1) / WARM_UP, 1) * max(1 - step / steps, 0.01)
        rng, generator = np.random.default_rng((7, step)), torch.Generator().manual_seed(7 * 10**6 + step)
        kind = kind_of_step(step)
        rows = choosers[kind].choose(rng)
        new = first_inputs(nets, tokenizers, data[kind], rows, rng, generator)
        batches = [new, later_inputs(before[kind], rng, generator)] if kind in before else [new]
        answers = answer(nets, batches)
        errors = [error_of(batch, told) for batch, told in zip(batches, answers)]
        optimizer.zero_grad(set_to_none=True)
        sum(error.mean() for error in errors).backward()
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step(), ema.step(parameters)
        before[kind] = {**new, "answer": answers[0].detach(), "text": [part.detach() for part in new["text"]]}
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
            keep(checkpoint, nets, optimizer, ema, step + 1, export, averaged=tuple(nets))
    ema.copy_to(parameters)
    return nets.eval()
