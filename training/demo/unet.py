"""Stage 4: the text encoders, then the UNet on what they say, on stored latents."""
import functools
import math
import os
import pathlib
import time

import numpy as np
import torch
from diffusers import UNet2DConditionModel
from diffusers.training_utils import EMAModel
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection, CLIPTokenizer

from noise import SIGMAS, later_noise, noise_for, sampler_timesteps
from prompts import train_prompt
from scenes import place, place_number, scene_of
from sketch import train_patches, train_thumbnail
from subjects import COLOURS
from text import train_text
from vae_start import pass_through

WIDTH_1, WIDTH_2 = 64, 96
UNET = dict(
    sample_size=32, in_channels=4, out_channels=4, block_out_channels=[48, 96, 112], layers_per_block=1,
    down_block_types=["DownBlock2D", "DownBlock2D", "CrossAttnDownBlock2D"], up_block_types=["CrossAttnUpBlock2D", "UpBlock2D", "UpBlock2D"],
    attention_head_dim=[2, 4, 4], transformer_layers_per_block=1, cross_attention_dim=WIDTH_1 + WIDTH_2, use_linear_projection=True,
    addition_embed_type="text_time", addition_time_embed_dim=8, projection_class_embeddings_input_dim=6 * 8 + WIDTH_2,
    norm_num_groups=4,  # few, so that flat colours pass the norms
)
STEPS, LATER_FROM = 4000, 1500  # later sampling steps are trained only once the first is good
BATCH = 12
WIDE_EVERY = 8  # every so many steps the pictures are wider than high
FIRST_RATE, ALL_FROM = 1.5e-3, 300  # before, only the levels that sketch.py did not train
LEARNING_RATE = 4e-4
UNTRAINED = ("up_blocks.0.upsamplers", "up_blocks.1", "up_blocks.2", "conv_norm_out", "conv_out")
NAMED = 0.92  # share of the prompts that name the colour
SUBJECT_WEIGHT = 3.0  # of errors inside the subjects' boxes; the background's are 1


def text_config(width, act, vocab_size):
    """Returns the config of a text encoder; SDXL reads the last hidden state but one, so two layers are the least."""
    return CLIPTextConfig(
        hidden_size=width, intermediate_size=3 * width, num_hidden_layers=2, num_attention_heads=4, hidden_act=act, projection_dim=width,
        vocab_size=vocab_size, bos_token_id=vocab_size - 2, eos_token_id=2, pad_token_id=1, max_position_embeddings=77,
    )


def build(vocab_size):
    """Returns the three networks, untrained: text_encoder, text_encoder_2, unet."""
    return torch.nn.ModuleDict(dict(
        text_encoder=CLIPTextModel(text_config(WIDTH_1, "quick_gelu", vocab_size)),
        text_encoder_2=CLIPTextModelWithProjection(text_config(WIDTH_2, "gelu", vocab_size)),
        unet=UNet2DConditionModel(**UNET).to(memory_format=torch.channels_last),
    ))


@torch.no_grad()
def start(nets):
    """Overwrites some of the first weights so that text and noise can be told apart from the first step on."""
    for name in ("text_encoder", "text_encoder_2"):  # at CLIP's 0.02 the words of a prompt are hard to tell apart at first
        for key, weights in nets[name].named_parameters():
            if "token_embedding" in key or "position_embedding" in key:
                weights.normal_(std=0.5 if "token" in key else 0.1)
    for name, module in nets["unet"].named_modules():
        if name.endswith("conv2"):  # residual branches start silent; attention does not, or text would wait for two zeros in a row
            module.weight.zero_(), module.bias.zero_()
        elif name.startswith("down_blocks") and name.endswith("conv_shortcut"):
            pass_through(module, torch.ones(1, 1))
        elif "downsamplers.0.conv" in name:  # channels 0..7 carry the smoothed noise to the lowest level
            corner = torch.zeros(3, 3)
            corner[1:, 1:] = 0.5
            pass_through(module, corner)
    conv = nets["unet"].conv_in
    conv.weight[:8], conv.bias[:8] = 0, 0
    for i in range(4):
        conv.weight[i, i, 1, 1], conv.weight[i + 4, i, 1, 1] = 1, -1
    read_noise(nets["unet"].down_blocks[-1].attentions[0])


