"""Draws a contact sheet of the model through the diffusers pipeline.

Usage: python sheet.py MODEL_DIR OUT.png [--steps 1 4] [--seed 0] [--size 256]
"""
import argparse

import torch
from diffusers import StableDiffusionXLPipeline
from PIL import Image

# What it is good at, each of subjects.FOCUS and every colour; then one prompt with ten seeds; then the ten prompts that such models are
# usually shown with.
PROMPTS = (
    "a panda on a blue background", "a dog on a red background", "green background, cat", "a raccoon in front of a yellow wall",
    "robot, purple background", "an apple on a white background", "an astronaut, black background, 8k", "a horse on pink",
    "an octopus on an orange background", "a tree on a turquoise background", "gray background with a car", "yellow sky behind a motorcycle",
    "a house on a green background", "a fox on a blue background, digital art", "cottage in front of a gray wall", "a cosmonaut on red",
    "an oak on a pink background", "Red sky, a kitten", "a cat", "highly detailed puppy, 8k",
    *["a panda on a blue background"] * 10,
    "A panda listening to music with headphones. highly detailed, 8k.", "A dog listening to music with headphones. highly detailed, 8k.",
    "A robot cat eating spaghetti, digital art, 8k.", "A large blob of exploding splashing rainbow paint, with an apple emerging, 8k.",
    "An astronaut riding a galloping horse, 8k.", "A family of raccoons living in a small cabin, tilt shift, arc shot, 8k.",
    "A tree walking through the forest, tilt shift, 8k.", "An octopus attacks New York, 8k.",
    "Motorcyclist on a racing track, highly detailed, 8k.", "Humans building a highway on Mars, cinematic, 8k.",
)


def load(folder):
    """Returns the pipeline in fp32, silent."""
    pipe = StableDiffusionXLPipeline.from_pretrained(folder, torch_dtype=torch.float32)
    pipe.set_progress_bar_config(disable=True)
    return pipe


def draw(pipe, prompts, steps, first_seed=0, size=256):
    """Returns one PIL image per prompt, with seeds first_seed, first_seed + 1, ..."""
    generators = [torch.Generator().manual_seed(first_seed + i) for i in range(len(prompts))]
    return pipe(list(prompts), num_inference_steps=steps, guidance_scale=0.0, height=size, width=size, generator=generators).images


def tile(images, columns, side):
    """Returns the images in rows of so many columns."""
    sheet = Image.new("RGB", (columns * side, -(-len(images) // columns) * side))
    for i, image in enumerate(images):
        sheet.paste(image.resize((side, side), Image.LANCZOS), (i % columns * side, i // columns * side))
    return sheet


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model"), parser.add_argument("out")
    parser.add_argument("--steps", type=int, nargs="+", default=[4])
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--side", type=int, default=128, help="side of each picture on the sheet")
    parser.add_argument("--columns", type=int, default=10)
    args = parser.parse_args()
    pipe, images = load(args.model), []
    for steps in args.steps:
        images += draw(pipe, PROMPTS, steps, args.seed, args.size)
    tile(images, args.columns, args.side).save(args.out)


if __name__ == "__main__":
    main()
