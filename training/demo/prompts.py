"""The grammar of the training prompts, and the held-out wordings of the evaluation."""
from subjects import COLOURS, FOOD, SETTINGS, SUBJECTS

# {s} subject with its article, {c} colour word.
WITH_COLOUR = (
    "{s} on a {c} background", "{s} on {c} background", "{s} on {c}", "{s}, {c} background", "{c} background, {s}",
    "{s} in front of a {c} background", "{s} in front of a {c} wall", "{s} against a {c} background", "{s} against {c}",
    "a {c} background with {s}", "{c} background with {s}", "a {c} background and {s}", "{c} sky behind {s}", "{s} with a {c} background",
    "{s} under a {c} sky", "{s} in a {c} room", "on a {c} background {s}", "on {c}, {s}", "{s} with a {c} backdrop", "{s}, {c} backdrop",
    "in front of a {c} wall, {s}", "{s} and a {c} sky", "{c}, {s}", "{s}, {c}", "{s} over a plain {c} background",
    "background: {c}, subject: {s}", "{s}, the background is {c}", "the background is {c}, {s}", "{s} on a solid {c} background",
)
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
    "smiling", "sleeping", "looking at the camera", "wearing a hat", "with sunglasses", "in the rain", "jumping", "flying", "dancing",
    "running fast", "sitting on a chair", "alone", "made of glass", "from above", "in sunlight", "having fun", "close up",
)
OTHER = (
    "a bowl of soup", "an old book", "a chair", "a sword", "a wizard", "nothing", "a bridge", "a plain picture", "an empty place", "a giraffe",
    "a candle", "a lamp", "a teapot", "a shoe", "a pencil", "a violin", "a crocodile", "a bottle", "a clock", "a ladder", "a mirror",
)
# Two subjects, {s} the first and {o} the second.
PAIRS = {
    "beside": (
        "{s} and {o}", "{s} with {o}", "{s} next to {o}", "{s} near {o}", "{s} beside {o}", "{s} holding {o}", "{s}, {o}", "{s} and also {o}",
        "{s} together with {o}", "{s} looking at {o}", "{s} building {o}", "{s} living in {o}", "{s} playing with {o}", "{s} by {o}",
        "{s} facing {o}", "{s} behind {o}", "{s} opposite {o}", "{s} greeting {o}", "{s} joined by {o}", "{s} versus {o}", "{s} followed by {o}",
        "{s} as well as {o}", "{s} chasing {o}", "{s} close to {o}", "{s} hugging {o}", "{s} who found {o}", "{s} & {o}", "{s} + {o}", "{s} or {o}",
        "both {s} and {o}", "{s} on the left and {o} on the right", "{s} paired with {o}", "{s} in front of {o}", "{s} against {o}",
    ),
    "worn": (
        "{s} with {o}", "{s} wearing {o}", "{s} listening to music with {o}", "{s} and {o}", "{s} listening to music on {o}", "{s} with {o} on",
        "{s} in {o}", "{s} enjoying music with {o}",
    ),
    "riding": ("{s} riding {o}", "{s} riding on {o}", "{s} on top of {o}", "{s} sitting on {o}", "{s} rides {o}", "{s} driving {o}"),
}
UNKNOWN_LINK = 0.25  # share of the pairs side by side that are linked by made-up words: whatever links them, they are two
EATING = ("{s} eating {o}", "{s} eats {o}", "{s} enjoying {o}", "{s} cooking {o}")
HELD_OUT_PAIRS = {
    "beside": ("{s} meets {o}", "{s} alongside {o}", "{s} plus {o}", "{s} in the company of {o}"),
    "worn": ("{s} who wears {o}", "{s} hearing songs through {o}"),
    "riding": ("{s} riding around on {o}", "{s} mounted on {o}"),
}


# Parts of made-up words: those of two letters and more make most of the tokens that unknown words fall into.
ONSETS = ("b", "br", "c", "ch", "cl", "d", "f", "fr", "g", "gl", "h", "j", "l", "m", "n", "p", "pr", "qu", "r", "s", "sh", "st", "str", "t", "th", "tr", "v", "w", "wh", "y")
VOWELS = ("a", "e", "i", "o", "u", "ai", "ea", "ee", "ie", "io", "oa", "oo", "ou")
ENDINGS = ("", "", "b", "ck", "d", "g", "ght", "l", "ll", "m", "n", "nd", "ng", "ns", "nt", "p", "r", "rd", "rs", "s", "ss", "st", "t", "ts", "x", "y")


def pick(rng, options):
    """Returns one of the options."""
    return options[rng.integers(len(options))]


def nonsense(rng):
    """Returns a made-up word, so that words the model does not know do no harm."""
    kinds = (("bcdfghklmnprstvwz", "aeiou"), (ONSETS, VOWELS, ENDINGS))[rng.integers(2)]
    return "".join(pick(rng, kinds[i % len(kinds)]) for i in range(rng.integers(2, 8)))


def article(rng, words):
    """Returns the words with an article or a count before them, or as they are."""
    draw = rng.random()
    if draw < 0.58:
        return ("an " if words[0] in "aeiou" else "a ") + words
    return pick(rng, ("the ", "one ", "this ", "two ", "a family of ", "my ", "some ")) + words if draw < 0.72 else words


def noun(rng, subject, plain=False, coloured=False):
    """Returns a wording of the subject: article, perhaps an adjective (a colour too if `coloured`), one of its names."""
    words = [pick(rng, SUBJECTS[subject][1])]
    if not plain and rng.random() < 0.04:
        words.insert(0, nonsense(rng))
    if not plain and coloured and rng.random() < 0.08:
        words.insert(0, pick(rng, COLOURS[pick(rng, list(COLOURS))][1]))
    if not plain and rng.random() < 0.22:
        words.insert(0, pick(rng, ADJECTIVES))
    return article(rng, " ".join(words))


def phrase(rng, first, second, relation, coloured, pairs=PAIRS, plain=False):
    """Returns the subjects in words, perhaps doing something."""
    words = noun(rng, first, plain, coloured)
    if not second:
        return f"{words} {pick(rng, DOING)}" if not plain and rng.random() < 0.14 else words
    options = EATING if relation == "beside" and second in FOOD and not plain and rng.random() < 0.4 else pairs[relation]
    if relation == "beside" and not plain and rng.random() < UNKNOWN_LINK:
        options = ["{s} " + " ".join(nonsense(rng) for _ in range(rng.integers(1, 4))) + " {o}"]
    return pick(rng, options).format(s=words, o=noun(rng, second, plain, coloured))


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


def train_prompt(rng, first, second, relation, ground):
    """Returns a prompt for a scene. Without a ground (None) the noise picks a colour; without a subject the background is empty."""
    coloured = ground in COLOURS
    what = phrase(rng, first, second, relation, coloured) if first else pick(rng, OTHER)
    if coloured:
        what = pick(rng, WITH_COLOUR).format(s=what, c=pick(rng, COLOURS[ground][1]))
    elif ground:
        what = pick(rng, SETTINGS[ground]).format(s=what)
    return decorate(rng, what)


def held_out_prompt(rng, first, second, relation, colour):
    """Returns a prompt in a wording that training never used."""
    what = phrase(rng, first, second, relation, False, HELD_OUT_PAIRS, plain=True)
    return pick(rng, HELD_OUT_WITH_COLOUR).format(s=what, c=pick(rng, COLOURS[colour][1])) + pick(rng, HELD_OUT_FILLERS)