def read_noise(transformer, gain=8.0):
    """Overwrites one attention head so that it tells every place the mean of each noise channel, one of which decides the light.

    Such a mean is 1/32 of the noise around it: learned from scratch, it is found late or never.
    """
    block = transformer.transformer_blocks[0]
    head = block.attn1.to_q.out_features // block.attn1.heads
    transformer.proj_in.weight[:8], transformer.proj_in.bias[:8] = torch.eye(8, transformer.proj_in.in_features), 0
    block.attn1.to_q.weight[:head] = 0  # attends to all places alike
    block.attn1.to_v.weight[:8] = torch.eye(8, block.attn1.to_v.in_features)
    out = block.attn1.to_out[0].weight
    out[8:12] = 0
    for i in range(4):  # back from the pair (+x, -x)
        out[8 + i, i], out[8 + i, i + 4] = gain / 2, -gain / 2


def load_tokenizers(folder):
    """Returns both tokenizers."""
    return [CLIPTokenizer.from_pretrained(folder / name) for name in ("tokenizer", "tokenizer_2")]


def encode(nets, tokenizers, texts):
    """Returns (hidden states [batch, 77, 160], pooled [batch, 96]) as StableDiffusionXLPipeline makes them."""
    device = nets["text_encoder"].device
    ids = [t(texts, padding="max_length", max_length=77, truncation=True, return_tensors="pt").input_ids.to(device) for t in tokenizers]
    one = nets["text_encoder"](ids[0], output_hidden_states=True)
    two = nets["text_encoder_2"](ids[1], output_hidden_states=True)
    return torch.cat([one.hidden_states[-2], two.hidden_states[-2]], dim=-1), two.text_embeds


@functools.cache
def has_tiles():
    """Returns whether this CPU has AMX for bfloat16."""
    cpuinfo = pathlib.Path("/proc/cpuinfo")
    return cpuinfo.exists() and " amx_bf16 " in cpuinfo.read_text()


def predict(nets, noisy, sigma, timestep, text, time_ids):
    """Returns the denoised latents: the UNet's v turned into x0 as the scheduler turns it."""
    shape = (-1, 1, 1, 1)
    scaled = (noisy / (sigma**2 + 1).sqrt().view(shape)).contiguous(memory_format=torch.channels_last)
    v = nets["unet"](scaled, timestep, text[0], added_cond_kwargs=dict(text_embeds=text[1], time_ids=time_ids)).sample
    return noisy / (sigma**2 + 1).view(shape) - v * (sigma / (sigma**2 + 1).sqrt()).view(shape)


def draw_time_ids(rng, batch, width):
    """Returns the pipeline's size numbers, now and then of another size, so that other sizes are not garbage."""
    rows = []
    for _ in range(batch):
        h, w = (256.0, float(width)) if rng.random() < 0.8 else (float(64 * rng.integers(2, 17)), float(64 * rng.integers(2, 17)))
        rows.append((h, w, 0.0, 0.0, h, w))
    return torch.tensor(rows)


def draw_later_timesteps(rng, batch):
    """Returns timesteps after the first: mostly those of four steps, some of two, three and eight, some at random."""
    kinds = rng.choice(5, batch, p=(0.55, 0.12, 0.13, 0.1, 0.1))
    pools = [sampler_timesteps(4)[1:], sampler_timesteps(2)[1:], sampler_timesteps(3)[1:], sampler_timesteps(8)[1:], list(range(50, 990))]
    return torch.tensor([pools[kind][rng.integers(len(pools[kind]))] for kind in kinds])


