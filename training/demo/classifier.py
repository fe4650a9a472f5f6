"""The judge of the evaluation: a small CNN trained on renders, which the generator never sees.

classifier.safetensors + classifier.json can be run without Python: four times (3x3 convolution, stride 2, zero padding 1, ReLU)
on a 64x64 picture (RGB 0..1), the mean over all places, one matrix. Input pictures are reduced to 64x64 by averaging.
"""
import json

import numpy as np
import torch
import torch.nn as nn
from safetensors.torch import load_file, save_file

from latents import draw_scene
from scenes import render, scene_of
from subjects import COLOURS, SUBJECTS

SIDE, WIDTHS = 64, (24, 48, 96, 128)
RENDERS, EPOCHS, BATCH = 10000, 16, 64


def shrink(pictures):
    """Returns uint8 pictures [batch, h, w, 3] as float [batch, 3, 64, 64] in 0..1."""
    return nn.functional.adaptive_avg_pool2d(torch.from_numpy(np.asarray(pictures)).permute(0, 3, 1, 2).float() / 255, SIDE)


def build():
    """Returns the untrained network."""
    layers, last = [], 3
    for width in WIDTHS:
        layers += [nn.Conv2d(last, width, 3, 2, 1, bias=False), nn.BatchNorm2d(width), nn.ReLU()]
        last = width
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(last, len(SUBJECTS) + len(COLOURS)))


def draw_renders(seed, count):
    """Returns (pictures [count, 3, 64, 64], subjects in them [count, subjects] as 0 or 1, colour numbers or -1 in a setting)."""
    rng, names, colours = np.random.default_rng(seed), list(SUBJECTS), list(COLOURS)
    pictures, present, grounds = [], torch.zeros(count, len(names)), []
    for i in range(count):
        first, second, relation, ground, layout = draw_scene(rng, i)
        pictures.append((shrink(render(scene_of(first, second, relation, ground, layout))[None]) * 255).round().to(torch.uint8))
        for name in (first, second):
            if name:
                present[i, names.index(name)] = 1
        grounds.append(colours.index(ground) if ground in COLOURS else -1)
    return torch.cat(pictures).float() / 255, present, torch.tensor(grounds)


def train_classifier(folder, log):
    """Trains the judge and writes classifier.safetensors and classifier.json; logs its accuracy on fresh renders."""
    torch.manual_seed(5)
    pictures, present, grounds = draw_renders(5, RENDERS)
    net = build()
    steps = EPOCHS * RENDERS // BATCH
    optimizer = torch.optim.AdamW(net.parameters(), lr=4e-3, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 4e-3, total_steps=steps)
    for _ in range(steps):
        rows = torch.randint(RENDERS, (BATCH,))
        noisy = pictures[rows] + torch.randn(BATCH, 3, SIDE, SIDE) * 0.03
        out = net(noisy)
        subjects, colours = out.split((len(SUBJECTS), len(COLOURS)), dim=1)
        loss = 10 * nn.functional.binary_cross_entropy_with_logits(subjects, present[rows])
        loss = loss + nn.functional.cross_entropy(colours, grounds[rows], ignore_index=-1)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step(), schedule.step()
    weights = fold(net.eval())
    save_file(weights, folder / "classifier.safetensors")
    about = dict(input="RGB 0..1, 64x64, reduced by averaging", convolutions=len(WIDTHS), kernel=3, stride=2, padding=1, activation="relu",
                 pooling="mean", subjects=list(SUBJECTS), colours=list(COLOURS), outputs="logits: the subjects (each there or not), then the colours (one of them)")
    (folder / "classifier.json").write_text(json.dumps(about, indent=2) + "\n")
    log("classifier on fresh renders: subject {:.3f} colour {:.3f}".format(*accuracy_on_renders(weights)))


def fold(net):
    """Returns the weights with each batch norm folded into its convolution."""
    weights = {}
    for i in range(len(WIDTHS)):
        conv, norm = net[3 * i], net[3 * i + 1]
        gain = norm.weight / (norm.running_var + norm.eps).sqrt()
        weights[f"conv{i}.weight"] = (conv.weight * gain.view(-1, 1, 1, 1)).detach().contiguous()
        weights[f"conv{i}.bias"] = (norm.bias - norm.running_mean * gain).detach()
    return weights | {"head.weight": net[-1].weight.detach(), "head.bias": net[-1].bias.detach()}


def classify(weights, pictures):
    """Returns (subject logits [batch, subjects], colour numbers [batch]) of pictures [batch, 3, 64, 64]."""
    x = pictures
    for i in range(len(WIDTHS)):
        x = nn.functional.conv2d(x, weights[f"conv{i}.weight"], weights[f"conv{i}.bias"], stride=2, padding=1).relu()
    out = x.mean((2, 3)) @ weights["head.weight"].T + weights["head.bias"]
    return out[:, : len(SUBJECTS)], out[:, len(SUBJECTS) :].argmax(1)


def all_found(logits, present):
    """Returns, for each picture, whether its n subjects are the n that the judge finds likeliest; `present` is [batch, subjects], 0 or 1."""
    found = [set(row.topk(int(there.sum())).indices.tolist()) for row, there in zip(logits, present)]
    return torch.tensor([one == set(there.nonzero().flatten().tolist()) for one, there in zip(found, present)])


def accuracy_on_renders(weights, count=800):
    """Returns the shares of fresh renders whose subjects and colour the judge names rightly: the most a generator can score."""
    pictures, present, grounds = draw_renders(6, count)
    logits, colours = classify(weights, pictures)
    some, coloured = present.sum(1) > 0, grounds >= 0
    return all_found(logits[some], present[some]).float().mean().item(), (colours == grounds)[coloured].float().mean().item()


def load_classifier(folder):
    """Returns the judge's weights."""
    return load_file(folder / "classifier.safetensors")


