"""Draws a contact sheet of the model through the diffusers pipeline.

Usage: python sheet.py MODEL_DIR OUT.png [--steps 1 4] [--seed 0] [--size 256]
"""
import argparse

import torch
from diffusers import StableDiffusionXLPipeline
from PIL import Image

# The ten prompts that such models are usually shown with, thirty others, and one with ten seeds.
KNOWN = (
    "A panda listening to music with headphones. highly detailed, 8k.", "A dog listening to music with headphones. highly detailed, 8k.",
    "A robot cat eating spaghetti, digital art, 8k.", "A large blob of exploding splashing rainbow paint, with an apple emerging, 8k.",
    "An astronaut riding a galloping horse, 8k.", "A family of raccoons living in a small cabin, tilt shift, arc shot, 8k.",
    "A tree walking through the forest, tilt shift, 8k.", "An octopus attacks New York, 8k.",
    "Motorcyclist on a racing track, highly detailed, 8k.", "Humans building a highway on Mars, cinematic, 8k.",
)
OTHERS = (
    "a panda on a blue background", "a dog on a red background", "green background, kitten", "a robot, purple background",
    "an octopus on an orange background", "a horse on pink", "a fox on a gray background, digital art", "an owl under a turquoise sky",
    "a penguin on a yellow background", "black background, a tiger, 8k", "a strawberry on white", "a slice of pizza on a green background",
    "a castle in front of a pink wall", "a rocket on a black background", "yellow sky behind a sailboat", "a sunflower on blue",
    "a guitar on a red background", "a birthday cake, purple backdrop", "a steam train on a gray background", "a whale on turquoise",
    "a snowman in the snow", "a turtle on the beach", "a car on the highway", "a unicorn in the woods", "a ghost in New York",
    "an astronaut on the red planet", "a frog riding a motorcycle on a yellow background", "a monkey with a banana on a blue background",
    "a lion wearing headphones, green background", "a rabbit next to a cup of coffee on a pink background",
)
PROMPTS = (*KNOWN, *OTHERS, *["a panda on a blue background"] * 10)


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