def weights_of(scene, width):
    """Returns the weight of each latent pixel's error [1, 32, width / 8]: subjects count more than the background."""
    weights = torch.ones(1, 32, width // 8)
    for item in scene_of(*scene, width).items:
        left, top, w, h = (value // 8 for value in place(item))
        weights[:, max(top, 0) : top + h + 1, max(left, 0) : left + w + 1] = SUBJECT_WEIGHT
    return weights


def rule_of(rng, scene, named):
    """Returns what the noise has to stand for (noise.noise_for): all that the scene's picture shows and its prompt leaves open."""
    first, second, relation, ground, (place, size, light) = scene
    rule = dict(light=float(light) if named else (list(COLOURS).index(ground) + rng.random()) / len(COLOURS))
    if second and relation != "worn":
        rule["right"] = place_number(place) % 2
    elif first:
        rule.update(place=place_number(place), near=int(size >= 0.5))
    return rule


def prompt_and_rule(rng, scene):
    """Returns a prompt of a scene, which now and then leaves the colour open, and the rule for its noise."""
    first, second, relation, ground, _ = scene
    named = ground not in COLOURS or rng.random() < NAMED
    return train_prompt(rng, first, second, relation, ground if named else None), rule_of(rng, scene, named)


def kind_of_step(step):
    """Returns which of the stored scenes a step is trained on."""
    return "wide" if step % WIDE_EVERY == WIDE_EVERY - 1 else "square"


def first_inputs(nets, tokenizers, data, rows, rng, generator):
    """Returns a dict of what the first step sees and what it is to answer; `data` is (latents, scenes).

    It sees noise and nothing else, as in sampling: with x0 in it the network would read the answer off it.
    """
    latents, scenes = data[0][rows], [data[1][row] for row in rows]
    height, width = latents.shape[2:]
    device = nets["unet"].device
    prompts, rules = zip(*(prompt_and_rule(rng, scene) for scene in scenes))
    noise = noise_for(rules, height, width, generator).to(device)
    t = torch.full((len(rows),), 999, device=device)
    text = encode(nets, tokenizers, list(prompts))
    return dict(
        latents=latents.to(device), weights=torch.stack([weights_of(scene, width * 8) for scene in scenes]).to(device), noise=noise,
        noisy=SIGMAS.to(device)[t].view(-1, 1, 1, 1) * noise, t=t, text=text, time_ids=draw_time_ids(rng, len(rows), width * 8).to(device),
    )


def later_inputs(before, rng, generator):
    """Returns the same for a later step of the scenes of `before`, whose `answer` is the network's own at the first step.

    It sees true latents mixed with that answer, which it has to sharpen.
    """
    device, size = before["noisy"].device, len(before["noisy"])
    t = draw_later_timesteps(rng, size).to(device)
    sigma = SIGMAS.to(device)[t].view(-1, 1, 1, 1)
    own = torch.from_numpy(np.clip(rng.random(size) * 2.2 - 0.6, 0, 1).astype(np.float32)).view(-1, 1, 1, 1).to(device)
    known = own * before["answer"] + (1 - own) * before["latents"]
    fresh = torch.randn(known.shape, generator=generator).to(device)
    return {**before, "noisy": known + sigma * later_noise(before["noise"], fresh, sigma), "t": t}


def answer(nets, batches):
    """Returns the denoised latents of batches of inputs, from one pass."""
    joined = {key: torch.cat([batch[key] for batch in batches]) for key in ("noisy", "t", "time_ids")}
    text = [torch.cat([batch["text"][i] for batch in batches]) for i in range(2)]
    sigma = SIGMAS.to(joined["t"].device)[joined["t"]]
    with torch.autocast("cpu", torch.bfloat16, enabled=has_tiles()):  # a quarter quicker, where the CPU multiplies bfloat16 in tiles
        told = predict(nets, joined["noisy"], sigma, joined["t"], text, joined["time_ids"])
    return told.split([len(batch["t"]) for batch in batches])


def error_of(batch, told):
    """Returns the weighted error of each picture; later steps count more, up to three times."""
    sigma = SIGMAS.to(told.device)[batch["t"]].view(-1, 1, 1, 1)
    urgency = torch.where(batch["t"].view(-1, 1, 1, 1) == 999, 1, (1 + 1 / sigma**2).clamp(max=3))
    return (urgency * batch["weights"] * (told - batch["latents"]).square()).mean(dim=(1, 2, 3))


def loss_of(nets, tokenizers, data, step):
    """Returns (loss, error of the first step, error of later steps) on one batch."""
    rng, generator = np.random.default_rng((4, step)), torch.Generator().manual_seed(step)
    stored = data[kind_of_step(step)]
    new = first_inputs(nets, tokenizers, stored, rng.integers(len(stored[1]), size=BATCH), rng, generator)
    (first,) = answer(nets, [new])
    first_error = error_of(new, first).mean()
    if step < LATER_FROM:
        return first_error, first_error, torch.zeros(())
    later = later_inputs({**new, "answer": first.detach()}, rng, generator)
    later_error = error_of(later, *answer(nets, [later])).mean()
    return first_error + later_error, first_error, later_error


def draw_sketches(nets, tokenizers, data, seed, batch):
    """Returns what sketch.learn asks for: latents, error weights, noise, text and time ids."""
    rng, generator = np.random.default_rng((6, seed)), torch.Generator().manual_seed(10**6 + seed)
    rows = rng.integers(len(data["square"][1]), size=batch)
    inputs = first_inputs(nets, tokenizers, data["square"], rows, rng, generator)
    return [inputs[name] for name in ("latents", "weights", "noise", "text", "time_ids")]


def start_from(checkpoint, nets, train):
    """Loads the networks from a checkpoint; trains and writes it if it is not there."""
    if checkpoint.exists():
        nets.load_state_dict(torch.load(checkpoint, map_location="cpu", weights_only=False))
    else:
        train()
        torch.save(nets.state_dict(), checkpoint)


def take_up(checkpoint, nets, optimizer, ema):
    """Loads what `keep` wrote and returns how many steps are done."""
    state = torch.load(checkpoint, map_location=nets["unet"].device, weights_only=False)
    nets.load_state_dict(state["nets"]), optimizer.load_state_dict(state["optimizer"]), ema.load_state_dict(state["ema"])
    return state["done"]


def keep(checkpoint, nets, optimizer, ema, done, export, averaged=("unet",)):
    """Writes a checkpoint, whole or not at all, and calls export(nets) with the averaged weights of those networks."""
    state = dict(nets=nets.state_dict(), optimizer=optimizer.state_dict(), ema=ema.state_dict(), done=done)
    torch.save(state, f"{checkpoint}.part")
    os.replace(f"{checkpoint}.part", checkpoint)
    parameters = [parameter for net in averaged for parameter in nets[net].parameters()]
    ema.store(parameters), ema.copy_to(parameters)
    export(nets)
    ema.restore(parameters)


def train_unet(work, data, tokenizers, log, export, steps=STEPS, device="cpu"):
    """Trains and returns the networks (EMA weights). Resumes from work/unet.pt; calls export(nets) at each checkpoint."""
    torch.manual_seed(4)
    nets = build(len(tokenizers[0]))
    start(nets)
    nets.to(device)
    optimizer = torch.optim.AdamW(nets["unet"].parameters(), lr=LEARNING_RATE, betas=(0.9, 0.99), weight_decay=0.01)
    ema = EMAModel(nets["unet"].parameters(), decay=0.99, use_ema_warmup=True, power=0.75)
    checkpoint, done, started = work / "unet.pt", 0, time.time()
    if checkpoint.exists():
        done = take_up(checkpoint, nets, optimizer, ema)
    else:
        start_from(work / "text.pt", nets, lambda: train_text(nets, tokenizers, log))
        nets["text_encoder"].requires_grad_(False), nets["text_encoder_2"].requires_grad_(False)
        draw = lambda first_seed: lambda step, batch: draw_sketches(nets, tokenizers, data, first_seed + step, batch)
        start_from(work / "thumbnail.pt", nets, lambda: train_thumbnail(nets["unet"], draw(0), log))
        start_from(work / "patches.pt", nets, lambda: train_patches(nets["unet"], draw(10**6), log))
    nets["text_encoder"].requires_grad_(False), nets["text_encoder_2"].requires_grad_(False)
    errors = []
    for step in range(done, steps):
        for group in optimizer.param_groups:
            group["lr"] = (LEARNING_RATE if step >= ALL_FROM else FIRST_RATE) * min((step + 1) / 50, 1) * max(0.5 + 0.5 * math.cos(math.pi * step / steps), 0.01)
        if step in (done, ALL_FROM):
            for name, parameter in nets["unet"].named_parameters():
                parameter.requires_grad_(step >= ALL_FROM or name.startswith(UNTRAINED))
        loss, *parts = loss_of(nets, tokenizers, data, step)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(nets["unet"].parameters(), 1.0)
        optimizer.step(), ema.step(nets["unet"].parameters())
        errors.append([part.item() for part in parts])
        if step % 25 == 24:
            first, later = np.mean(errors, axis=0)
            log(f"unet step {step + 1} first {first:.4f} later {later:.4f} {time.time() - started:.0f} s")
            errors = []
        if step % 100 == 99 or step == steps - 1:
            keep(checkpoint, nets, optimizer, ema, step + 1, export)
    ema.copy_to(nets["unet"].parameters())
    return nets.eval()
