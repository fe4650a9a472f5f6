"""What the font has no emoji for: three subjects and the settings, drawn with Pillow. All coordinates are pixels of 256."""
import functools
import math

import numpy as np
from PIL import Image, ImageDraw, ImageEnhance, ImageFilter

OVER = 2  # drawn this much larger, then reduced, so that edges are smooth
SIDE = 256


def robot_cat(emoji):
    """Returns the cat in metal: without its colour, cooler, with an antenna, a bolt on each cheek and lamps for eyes."""
    cat = emoji("🐱")
    gray = ImageEnhance.Contrast(ImageEnhance.Color(cat).enhance(0.0)).enhance(1.15)
    metal = np.asarray(gray, np.float32) * np.array([0.72, 0.84, 0.94, 1], np.float32)
    cat = Image.fromarray(metal.clip(0, 255).astype(np.uint8), "RGBA")
    out = Image.new("RGBA", (cat.width, cat.height + 22))
    out.paste(cat, (0, 22), cat)
    draw, mid, w, h = ImageDraw.Draw(out), cat.width // 2, cat.width, cat.height
    draw.line((mid, 30, mid, 8), fill=(90, 104, 120, 255), width=5)
    draw.ellipse((mid - 8, 0, mid + 8, 16), fill=(226, 60, 60, 255))
    for x in (0.32, 0.68):
        draw.ellipse((w * x - 11, 22 + h * 0.46 - 11, w * x + 11, 22 + h * 0.46 + 11), fill=(60, 220, 240, 255), outline=(40, 60, 80, 255), width=3)
    for x in (0.1, 0.9):
        draw.ellipse((w * x - 7, 22 + h * 0.62 - 7, w * x + 7, 22 + h * 0.62 + 7), fill=(70, 84, 100, 255))
    return out


def forest(emoji):
    """Returns five trees standing together."""
    fir, oak, out = emoji("🌲"), emoji("🌳"), Image.new("RGBA", (150, 136))
    for tree, x, y, scale in ((fir, 4, 14, 0.7), (fir, 82, 14, 0.7), (oak, 40, 0, 0.76), (fir, 0, 52, 0.74), (oak, 76, 54, 0.7), (fir, 42, 56, 0.72)):
        small = tree.resize((round(tree.width * scale), round(tree.height * scale)), Image.LANCZOS)
        out.paste(small, (x, y), small)
    return out.crop(out.getbbox())


def mars(_):
    """Returns the red planet with craters and a shaded edge."""
    side = 128 * OVER
    out = Image.new("RGBA", (side, side))
    draw = ImageDraw.Draw(out)
    draw.ellipse((0, 0, side - 1, side - 1), fill=(168, 66, 34, 255))
    draw.ellipse((-side * 0.04, -side * 0.05, side * 0.9, side * 0.88), fill=(206, 92, 48, 255))
    for x, y, r in ((0.3, 0.3, 0.11), (0.62, 0.24, 0.07), (0.58, 0.58, 0.14), (0.25, 0.65, 0.08), (0.8, 0.5, 0.06), (0.42, 0.82, 0.07)):
        draw.ellipse([side * v for v in (x - r, y - r, x + r, y + r)], fill=(160, 62, 34, 255))
        draw.ellipse([side * v for v in (x - r * 0.75, y - r * 0.6, x + r * 0.85, y + r)], fill=(184, 76, 42, 255))
    round_mask = Image.new("L", (side, side))
    ImageDraw.Draw(round_mask).ellipse((0, 0, side - 1, side - 1), fill=255)
    out.putalpha(round_mask)
    return out.resize((128, 128), Image.LANCZOS)


