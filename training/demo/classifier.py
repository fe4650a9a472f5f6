"""The judge of the evaluation: a small CNN trained on renders, which the generator never sees.

classifier.safetensors + classifier.json can be run without Python: four times (3x3 convolution, stride 2, zero padding 1, ReLU)
on a 64x64 picture (RGB 0..1), the mean over all places, one matrix. Input pictures are reduced to 64x64 by averaging.
"""
import json

import numpy as np
import torch
import torch.nn as nn
from safetensors.torch import load_file, save_file

from latents import draw_scene, picture_of
from subjects import COLOURS, SUBJECTS

SIDE, WIDTHS = 64, (16, 32, 64, 64)
RENDERS, EPOCHS, BATCH = 6000, 14, 64


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
    """Returns (pictures [count, 3, 64, 64], subject numbers, colour numbers)."""
    rng, names, colours = np.random.default_rng(seed), list(SUBJECTS), list(COLOURS)
    scenes = []
    while len(scenes) < count:
        scene = draw_scene(rng, len(scenes))
        if scene[0]:
            scenes.append(scene)
    pictures = torch.cat([shrink(picture_of(*scene)[None]) for scene in scenes])
    return pictures, torch.tensor([names.index(s) for s, _, _ in scenes]), torch.tensor([colours.index(c) for _, c, _ in scenes])


def train_classifier(folder, log):
    """Trains the judge and writes classifier.safetensors and classifier.json; logs its accuracy on fresh renders."""
    torch.manual_seed(5)
    pictures, subjects, colours = draw_renders(5, RENDERS)
    net = build()
    steps = EPOCHS * RENDERS // BATCH
    optimizer = torch.optim.AdamW(net.parameters(), lr=4e-3, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 4e-3, total_steps=steps)
    for _ in range(steps):
        rows = torch.randint(RENDERS, (BATCH,))
        noisy = pictures[rows] + torch.randn(BATCH, 3, SIDE, SIDE) * 0.03
        out = net(noisy)
        split = out.split((len(SUBJECTS), len(COLOURS)), dim=1)
        loss = nn.functional.cross_entropy(split[0], subjects[rows]) + nn.functional.cross_entropy(split[1], colours[rows])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step(), schedule.step()
    weights = fold(net.eval())
    save_file(weights, folder / "classifier.safetensors")
    about = dict(input="RGB 0..1, 64x64, reduced by averaging", convolutions=len(WIDTHS), kernel=3, stride=2, padding=1, activation="relu",
                 pooling="mean", subjects=list(SUBJECTS), colours=list(COLOURS), outputs="logits: the subjects, then the colours")
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
    """Returns (subject numbers, colour numbers) of pictures [batch, 3, 64, 64]."""
    x = pictures
    for i in range(len(WIDTHS)):
        x = nn.functional.conv2d(x, weights[f"conv{i}.weight"], weights[f"conv{i}.bias"], stride=2, padding=1).relu()
    out = x.mean((2, 3)) @ weights["head.weight"].T + weights["head.bias"]
    return out[:, : len(SUBJECTS)].argmax(1), out[:, len(SUBJECTS) :].argmax(1)


def accuracy_on_renders(weights, count=600):
    """Returns the shares of fresh renders whose subject and colour the judge names rightly: the most a generator can score."""
    pictures, subjects, colours = draw_renders(6, count)
    found = classify(weights, pictures)
    return (found[0] == subjects).float().mean().item(), (found[1] == colours).float().mean().item()


def load_classifier(folder):
    """Returns the judge's weights."""
    return load_file(folder / "classifier.safetensors")


