"""Stage 2: a small byte-level BPE in CLIP's file format, learned from the training prompts."""
import collections
import json

import numpy as np
import regex

from latents import draw_scene
from prompts import train_prompt
from subjects import COLOURS, SUBJECTS

MERGES = 1000
BOS, EOS = "<|startoftext|>", "<|endoftext|>"
WORD = regex.compile(r"'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+", regex.IGNORECASE)  # CLIP's split


def byte_letters():
    """Returns the printable letter of each byte, as GPT-2 and CLIP map them, in CLIP's order of ids."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    hidden = [byte for byte in range(256) if byte not in printable]
    return {byte: chr(byte) for byte in printable} | {byte: chr(256 + i) for i, byte in enumerate(hidden)}


def learn_merges(texts, count):
    """Returns the merges of byte-pair encoding, the most frequent pair first; ties go to the alphabet."""
    letters, words = byte_letters(), collections.Counter()
    for text in texts:
        words.update(WORD.findall(text.lower()))
    spelled = {}
    for word in words:
        symbols = [letters[byte] for byte in word.encode()]
        spelled[word] = (*symbols[:-1], symbols[-1] + "</w>")
    merges = []
    while len(merges) < count:
        pairs = collections.Counter()
        for word, symbols in spelled.items():
            for pair in zip(symbols, symbols[1:]):
                pairs[pair] += words[word]
        if not pairs:
            break
        best = min(pairs, key=lambda pair: (-pairs[pair], pair))
        merges.append(best)
        spelled = {word: merge(symbols, best) for word, symbols in spelled.items()}
    return merges


def merge(symbols, pair):
    """Returns the symbols with each occurrence of the pair joined."""
    out, i = [], 0
    while i < len(symbols):
        joined = tuple(symbols[i : i + 2]) == pair
        out.append("".join(pair) if joined else symbols[i])
        i += 2 if joined else 1
    return tuple(out)


def corpus(count=12000):
    """Returns prompts to learn the merges from, each name and colour word at least once more by itself."""
    rng, texts = np.random.default_rng(2), []
    for i in range(count):
        first, second, relation, ground, _ = draw_scene(rng, i)
        texts.append(train_prompt(rng, first, second, relation, ground))
    names = [name for _, names in SUBJECTS.values() for name in names] + [name for _, names in COLOURS.values() for name in names]
    return texts + names * 30


def write_tokenizers(out):
    """Writes tokenizer/ and tokenizer_2/; they differ in the padding token only, as SDXL's do."""
    letters = list(byte_letters().values())
    merges = learn_merges(corpus(), MERGES)
    vocab = letters + [letter + "</w>" for letter in letters] + ["".join(pair) for pair in merges] + [BOS, EOS]
    assert len(set(vocab)) == len(vocab)
    for folder, pad in (("tokenizer", EOS), ("tokenizer_2", "!")):
        write_tokenizer(out / folder, vocab, merges, pad)
    return len(vocab)


def write_tokenizer(folder, vocab, merges, pad):
    """Writes the four files of one tokenizer."""
    folder.mkdir(parents=True, exist_ok=True)
    special = dict(bos_token=BOS, eos_token=EOS, pad_token=pad, unk_token=EOS)
    config = dict(special, add_prefix_space=False, do_lower_case=True, model_max_length=77, tokenizer_class="CLIPTokenizer", errors="replace")
    files = {"vocab.json": {token: i for i, token in enumerate(vocab)}, "special_tokens_map.json": special, "tokenizer_config.json": config}
    for name, value in files.items():
        (folder / name).write_text(json.dumps(value, ensure_ascii=False))
    (folder / "merges.txt").write_text("#version: 0.2\n" + "".join(f"{a} {b}\n" for a, b in merges))
