"""The tables of what the demo model can draw. To teach it more, add a row and train again (README.md)."""

# Subject: the emoji that stands for it, then the words that name it (the first one is its name).
SUBJECTS = {
    "panda": ("🐼", ["panda", "panda bear", "giant panda", "pandas"]),
    "dog": ("🐶", ["dog", "puppy", "hound", "doggy", "dogs"]),
    "cat": ("🐱", ["cat", "kitten", "kitty", "cats"]),
    "raccoon": ("🦝", ["raccoon", "racoon", "raccoons"]),
    "robot": ("🤖", ["robot", "android", "robots", "droid"]),
    "apple": ("🍎", ["apple", "apples", "fruit"]),
    "astronaut": ("🧑‍🚀", ["astronaut", "cosmonaut", "spaceman", "astronauts"]),
    "horse": ("🐎", ["horse", "pony", "stallion", "horses"]),
    "octopus": ("🐙", ["octopus", "squid", "octopuses", "kraken"]),
    "tree": ("🌳", ["tree", "oak", "oak tree", "trees"]),
    "car": ("🚗", ["car", "automobile", "cars"]),
    "motorcycle": ("🏍️", ["motorcycle", "motorbike", "motorcyclist", "motorcycles"]),
    "house": ("🏠", ["house", "cabin", "cottage", "home", "small house"]),
    "fox": ("🦊", ["fox", "foxes", "vixen"]),
}

# Background colour: sRGB, then the words that name it. The order is a path on which neighbours look alike:
# a prompt without a colour takes the noise's place on this path.
COLOURS = {
    "black": ((28, 28, 32), ["black", "jet black", "pitch black"]),
    "gray": ((128, 130, 134), ["gray", "grey", "silver"]),
    "white": ((246, 246, 246), ["white", "snow white", "bright white"]),
    "pink": ((250, 150, 190), ["pink", "rose pink", "light pink"]),
    "red": ((214, 40, 44), ["red", "crimson", "scarlet"]),
    "orange": ((246, 138, 30), ["orange", "tangerine", "bright orange"]),
    "yellow": ((250, 218, 60), ["yellow", "golden", "lemon yellow"]),
    "green": ((60, 168, 76), ["green", "emerald", "grass green"]),
    "turquoise": ((64, 206, 204), ["turquoise", "teal", "cyan"]),
    "blue": ((48, 104, 220), ["blue", "royal blue", "azure"]),
    "purple": ((132, 64, 180), ["purple", "violet", "lilac"]),
}