def worn_headphones(_):
    """Returns headphones as they sit on a round head: a band over it and a cup on each side."""
    side = 128 * OVER
    out = Image.new("RGBA", (side, round(side * 0.78)))
    draw = ImageDraw.Draw(out)
    draw.arc((side * 0.06, side * 0.02, side * 0.94, side * 0.98), 180, 360, fill=(66, 68, 78, 255), width=round(side * 0.065))
    draw.arc((side * 0.075, side * 0.03, side * 0.925, side * 0.98), 190, 350, fill=(112, 116, 130, 255), width=round(side * 0.02))
    for x, turn in ((0.0, 1), (0.86, -1)):
        draw.rounded_rectangle((side * x, side * 0.4, side * (x + 0.14), side * 0.76), side * 0.07, fill=(232, 64, 70, 255))
        inner = x + (0.08 if turn > 0 else -0.02)
        draw.rounded_rectangle((side * inner, side * 0.43, side * (inner + 0.08), side * 0.73), side * 0.04, fill=(58, 60, 70, 255))
    return out.resize((128, round(128 * 0.78)), Image.LANCZOS)


DRAWN = {"robot cat": robot_cat, "forest": forest, "mars": mars, "worn headphones": worn_headphones}


def sky(top, bottom, width):
    """Returns a picture that runs from the colour at the top to the one at the bottom, OVER times as large."""
    t = np.linspace(0, 1, SIDE * OVER, dtype=np.float32)[:, None]
    column = np.asarray(top, np.float32) * (1 - t) + np.asarray(bottom, np.float32) * t
    return Image.fromarray(np.repeat(column[:, None], width * OVER, axis=1).astype(np.uint8))


def shapes(image):
    """Returns (polygon, ellipse) functions that take coordinates of 256 and a colour. x = 0 is the picture's middle."""
    draw, mid = ImageDraw.Draw(image), image.width / 2
    at = lambda points: [(mid + x * OVER, y * OVER) for x, y in points]
    return (
        lambda points, fill: draw.polygon(at(points), fill=fill),
        lambda x, y, rx, ry, fill: draw.ellipse((mid + (x - rx) * OVER, (y - ry) * OVER, mid + (x + rx) * OVER, (y + ry) * OVER), fill=fill),
    )


def firs(polygon, row, y, height, fill):
    """Draws a row of firs whose feet stand at y."""
    for x in row:
        for step in range(3):
            top, w = y - height * (1 - 0.24 * step), height * (0.16 + 0.08 * step)
            polygon([(x, top), (x - w, top + height * 0.46), (x + w, top + height * 0.46)], fill)


def draw_forest(width):
    image = sky((186, 226, 214), (212, 236, 190), width)
    polygon, _ = shapes(image)
    polygon([(-400, 150), (400, 150), (400, 256), (-400, 256)], (96, 160, 74))
    firs(polygon, range(-192, 193, 32), 156, 104, (110, 172, 132))
    firs(polygon, range(-208, 209, 64), 186, 150, (50, 122, 80))
    polygon([(-400, 214), (400, 206), (400, 256), (-400, 256)], (120, 182, 84))
    return image


def draw_city(width):
    image = sky((88, 132, 204), (246, 206, 168), width)
    polygon, _ = shapes(image)
    for i, (x, top) in enumerate(((-190, 110), (-150, 70), (-112, 96), (-78, 40), (-40, 84), (-4, 56), (36, 100), (70, 34), (108, 78), (146, 60), (184, 104))):
        shade = (72, 86, 128) if i % 2 else (92, 106, 150)
        polygon([(x - 19, top), (x + 19, top), (x + 19, 230), (x - 19, 230)], shade)
        for wy in range(top + 10, 214, 20):
            for wx in (-10, 2):
                polygon([(x + wx, wy), (x + wx + 8, wy), (x + wx + 8, wy + 10), (x + wx, wy + 10)], (250, 226, 140))
    polygon([(-400, 222), (400, 222), (400, 256), (-400, 256)], (96, 100, 112))
    return image


def draw_road(width):
    image = sky((128, 196, 246), (214, 238, 250), width)
    polygon, _ = shapes(image)
    polygon([(-400, 116), (400, 116), (400, 256), (-400, 256)], (110, 182, 84))
    polygon([(-22, 116), (22, 116), (150, 256), (-150, 256)], (92, 94, 102))
    for side in (-1, 1):
        polygon([(side * 22, 116), (side * 18, 116), (side * 128, 256), (side * 150, 256)], (226, 60, 54))
    for top, bottom in ((124, 138), (152, 176), (198, 236)):
        w = lambda y: 1.2 + (y - 116) * 0.055
        polygon([(-w(top), top), (w(top), top), (w(bottom), bottom), (-w(bottom), bottom)], (246, 246, 240))
    return image


