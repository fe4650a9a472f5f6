"""Stage 4a: the text encoders learn to tell what a prompt asks for, before the UNet has to listen to them.

Trained together with the UNet from the start they never learn the subjects: a picture of the mean subject costs so little that
nothing pulls at the text. A classifier of the subjects, their relation and the background does; its heads are thrown away.
"""
import time

import numpy as np
import torch
import torch.nn.functional as F

from latents import draw_scene
from prompts import train_prompt
from scenes import RELATIONS
from subjects import COLOURS, SETTINGS, SUBJECTS

BATCH = 64
STEPS = 1600
RATE = 2e-3
NAMED = 0.85  # share of the coloured scenes whose prompt names the colour
WANTED = ([*SUBJECTS, None], [*SUBJECTS, None], RELATIONS, [*COLOURS, *SETTINGS, None])  # what the heads tell: first, second, relation, ground


def draw_prompts(rng, count):
    """Returns prompts and, for each, the numbers of its first and second subject, relation and ground in WANTED."""
    texts, numbers = [], []
    for _ in range(count):
        first, second, relation, ground, _ = draw_scene(rng, rng.integers(len(SUBJECTS)))
        if ground in COLOURS and rng.random() > NAMED:
            ground = None
        texts.append(train_prompt(rng, first, second, relation, ground))
        numbers.append([names.index(name) for names, name in zip(WANTED, (first, second, relation, ground))])
    return texts, torch.tensor(numbers)


def train_text(nets, tokenizers, log, steps=STEPS):
    """Trains text_encoder and text_encoder_2 in place to hold what the prompt asks for where the UNet reads it."""
    width = nets["text_encoder"].config.hidden_size + nets["text_encoder_2"].config.hidden_size
    pooled_width = nets["text_encoder_2"].config.projection_dim
    heads = torch.nn.ModuleList(torch.nn.Linear(w, len(names)) for w in (width, pooled_width) for names in WANTED)
    encoders = [nets["text_encoder"], nets["text_encoder_2"]]
    device = encoders[0].device
    heads.to(device)
    parameters = [*encoders[0].parameters(), *encoders[1].parameters(), *heads.parameters()]
    optimizer, started, right = torch.optim.AdamW(parameters, lr=RATE, betas=(0.9, 0.99), weight_decay=0.01), time.time(), []
    for step in range(steps):
        for group in optimizer.param_groups:
            group["lr"] = RATE * min((step + 1) / 50, 1) * max(1 - step / steps, 0.02)
        texts, target = draw_prompts(np.random.default_rng((5, step)), BATCH)
        target = target.to(device)
        ids = [t(texts, padding=True, truncation=True, max_length=77, return_tensors="pt").input_ids.to(device) for t in tokenizers]
        one = encoders[0](ids[0], output_hidden_states=True)
        two = encoders[1](ids[1], output_hidden_states=True)
        rows, ends = torch.arange(BATCH, device=device), ids[1].argmax(dim=1)  # the end-of-text token has the largest id
        hidden = torch.cat([one.hidden_states[-2][rows, ends], two.hidden_states[-2][rows, ends]], dim=-1)
        guesses = [head(hidden if i < len(WANTED) else two.text_embeds) for i, head in enumerate(heads)]
        loss = sum(F.cross_entropy(guess, target[:, i % len(WANTED)]) for i, guess in enumerate(guesses))
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
        right.append([(guess.argmax(1) == target[:, i % len(WANTED)]).float().mean().item() for i, guess in enumerate(guesses)])
        if step % 100 == 99 or step == steps - 1:
            log(f"text step {step + 1} loss {loss.item():.3f} right {np.mean(right[-50:], axis=0).round(3)} {time.time() - started:.0f} s")
