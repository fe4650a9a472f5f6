"""Stage 4a: the text encoders learn to tell what a prompt asks for, before the UNet has to listen to them.

Trained together with the UNet from the start they never learn the subjects: a picture of the mean subject costs so little that
nothing pulls at the text. A classifier of subject and colour does; its heads are thrown away.
"""
import time

import numpy as np
import torch
import torch.nn.functional as F

from prompts import train_prompt
from subjects import COLOURS, SUBJECTS

BATCH = 64
RATE = 2e-3
NAMED = 0.85  # share of the prompts that name the colour
EMPTY = 0.04  # share of the prompts without a subject


def train_text(nets, tokenizers, log, steps=700):
    """Trains text_encoder and text_encoder_2 in place to hold subject and colour where the UNet reads them."""
    subjects, colours = [*SUBJECTS, None], [*COLOURS, None]
    width = nets["text_encoder"].config.hidden_size + nets["text_encoder_2"].config.hidden_size
    pooled_width = nets["text_encoder_2"].config.projection_dim
    heads = torch.nn.ModuleList(torch.nn.Linear(w, len(names)) for w in (width, pooled_width) for names in (subjects, colours))
    encoders = [nets["text_encoder"], nets["text_encoder_2"]]
    parameters = [*encoders[0].parameters(), *encoders[1].parameters(), *heads.parameters()]
    optimizer, started, right = torch.optim.AdamW(parameters, lr=RATE, betas=(0.9, 0.99), weight_decay=0.01), time.time(), []
    for step in range(steps):
        for group in optimizer.param_groups:
            group["lr"] = RATE * min((step + 1) / 50, 1) * max(1 - step / steps, 0.02)
        rng = np.random.default_rng((5, step))
        wanted = [(rng.integers(len(SUBJECTS)) if rng.random() > EMPTY else len(SUBJECTS), rng.integers(len(COLOURS)) if rng.random() < NAMED else len(COLOURS)) for _ in range(BATCH)]
        texts = [train_prompt(rng, subjects[s], colours[c]) for s, c in wanted]
        target = torch.tensor(wanted)
        ids = [t(texts, padding=True, truncation=True, max_length=77, return_tensors="pt").input_ids for t in tokenizers]
        one = encoders[0](ids[0], output_hidden_states=True)
        two = encoders[1](ids[1], output_hidden_states=True)
        rows, ends = torch.arange(BATCH), ids[1].argmax(dim=1)  # the end-of-text token has the largest id
        hidden = torch.cat([one.hidden_states[-2][rows, ends], two.hidden_states[-2][rows, ends]], dim=-1)
        guesses = [head(x) for head, x in zip(heads, (hidden, hidden, two.text_embeds, two.text_embeds))]
        loss = sum(F.cross_entropy(guess, target[:, i % 2]) for i, guess in enumerate(guesses))
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        right.append([(guess.argmax(1) == target[:, i % 2]).float().mean().item() for i, guess in enumerate(guesses)])
        if step % 100 == 99 or step == steps - 1:
            log(f"text step {step + 1} loss {loss.item():.3f} right {np.mean(right[-50:], axis=0).round(3)} {time.time() - started:.0f} s")
