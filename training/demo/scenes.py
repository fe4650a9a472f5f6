"""Scenes: one emoji somewhere on a softly shaded background, and their rendering."""
import functools
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw, ImageFilter, ImageFont

from subjects import COLOURS, SUBJECTS

FONT = "/usr/share/fonts/truetype/noto/NotoColorEmoji.ttf"  # Debian/Ubuntu: fonts-noto-color-emoji
FONT_SIZE = 109  # the one size of the font's bitmaps
IMAGE_SIZE = 256
SHADOW = 10  # pixels of room for the shadow around a glyph

# What the noise decides, each a number in 0..1. `hue` counts only where the prompt names no colour.
LAYOUT = ("shade", "gradient", "hue")


@dataclass(frozen=True)
class Scene:
    emoji: str
    rgb: tuple
    layout: tuple  # in the order of LAYOUT
    x: float = 0.5  # place and size: the VAE sees them vary, the UNet draws one (README.md)
    y: float = 0.5
    size: float = 0.5


def scene_of(subject, colour, layout):
    """Returns the scene of a subject's name and a colour's name."""
    return Scene(SUBJECTS[subject][0], COLOURS[colour][0], tuple(layout))


def colour_of_hue(hue):
    """Returns the name of the colour at a place 0..1 of the path."""
    return list(COLOURS)[min(int(hue * len(COLOURS)), len(COLOURS) - 1)]


@functools.lru_cache(maxsize=None)
def glyph(emoji):
    """Returns (RGBA glyph, shadow mask), both cropped to the ink plus room for the shadow; None if the font lacks it."""
    font = ImageFont.truetype(FONT, FONT_SIZE, layout_engine=ImageFont.Layout.RAQM)
    image = Image.new("RGBA", (300, 160))
    ImageDraw.Draw(image).text((20, 16), emoji, font=font, embedded_color=True)
    box = image.getbbox()
    if box is None or box[2] - box[0] > 140:  # no ink, or a sequence the font cannot join
        return None
    image = image.crop((box[0] - SHADOW, box[1] - SHADOW, box[2] + SHADOW, box[3] + SHADOW))
    shadow = image.getchannel("A").filter(ImageFilter.GaussianBlur(4)).point(lambda a: int(a * 0.4))
    return image, shadow


def background(scene):
    """Returns the background [256, 256, 3], float 0..255: lighter or darker by shade, with a soft fall of light from top to bottom."""
    shade, gradient = scene.layout[:2]
    light = 1 + 0.32 * (shade - 0.5) + (gradient - 0.5) * 0.5 * np.linspace(1, -1, IMAGE_SIZE, dtype=np.float32)
    rgb = np.asarray(scene.rgb, np.float32)
    column = np.where(light[:, None] < 1, rgb * light[:, None], rgb + (light[:, None] - 1) * 110)
    return np.repeat(column.clip(0, 255)[:, None], IMAGE_SIZE, axis=1)


def place(scene):
    """Returns the subject's (left, top, width, height) in pixels, shadow room included."""
    image, _ = glyph(scene.emoji)
    largest = max(image.width, image.height) - 2 * SHADOW
    scale = IMAGE_SIZE * (0.56 + 0.28 * scene.size) / largest
    width, height = round(image.width * scale), round(image.height * scale)
    ink_w, ink_h = width - 2 * SHADOW * scale, height - 2 * SHADOW * scale
    centre_x = IMAGE_SIZE / 2 + (2 * scene.x - 1) * 0.9 * min((IMAGE_SIZE - ink_w) / 2, 44)
    centre_y = IMAGE_SIZE / 2 + (2 * scene.y - 1) * 0.9 * min((IMAGE_SIZE - ink_h) / 2, 44)
    return round(centre_x - width / 2), round(centre_y - height / 2), width, height


def render(scene):
    """Returns the picture of a scene, uint8 [256, 256, 3]."""
    left, top, width, height = place(scene)
    image, shadow = (part.resize((width, height), Image.BICUBIC) for part in glyph(scene.emoji))
    canvas = Image.fromarray(background(scene).round().astype(np.uint8))
    canvas.paste((0, 0, 0), (left, top + height // 40), shadow)
    canvas.paste(image, (left, top), image)
    return np.asarray(canvas)


def background_only(colour, layout):
    """Returns the picture of a scene without a subject."""
    return background(Scene("", COLOURS[colour][0], tuple(layout))).round().astype(np.uint8)