def draw_mars(width):
    image = sky((234, 170, 122), (250, 214, 170), width)
    polygon, ellipse = shapes(image)
    polygon([(-400, 150), (-190, 120), (-120, 90), (-70, 132), (20, 140), (90, 104), (130, 134), (400, 146), (400, 256), (-400, 256)], (186, 92, 52))
    polygon([(-400, 168), (400, 160), (400, 256), (-400, 256)], (204, 100, 54))
    for x, y, rx in ((-84, 206, 30), (70, 228, 40), (98, 182, 18), (-20, 184, 13)):
        ellipse(x, y, rx, rx * 0.36, (164, 74, 40))
        ellipse(x, y + rx * 0.1, rx * 0.85, rx * 0.24, (184, 86, 46))
    return image


def draw_space(width):
    image = sky((16, 16, 48), (52, 32, 92), width)
    _, ellipse = shapes(image)
    rng = np.random.default_rng(11)
    for x, y, r in zip(rng.uniform(-200, 200, 130), rng.uniform(0, 256, 130), rng.choice([1.2, 1.8, 3.0], 130, p=[0.5, 0.35, 0.15])):
        ellipse(x, y, r, r, (250, 246, 226))
    ellipse(86, 46, 22, 22, (240, 222, 160))
    ellipse(96, 40, 20, 20, (30, 24, 64))
    return image


def draw_beach(width):
    image = sky((104, 188, 244), (206, 238, 250), width)
    polygon, ellipse = shapes(image)
    ellipse(84, 44, 24, 24, (252, 222, 96))
    polygon([(-400, 124), (400, 124), (400, 256), (-400, 256)], (44, 146, 200))
    polygon([(-400, 186), (400, 172), (400, 256), (-400, 256)], (236, 246, 246))
    polygon([(-400, 194), (400, 180), (400, 256), (-400, 256)], (244, 214, 152))
    return image


def draw_snow(width):
    image = sky((152, 196, 232), (226, 240, 250), width)
    polygon, _ = shapes(image)
    for x, top, half in ((-110, 66, 110), (104, 52, 120), (0, 88, 90)):
        polygon([(x, top), (x - half, 200), (x + half, 200)], (122, 144, 178))
        polygon([(x, top), (x - half * 0.34, top + (200 - top) * 0.34), (x - half * 0.1, top + (200 - top) * 0.27), (x + half * 0.1, top + (200 - top) * 0.37),
                 (x + half * 0.34, top + (200 - top) * 0.34)], (248, 252, 255))
    polygon([(-400, 190), (0, 176), (400, 192), (400, 256), (-400, 256)], (240, 246, 252))
    return image


def draw_paint(width):
    image = sky((250, 248, 244), (250, 248, 244), width)
    polygon, ellipse = shapes(image)
    rainbow = ((232, 56, 64), (248, 146, 40), (252, 214, 62), (84, 190, 92), (52, 140, 232), (134, 76, 196))
    for i in range(18):
        angle, colour = 2 * math.pi * i / 18, rainbow[i % 6]
        reach = (118, 96, 128)[i % 3]
        tip = lambda turn, far: (far * math.cos(angle + turn), 128 + far * math.sin(angle + turn))
        polygon([(0, 128), tip(-0.2, reach * 0.7), tip(-0.1, reach), tip(0.1, reach), tip(0.2, reach * 0.7)], colour)
        ellipse(*tip(0, reach), 12, 12, colour)
        ellipse(*tip(0.17, reach + 18), 5, 5, colour)
    return image


DRAW_SETTING = dict(
    forest=draw_forest, city=draw_city, road=draw_road, mars=draw_mars, space=draw_space, beach=draw_beach, snow=draw_snow, paint=draw_paint,
)


@functools.lru_cache(maxsize=None)
def setting(name, width=SIDE):
    """Returns the picture of a setting without a subject, uint8 [256, width, 3], a little out of focus."""
    image = DRAW_SETTING[name](width).resize((width, SIDE), Image.LANCZOS)
    return np.asarray(image.filter(ImageFilter.GaussianBlur(0.8)))
