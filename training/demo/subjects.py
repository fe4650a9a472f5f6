"""The tables of what the demo model can draw. To teach it more, add a row and train again (README.md)."""

# Subject: its drawing (an emoji, or a name in drawings.py), then the words that name it (the first one is its name).
SUBJECTS = {
    "panda": ("🐼", ["panda", "panda bear", "giant panda", "pandas"]),
    "dog": ("🐶", ["dog", "puppy", "hound", "doggy", "dogs"]),
    "cat": ("🐱", ["cat", "kitten", "kitty", "cats"]),
    "raccoon": ("🦝", ["raccoon", "racoon", "raccoons"]),
    "fox": ("🦊", ["fox", "foxes", "vixen"]),
    "bear": ("🐻", ["bear", "brown bear", "grizzly", "bears"]),
    "rabbit": ("🐰", ["rabbit", "bunny", "hare", "rabbits"]),
    "lion": ("🦁", ["lion", "lions", "lioness"]),
    "tiger": ("🐯", ["tiger", "tigers"]),
    "monkey": ("🐵", ["monkey", "ape", "chimp", "monkeys"]),
    "frog": ("🐸", ["frog", "toad", "frogs"]),
    "penguin": ("🐧", ["penguin", "penguins"]),
    "owl": ("🦉", ["owl", "owls"]),
    "octopus": ("🐙", ["octopus", "squid", "octopuses", "kraken"]),
    "whale": ("🐋", ["whale", "whales", "humpback"]),
    "butterfly": ("🦋", ["butterfly", "butterflies", "moth"]),
    "horse": ("🐎", ["horse", "pony", "stallion", "horses"]),
    "unicorn": ("🦄", ["unicorn", "unicorns"]),
    "turtle": ("🐢", ["turtle", "tortoise", "turtles"]),
    "robot": ("🤖", ["robot", "android", "robots", "droid"]),
    "robot cat": ("robot cat", ["robot cat", "robotic cat", "mechanical cat", "cyborg cat", "robot kitten"]),
    "astronaut": ("🧑‍🚀", ["astronaut", "cosmonaut", "spaceman", "astronauts"]),
    "people": ("👫", ["people", "humans", "couple", "persons", "man and woman", "workers"]),
    "ghost": ("👻", ["ghost", "spook", "ghosts", "phantom"]),
    "snowman": ("⛄", ["snowman", "snowmen"]),
    "apple": ("🍎", ["apple", "apples", "fruit"]),
    "banana": ("🍌", ["banana", "bananas"]),
    "strawberry": ("🍓", ["strawberry", "strawberries", "berry"]),
    "pizza": ("🍕", ["pizza", "slice of pizza", "pizza slice"]),
    "cake": ("🎂", ["cake", "birthday cake", "cakes", "pie"]),
    "spaghetti": ("🍝", ["spaghetti", "pasta", "noodles", "plate of spaghetti"]),
    "coffee": ("☕", ["coffee", "cup of coffee", "coffee cup", "tea", "espresso"]),
    "headphones": ("🎧", ["headphones", "headphone", "earphones", "headset"]),
    "guitar": ("🎸", ["guitar", "electric guitar", "guitars"]),
    "paint": ("🎨", ["paint palette", "palette", "painter's palette", "paint"]),
    "car": ("🚗", ["car", "automobile", "cars"]),
    "motorcycle": ("🏍️", ["motorcycle", "motorbike", "motorcyclist", "motorcycles", "biker"]),
    "train": ("🚂", ["train", "steam train", "locomotive", "trains"]),
    "rocket": ("🚀", ["rocket", "spaceship", "rockets", "space shuttle"]),
    "boat": ("⛵", ["boat", "sailboat", "ship", "boats", "yacht"]),
    "house": ("🏠", ["house", "cabin", "cottage", "home", "small house", "small cabin"]),
    "castle": ("🏰", ["castle", "fortress", "palace", "castles"]),
    "tree": ("🌳", ["tree", "oak", "oak tree", "trees"]),
    "forest": ("forest", ["forest", "woods", "group of trees", "grove"]),
    "city": ("🏙️", ["city", "skyline", "skyscrapers", "town", "new york"]),
    "road": ("🛣️", ["road", "highway", "motorway", "street", "racing track"]),
    "mars": ("mars", ["mars", "red planet", "planet mars", "planet"]),
    "flower": ("🌻", ["flower", "sunflower", "flowers", "sunflowers"]),
}

# Drawings that are a head and nothing below it: headphones are drawn on them, not beside them.
HEADS = ("panda", "dog", "cat", "raccoon", "fox", "bear", "rabbit", "lion", "tiger", "monkey", "frog", "robot", "robot cat", "ghost")
RIDERS = (*HEADS, "penguin", "owl", "astronaut", "people", "snowman", "turtle", "octopus", "unicorn", "apple")
MOUNTS = ("horse", "unicorn", "motorcycle", "car", "whale", "turtle", "rocket", "boat", "train", "dog", "bear", "guitar")
FOOD = ("apple", "banana", "strawberry", "pizza", "cake", "spaghetti", "coffee")

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

# Setting: the words that put a subject ({s}) into it. Drawn in drawings.py. It stands where a background colour would.
SETTINGS = {
    "forest": ["{s} in a forest", "{s} walking through the forest", "{s} in the woods", "{s} in the jungle", "{s} between trees"],
    "city": ["{s} in the city", "{s} in New York", "{s} attacks New York", "{s} downtown", "{s} attacking a city", "{s} in a big city", "{s} above Tokyo"],
    "road": ["{s} on a road", "{s} on a racing track", "{s} on the highway", "{s} on the street", "{s} in a race"],
    "mars": ["{s} on Mars", "{s} on the red planet", "{s} exploring Mars", "{s} on the surface of Mars", "{s} in a desert"],
    "space": ["{s} in space", "{s} among the stars", "{s} under the stars", "{s} in a starry night", "{s} at night", "{s} in outer space"],
    "beach": ["{s} on the beach", "{s} by the sea", "{s} at the seaside", "{s} on the sand", "{s} by the ocean"],
    "snow": ["{s} in the snow", "{s} in the mountains", "{s} in winter", "{s} on a snowy mountain"],
    "paint": [
        "{s} in a splash of paint", "a blob of rainbow paint with {s}", "exploding rainbow paint, {s} emerging", "{s} in colorful paint",
        "splashing paint with {s} emerging", "{s} in rainbow paint", "{s} on a rainbow background", "a large blob of paint, with {s} emerging",
    ],
}

# Scenes of the ten prompts that such models are usually shown with (sheet.py), each drawn often: among all scenes they are rare.
# First and second subject, relation, setting (or any colour).
SHOWN = (
    ("panda", "headphones", "worn", None), ("dog", "headphones", "worn", None), ("robot cat", "spaghetti", "beside", None),
    ("apple", None, "beside", "paint"), ("astronaut", "horse", "riding", None), ("raccoon", "house", "beside", None),
    ("tree", None, "beside", "forest"), ("octopus", None, "beside", "city"), ("motorcycle", None, "beside", "road"),
    ("people", "road", "beside", "mars"),
)
