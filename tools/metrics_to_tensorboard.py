#!/usr/bin/env python3
"""Runs' metrics.jsonl as TensorBoard's event files, a folder each; every number a scalar of its step.

    pip install tensorboardX
    tools/metrics_to_tensorboard.py runs/shakespeare-char runs/other --out logs && tensorboard --logdir logs
"""
import argparse
import json
import os

import tensorboardX


def scalars(value, name=""):
    """Numbers with their names, those of inner objects as "outer/inner"; texts and truth values are none."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from scalars(inner, f"{name}/{key}" if name else key)
    elif isinstance(value, (int, float)) and not isinstance(value, bool):
        yield name, value


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("runs", nargs="+")
    parser.add_argument("--out", required=True)
    args = parser.parse_args()
    for run in args.runs:
        with tensorboardX.SummaryWriter(os.path.join(args.out, os.path.basename(os.path.normpath(run)))) as writer, \
                open(os.path.join(run, "metrics.jsonl")) as file:
            for line in file:
                if not line.endswith("\n"):  # is being written
                    break
                metrics = json.loads(line)
                step = metrics.pop("step")
                for name, value in scalars(metrics):
                    writer.add_scalar(name, value, step)


if __name__ == "__main__":
    main()
