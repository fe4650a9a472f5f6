"""Counts how often the judge finds the asked subject and colour in the model's pictures, on held-out wordings.

Usage: python evaluate.py MODEL_DIR [--steps 1 4] [--count 400]

Asks for a subject on a plain colour, every fifth time for two.
"""
import argparse
import pathlib

import numpy as np
import torch

from classifier import accuracy_on_renders, all_found, classify, load_classifier, shrink
from prompts import held_out_prompt
from scenes import relation_of
from sheet import draw, load
from subjects import COLOURS, SUBJECTS

BATCH = 20
FIRST_SEED = 1000
PAIR_EVERY = 5  # every fifth prompt asks for two subjects


def held_out(count):
    """Returns (prompt, subject names, colour number) for each picture; subjects and colours take turns."""
    rng, names, colours, rows = np.random.default_rng(7), list(SUBJECTS), list(COLOURS), []
    for i in range(count):
        first, colour = names[i % len(names)], (i // len(names) + 5 * i) % len(colours)
        second = names[(i + 1 + rng.integers(len(names) - 1)) % len(names)] if i % PAIR_EVERY == PAIR_EVERY - 1 else None
        relation = relation_of(first, second) if second else "beside"
        rows.append((held_out_prompt(rng, first, second, relation, list(COLOURS)[colour]), [name for name in (first, second) if name], colour))
    return rows


def judge(weights, pipe, asked, steps):
    """Returns (subjects all found [count], colour right [count]) of the pictures of held-out prompts."""
    names, right_subjects, right_colours = list(SUBJECTS), [], []
    for start in range(0, len(asked), BATCH):
        rows = asked[start : start + BATCH]
        images = draw(pipe, [prompt for prompt, _, _ in rows], steps, FIRST_SEED + start)
        logits, colours = classify(weights, shrink(np.stack([np.asarray(image) for image in images])))
        present = torch.tensor([[float(name in subjects) for name in names] for _, subjects, _ in rows])
        right_subjects += all_found(logits, present).tolist()
        right_colours += (colours == torch.tensor([colour for _, _, colour in rows])).tolist()
    return np.array(right_subjects), np.array(right_colours)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model")
    parser.add_argument("--steps", type=int, nargs="+", default=[1, 4])
    parser.add_argument("--count", type=int, default=400)
    args = parser.parse_args()
    torch.set_num_threads(2)
    weights, pipe, asked = load_classifier(pathlib.Path(__file__).parent), load(args.model), held_out(args.count)
    print("renders: subjects {:.3f} colour {:.3f}".format(*accuracy_on_renders(weights)))
    single = np.array([len(subjects) == 1 for _, subjects, _ in asked])
    for steps in args.steps:
        subjects, colours = judge(weights, pipe, asked, steps)
        print(f"{steps} steps, {args.count} prompts: subjects {subjects.mean():.3f} colour {colours.mean():.3f}")
        print(f"  one subject {subjects[single].mean():.3f}, two subjects both {subjects[~single].mean():.3f}")
        print("  missed:", [row[0] for row, s, c in zip(asked, subjects, colours) if not (s and c)][:12])


if __name__ == "__main__":
    main()
