"""Stage 4: the text encoders, then the UNet on what they say, on stored latents."""
import math
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
BATCH_FIRST, BATCH_LATER = 12, 12
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


def draw_batch(rng, data, size, kind):
    """Returns (latents, weights, rules of the noise, prompts) of random stored scenes, square or wide."""
    latents, scenes = data[kind]
    rows = rng.integers(len(latents), size=size)
    prompts, rules = zip(*(prompt_and_rule(rng, scenes[row]) for row in rows))
    weights = torch.stack([weights_of(scenes[row], latents.shape[3] * 8) for row in rows])
    return latents[rows], weights, rules, list(prompts)


def loss_of(nets, tokenizers, data, step):
    """Returns (loss, error of the first step, error of later steps) on one batch."""
    rng, generator = np.random.default_rng((4, step)), torch.Generator().manual_seed(step)
    latents, weights, rules, prompts = draw_batch(rng, data, BATCH_FIRST, "wide" if step % WIDE_EVERY == WIDE_EVERY - 1 else "square")
    height, width = latents.shape[2:]
    device = nets["unet"].device
    latents, weights = latents.to(device), weights.to(device)
    text, time_ids = encode(nets, tokenizers, prompts), draw_time_ids(rng, BATCH_FIRST, width * 8).to(device)

    # The first step sees noise and nothing else, as in sampling: with x0 in it the network would read the answer off it.
    noise = noise_for(rules, height, width, generator).to(device)
    t = torch.full((BATCH_FIRST,), 999, device=device)
    sigma = SIGMAS.to(device)[t]
    first = predict(nets, sigma.view(-1, 1, 1, 1) * noise, sigma, t, text, time_ids)
    first_error = (weights * (first - latents).square()).mean()
    if step < LATER_FROM:
        return first_error, first_error, torch.zeros(())

    # Later steps see, besides true latents, the network's own first answer, which they have to sharpen.
    n = BATCH_LATER
    t = draw_later_timesteps(rng, n).to(device)
    own = torch.from_numpy(np.clip(rng.random(n) * 2.2 - 0.6, 0, 1).astype(np.float32)).view(-1, 1, 1, 1).to(device)
    known = own * first[:n].detach() + (1 - own) * latents[:n]
    sigma = SIGMAS.to(device)[t].view(-1, 1, 1, 1)
    noisy = known + sigma * later_noise(noise[:n], torch.randn(known.shape, generator=generator).to(device), sigma)
    later = predict(nets, noisy, sigma.flatten(), t, (text[0][:n], text[1][:n]), time_ids[:n])
    weight = (1 + 1 / sigma**2).clamp(max=3)
    later_error = (weight * weights[:n] * (later - latents[:n]).square()).mean()
    return first_error + later_error, first_error, later_error


@torch.no_grad()
def draw_sketches(nets, tokenizers, data, seed, batch):
    """Returns what sketch.learn asks for: latents, error weights, noise, text and time ids."""
    rng, generator = np.random.default_rng((6, seed)), torch.Generator().manual_seed(10**6 + seed)
    latents, weights, rules, prompts = draw_batch(rng, data, batch, "square")
    noise, time_ids = noise_for(rules, *latents.shape[2:], generator), draw_time_ids(rng, batch, latents.shape[3] * 8)
    device = nets["unet"].device
    return latents.to(device), weights.to(device), noise.to(device), encode(nets, tokenizers, prompts), time_ids.to(device)


def start_from(checkpoint, nets, train):
    """Loads the networks from a checkpoint; trains and writes it if it is not there."""
    if checkpoint.exists():
        nets.load_state_dict(torch.load(checkpoint, map_location="cpu", weights_only=False))
    else:
        train()
        torch.save(nets.state_dict(), checkpoint)


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
        state = torch.load(checkpoint, map_location=device, weights_only=False)
        nets.load_state_dict(state["nets"]), optimizer.load_state_dict(state["optimizer"]), ema.load_state_dict(state["ema"])
        done = state["done"]
    else:
        start_from(work / "text.pt", nets, lambda: train_text(nets, tokenizers, log))
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
            state = dict(nets=nets.state_dict(), optimizer=optimizer.state_dict(), ema=ema.state_dict(), done=step + 1)
            torch.save(state, checkpoint)
            ema.store(nets["unet"].parameters()), ema.copy_to(nets["unet"].parameters())
            export(nets)
            ema.restore(nets["unet"].parameters())
    ema.copy_to(nets["unet"].parameters())
    return nets.eval()
