"""Scenes: one or two subjects on a coloured background or in a setting, and their rendering."""
import functools
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw, ImageFilter, ImageFont

from drawings import DRAWN, setting
from subjects import COLOURS, HEADS, SETTINGS, SUBJECTS

FONT = "/usr/share/fonts/truetype/noto/NotoColorEmoji.ttf"  # Debian/Ubuntu: fonts-noto-color-emoji
FONT_SIZE = 109  # the one size of the font's bitmaps
IMAGE_SIZE = 256
SHADOW = 10  # pixels of room for the shadow around a glyph

# What the noise decides, each a number in 0..1 (noise.py says how it is read). `light` is the shade, or the colour where the prompt
# names none. The places lie whole cells of the UNet's lowest level apart: a move is then a move of cells, which is quickly learned.
LAYOUT = ("place", "size", "light")
PLACES = ((-32, -32), (32, -32), (-32, 32), (32, 32))  # pixels from the middle, to the right and down
NEAR, FAR = 156, 104  # pixels of a subject's longer side
# Settings are misty behind a subject, or one of their colour would vanish: an apple in paint, a tree in a forest.
MIST, MIST_REACH, MIST_COLOUR = 0.8, 0.62, np.array([250, 248, 242], np.float32)
RELATIONS = ("beside", "worn", "riding")


@dataclass(frozen=True)
class Scene:
    items: tuple  # of (drawing, centre x, centre y, longer side), the lowest first
    ground: object  # the name of a setting, or (r, g, b)
    light: float = 0.5
    width: int = IMAGE_SIZE


def place_number(value):
    """Returns which of PLACES a number in 0..1 stands for."""
    return min(int(value * len(PLACES)), len(PLACES) - 1)


def relation_of(first, second):
    """Returns how two subjects stand to each other where the prompt does not say "riding"."""
    return "worn" if second == "headphones" and first in HEADS else "beside"


def scene_of(first, second, relation, ground, layout, width=IMAGE_SIZE):
    """Returns the scene of subjects (names or None), their relation, a background (colour or setting) and a layout."""
    place, size, light = layout
    middle, half = width / 2, IMAGE_SIZE / 2
    right, down = PLACES[place_number(place)]
    items = []
    if first and second and relation == "beside":
        items = [(SUBJECTS[first][0], middle + 2 * right, half, FAR), (SUBJECTS[second][0], middle - 2 * right, half, FAR)]
    elif first and second and relation == "riding":
        items = [(SUBJECTS[second][0], middle + right, half + 32, FAR), (SUBJECTS[first][0], middle + right, half - 64, FAR)]
    elif first:
        side = FAR if size < 0.5 else NEAR
        items = [(SUBJECTS[first][0], middle + right, half + down, side)]
        if relation == "worn":
            items.append(("worn headphones", middle + right, half + down - side * 0.12, side * 1.2))
    return Scene(tuple(items), ground if ground in SETTINGS else COLOURS[ground][0], light, width)


def colour_of_light(light):
    """Returns the name of the colour at a place 0..1 of the path."""
    return list(COLOURS)[min(int(light * len(COLOURS)), len(COLOURS) - 1)]


def emoji_image(emoji):
    """Returns the glyph as RGBA, cropped to its ink; None if the font lacks it or cannot join the sequence."""
    font = ImageFont.truetype(FONT, FONT_SIZE, layout_engine=ImageFont.Layout.RAQM)
    image = Image.new("RGBA", (300, 160))
    ImageDraw.Draw(image).text((20, 16), emoji, font=font, embedded_color=True)
    box = image.getbbox()
    return None if box is None or box[2] - box[0] > 140 else image.crop(box)


@functools.lru_cache(maxsize=None)
def glyph(drawing):
    """Returns (RGBA drawing, shadow mask), both with room for the shadow around; None if there is no such drawing."""
    ink = DRAWN[drawing](emoji_image) if drawing in DRAWN else emoji_image(drawing)
    if ink is None:
        return None
    image = Image.new("RGBA", (ink.width + 2 * SHADOW, ink.height + 2 * SHADOW))
    image.paste(ink, (SHADOW, SHADOW))
    shadow = image.getchannel("A").filter(ImageFilter.GaussianBlur(4)).point(lambda a: int(a * 0.4))
    return image, shadow


def mist_behind(scene):
    """Returns how much of each pixel is mist [256, width], 0..MIST: a soft patch behind each subject."""
    y, x = np.mgrid[0:IMAGE_SIZE, 0 : scene.width].astype(np.float32)
    clear = np.ones_like(x)
    for _, centre_x, centre_y, side in scene.items:
        clear *= 1 - np.exp(-((((x - centre_x) ** 2 + (y - centre_y) ** 2) / (MIST_REACH * side) ** 2) ** 2))
    return MIST * (1 - clear)


def background(scene):
    """Returns the background [256, width, 3], float 0..255: lighter or darker by the light; colours fall off towards the bottom."""
    shade = 1 + 0.44 * (scene.light - 0.5)
    if isinstance(scene.ground, str):
        picture = setting(scene.ground, scene.width).astype(np.float32) * (0.94 + 0.5 * (shade - 1))
        mist = mist_behind(scene)[..., None]
        return (picture * (1 - mist) + MIST_COLOUR * mist).clip(0, 255)
    light = shade + 0.12 * np.linspace(1, -1, IMAGE_SIZE, dtype=np.float32)
    rgb = np.asarray(scene.ground, np.float32)
    column = np.where(light[:, None] < 1, rgb * light[:, None], rgb + (light[:, None] - 1) * 110)
    return np.repeat(column.clip(0, 255)[:, None], scene.width, axis=1)


def place(item):
    """Returns an item's (left, top, width, height) in pixels, shadow room included."""
    image, _ = glyph(item[0])
    scale = item[3] / (max(image.width, image.height) - 2 * SHADOW)
    width, height = round(image.width * scale), round(image.height * scale)
    return round(item[1] - width / 2), round(item[2] - height / 2), width, height


@functools.lru_cache(maxsize=600)
def scaled_glyph(drawing, width, height):
    """Returns (drawing, shadow) at a size."""
    return tuple(part.resize((width, height), Image.BICUBIC) for part in glyph(drawing))


def render(scene):
    """Returns the picture of a scene, uint8 [256, width, 3]."""
    canvas = Image.fromarray(background(scene).round().astype(np.uint8))
    for item in scene.items:
        left, top, width, height = place(item)
        image, shadow = scaled_glyph(item[0], width, height)
        canvas.paste((0, 0, 0), (left, top + height // 40), shadow)
        canvas.paste(image, (left, top), image)
    return np.asarray(canvas)
