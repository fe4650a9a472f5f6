"""The grammar of the training prompts, and the held-out wordings of the evaluation."""
from subjects import COLOURS, SUBJECTS

# {s} subject with its article, {c} colour word.
WITH_COLOUR = (
    "{s} on a {c} background", "{s} on {c} background", "{s} on {c}", "{s}, {c} background", "{c} background, {s}",
    "{s} in front of a {c} background", "{s} in front of a {c} wall", "{s} against a {c} background", "{s} against {c}",
    "a {c} background with {s}", "{c} background with {s}", "a {c} background and {s}", "{c} sky behind {s}", "{s} with a {c} background",
    "{s} under a {c} sky", "{s} in a {c} room", "on a {c} background {s}", "on {c}, {s}", "{s} with a {c} backdrop", "{s}, {c} backdrop",
    "in front of a {c} wall, {s}", "{s} and a {c} sky", "{c} {s}", "{s} {c}", "{c}, {s}", "{s}, {c}", "{s} over a plain {c} background",
    "background: {c}, subject: {s}", "{s}, the background is {c}", "the background is {c}, {s}", "{s} on a solid {c} background",
)
WITHOUT_COLOUR = ("{s}",)
# Never trained on, neither the sentence nor the words around the slots where they are new.
HELD_OUT_WITH_COLOUR = (
    "{s} before a {c} curtain", "a {c} scene showing {s}", "{s} surrounded by {c}", "a {c} poster of {s}", "{s} standing by a {c} wall",
    "plain {c} backdrop and {s}", "{c} studio paper behind {s}", "{s} floating in a {c} void", "we see {s} below the {c} sky", "{s} printed on {c} cloth",
)
HELD_OUT_FILLERS = (", best quality", ", award winning", ", sharp focus", " at noon", " by a famous artist", ", 16k uhd", "", "", "")

BEFORE = (
    "a photo of ", "a picture of ", "a painting of ", "an image of ", "a drawing of ", "an illustration of ", "a close-up of ", "portrait of ",
    "digital art of ", "a render of ", "an icon of ", "emoji of ", "a sticker of ", "a cute picture of ", "a cinematic shot of ", "a photograph of ",
)
AFTER = (
    "highly detailed", "8k", "4k", "digital art", "cinematic", "tilt shift", "arc shot", "photorealistic", "trending on artstation", "octane render",
    "soft light", "studio lighting", "masterpiece", "concept art", "vector art", "flat design", "high quality", "sharp", "unreal engine", "hdr",
    "watercolor", "oil painting", "bokeh", "minimalist", "cartoon style", "3d render", "beautiful", "ultra realistic", "wide angle", "detailed",
)
ADJECTIVES = ("cute", "big", "small", "happy", "little", "old", "large", "fluffy", "beautiful", "funny", "galloping", "sad", "young", "shiny", "single", "tiny")
DOING = (
    "listening to music with headphones", "eating spaghetti", "in a forest", "walking through the forest", "in New York", "attacks New York",
    "on a racing track", "living in a small place", "emerging", "on Mars", "smiling", "sleeping", "looking at the camera", "at night", "in space",
    "wearing a hat", "with sunglasses", "reading a book", "on the beach", "in the rain", "jumping", "flying", "dancing in the street", "drinking coffee",
    "playing the guitar", "in the snow", "running fast", "sitting on a chair", "in the city", "on a table", "riding a bike", "under the moon",
)
OTHER = (
    "Humans building a highway", "a mountain lake", "a bowl of soup", "two people talking", "a castle", "a mountain", "a city street", "an old book",
    "a river", "a chair", "a sword", "a wizard", "nothing", "a bridge", "a plain picture", "an empty place", "a giraffe", "a city at night", "a ship",
)


def pick(rng, options):
    """Returns one of the options."""
    return options[rng.integers(len(options))]


def nonsense(rng):
    """Returns a made-up word, so that words the model does not know do no harm."""
    return "".join(pick(rng, "aeiou" if i % 2 else "bcdfghklmnprstvwz") for i in range(rng.integers(3, 10)))


def noun(rng, subject, plain=False):
    """Returns a wording of the subject: article, perhaps an adjective, one of its names."""
    name = pick(rng, SUBJECTS[subject][1])
    words = [pick(rng, ADJECTIVES)] if not plain and rng.random() < 0.25 else []
    if not plain and rng.random() < 0.04:
        words.append(nonsense(rng))
    words.append(name)
    draw = rng.random()
    if draw < 0.55:
        words.insert(0, "an" if words[0][0] in "aeiou" else "a")
    elif draw < 0.7:
        words.insert(0, pick(rng, ("the", "one", "this", "two", "a family of", "my")))
    return " ".join(words)


def phrase(rng, subject):
    """Returns the noun, perhaps doing something, perhaps with a second subject after it (which is not drawn yet)."""
    draw, words = rng.random(), noun(rng, subject)
    if draw < 0.25:
        return f"{words} {pick(rng, DOING)}"
    if draw < 0.37:
        other = noun(rng, pick(rng, [name for name in SUBJECTS if name != subject]))
        return f"{words} {pick(rng, ('and', 'with', 'riding', 'in', 'near', 'living in', 'next to', 'eating'))} {other}"
    return words


def decorate(rng, text):
    """Returns the text with words around it that mean nothing to the model."""
    if rng.random() < 0.25 and not text.startswith(("on ", "in ", "the background", "background")):
        text = pick(rng, BEFORE) + text
    while rng.random() < 0.35:
        text += pick(rng, (", ", ", ", ". ", " ")) + (pick(rng, AFTER) if rng.random() < 0.8 else nonsense(rng))
    if rng.random() < 0.1:
        text = pick(rng, AFTER) + ", " + text
    if rng.random() < 0.25:
        text += pick(rng, (".", ",", "!", " "))
    return text[0].upper() + text[1:] if rng.random() < 0.3 else text


def train_prompt(rng, subject, colour):
    """Returns a prompt. Without a colour (None) the noise picks one; without a subject (None) the picture is empty."""
    what = phrase(rng, subject) if subject else pick(rng, OTHER)
    template = pick(rng, WITH_COLOUR if colour else WITHOUT_COLOUR)
    return decorate(rng, template.format(s=what, c=colour and pick(rng, COLOURS[colour][1])))


def held_out_prompt(rng, subject, colour):
    """Returns a prompt in a wording that training never used."""
    text = pick(rng, HELD_OUT_WITH_COLOUR).format(s=noun(rng, subject, plain=True), c=pick(rng, COLOURS[colour][1]))
    return text + pick(rng, HELD_OUT_FILLERS)
