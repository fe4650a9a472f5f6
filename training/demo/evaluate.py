"""Counts how often the judge finds the asked subject and colour in the model's pictures, on held-out wordings.

Usage: python evaluate.py MODEL_DIR [--steps 1 4] [--count 200]
"""
import argparse
import pathlib

import numpy as np
import torch

from classifier import accuracy_on_renders, classify, load_classifier, shrink
from prompts import held_out_prompt
from sheet import draw, load
from subjects import COLOURS, SUBJECTS

BATCH = 20
FIRST_SEED = 1000


def held_out(count):
    """Returns (prompt, subject number, colour number) for each picture; subjects and colours take turns."""
    rng, names, colours = np.random.default_rng(7), list(SUBJECTS), list(COLOURS)
    rows = [(i % len(names), (i // len(names) + 5 * i) % len(colours)) for i in range(count)]
    return [(held_out_prompt(rng, names[s], colours[c]), s, c) for s, c in rows]


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model")
    parser.add_argument("--steps", type=int, nargs="+", default=[1, 4])
    parser.add_argument("--count", type=int, default=200)
    args = parser.parse_args()
    torch.set_num_threads(2)
    weights, pipe, asked = load_classifier(pathlib.Path(__file__).parent), load(args.model), held_out(args.count)
    print("renders: subject {:.3f} colour {:.3f}".format(*accuracy_on_renders(weights)))
    for steps in args.steps:
        subjects, colours = [], []
        for start in range(0, args.count, BATCH):
            images = draw(pipe, [prompt for prompt, _, _ in asked[start : start + BATCH]], steps, FIRST_SEED + start)
            found = classify(weights, shrink(np.stack([np.asarray(image) for image in images])))
            subjects += found[0].tolist()
            colours += found[1].tolist()
        right_s = [found == s for found, (_, s, _) in zip(subjects, asked)]
        right_c = [found == c for found, (_, _, c) in zip(colours, asked)]
        print(f"{steps} steps: subject {np.mean(right_s):.3f} colour {np.mean(right_c):.3f}")
        missed = [prompt for prompt, s, c in zip((a[0] for a in asked), right_s, right_c) if not (s and c)]
        print("  missed:", missed[:8])


if __name__ == "__main__":
    main()
