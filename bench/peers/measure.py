"""Times one piece of work with torch or OpenVINO, once for each line on stdin, and tells it as JSON on stream 3.

Usage: yes | head -n 3 | python measure.py '{"engine": "torch-fp32", "model": DIR, "stage": "unet", "batch": 1, "steps": 1,
                                             "width": 512, "height": 512, "threads": 2, "converted": DIR}' 3>&1
"""
import io
import json
import os
import pathlib
import re
import sys
import time

order = json.loads(sys.argv[1])
stream = open(3, "w")  # libraries print to the others
# torch's pool for work outside its own; before torch is loaded
os.environ["OMP_NUM_THREADS"] = str(order["threads"])

import torch
from diffusers import EulerAncestralDiscreteScheduler
from PIL import Image

from parts import PARTS, load_torch, make_inputs

folder, engine, batch = order["model"], order["engine"], order["batch"]
width, height = order["width"], order["height"]
dtype = torch.bfloat16 if engine == "torch-bf16" else torch.float32


def open_torch(part):
    module = load_torch(folder, part, dtype)
    return lambda *inputs: module(*inputs)


def open_openvino(part):
    import openvino as ov

    core = ov.Core()
    model = core.read_model(pathlib.Path(order["converted"]) / f"{part}.xml")
    # Static shapes: what OpenVINO is fastest with.
    example = make_inputs(folder, part, batch, height, width)
    model.reshape({i: list(value.shape) for i, value in enumerate(example)})
    settings = {"INFERENCE_NUM_THREADS": order["threads"], "PERFORMANCE_HINT": "LATENCY", "NUM_STREAMS": 1}
    compiled = core.compile_model(model, "CPU", settings)

    def run(*inputs):
        results = compiled([value.float().numpy() if value.is_floating_point() else value.numpy() for value in inputs])
        values = [torch.from_numpy(results[i]) for i in range(len(compiled.outputs))]
        return values if len(values) > 1 else values[0]

    return run


def prepare(parts):
    """The work as a function, over parts that are loaded."""
    stage = order["stage"]
    if stage != "picture":
        inputs = {part: make_inputs(folder, part, batch, height, width, dtype) for part in parts}
        return lambda: [run(*inputs[part]) for part, run in parts.items()]
    ids = {part: make_inputs(folder, part, batch, height, width)[0] for part in ("text_encoder", "text_encoder_2")}
    scheduler = EulerAncestralDiscreteScheduler.from_pretrained(pathlib.Path(folder) / "scheduler")
    sizes = make_inputs(folder, "unet", batch, height, width, dtype)[4]

    def picture():
        first, _ = parts["text_encoder"](ids["text_encoder"])
        second, pooled = parts["text_encoder_2"](ids["text_encoder_2"])
        context = torch.cat([first, second], dim=-1)
        scheduler.set_timesteps(order["steps"])
        generator = torch.Generator().manual_seed(0)
        shape = make_inputs(folder, "vae", batch, height, width)[0].shape
        latents = torch.randn(shape, generator=generator).to(dtype) * scheduler.init_noise_sigma
        for timestep in scheduler.timesteps:
            scaled = scheduler.scale_model_input(latents, timestep)
            noise = parts["unet"](scaled, timestep.to(dtype), context, pooled, sizes).to(dtype)
            latents = scheduler.step(noise, timestep, latents, generator=generator).prev_sample
        for image in parts["vae"](latents).float():
            rgb = ((image / 2 + 0.5).clamp(0, 1) * 255).round().byte().permute(1, 2, 0).numpy()
            Image.fromarray(rgb).save(io.BytesIO(), "PNG")

    return picture


def tell(**message):
    print(json.dumps(message), file=stream, flush=True)


torch.set_num_threads(order["threads"])
with torch.inference_mode():
    started = time.perf_counter()
    opener = open_openvino if engine.startswith("openvino") else open_torch
    parts = {part: opener(part) for part in PARTS[order["stage"]]}
    load_seconds = time.perf_counter() - started
    work = prepare(parts)
    work()
    tell(ready=True)
    seconds = []
    for _ in sys.stdin:
        started = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - started)
        tell(seconds=seconds[-1])

status = pathlib.Path("/proc/self/status").read_text()
peak = int(re.search(r"VmHWM:\s+(\d+)", status)[1]) * 1024
names = ("engine", "stage", "batch", "steps", "width", "height", "threads")
result = {name: order[name] for name in names}
tell(**result, loadSeconds=load_seconds, seconds=seconds, peakRssBytes=peak)
