"""Runs the stages of the training one after the other, resuming from the checkpoints in --work. See README.md."""
import argparse
import pathlib
import time

import torch

from classifier import train_classifier
from export import export_nets, export_rest, export_vae
from latents import store_latents
from practise import practise
from unet import load_tokenizers, train_unet
from vae import finish_decoder, train_vae

STAGES = ("tokenizers", "vae", "latents", "unet", "decoder", "classifier")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", type=pathlib.Path, required=True, help="folder for checkpoints, data and the log")
    parser.add_argument("--out", type=pathlib.Path, required=True, help="folder of the finished model")
    parser.add_argument("--stages", nargs="+", choices=STAGES, default=STAGES, help="what to train; stages before it must be done")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--device", default="cpu", help="where text encoders and UNet are trained: cpu or cuda")
    args = parser.parse_args()
    args.work.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(args.threads)

    def log(line):
        with open(args.work / "train.log", "a") as file:
            print(time.strftime("%H:%M:%S"), line, file=file, flush=True)

    if "tokenizers" in args.stages:
        export_rest(args.out)
    if {"vae", "latents", "unet", "decoder"} & set(args.stages):
        vae = train_vae(args.work, log)
        data = store_latents(args.work, vae, log)
        export_vae(vae, data["scaling_factor"], args.out)
    if "unet" in args.stages:
        tokenizers, export = load_tokenizers(args.out), lambda nets: export_nets(nets, args.out)
        nets = train_unet(args.work, data, tokenizers, log, export, device=args.device)
        practise(args.work, nets, data, tokenizers, log, export)
    if "decoder" in args.stages:
        finish_decoder(args.work, vae, log)
        export_vae(vae, data["scaling_factor"], args.out)
    if "classifier" in args.stages:
        train_classifier(pathlib.Path(__file__).parent, log)


if __name__ == "__main__":
    main()
