"""Makes torch-detector.onnx and its scores for the tests of `mesovid models import`.

It is a detector as others export it.

    pip install torch onnx onnxscript && python tests/golden/export_torch_detector.py tests/golden

The network is small and random: RGB in NCHW, normalised as for ImageNet, two logits (real, fake).
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np

SIZE = 64  # px
FACES = 5
MEAN, DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def faces() -> np.ndarray:
    """Crops (n, size, size, 3), uint8 RGB; the tests draw the same."""
    rng = np.random.default_rng(7)
    coarse = rng.integers(0, 256, (FACES, SIZE // 8, SIZE // 8, 3), dtype=np.uint8)
    return coarse.repeat(8, axis=1).repeat(8, axis=2)


def network():  # type: ignore[no-untyped-def]  # torch is there for whoever runs this, not for the tests
    import torch
    from torch import nn

    torch.manual_seed(7)
    model = nn.Sequential(
        nn.Conv2d(3, 8, 3, stride=2, padding=1), nn.BatchNorm2d(8), nn.SiLU(),
        nn.Conv2d(8, 16, 3, stride=2, padding=1, groups=2), nn.ReLU(),
        nn.AdaptiveAvgPool2d(4), nn.Flatten(), nn.Linear(256, 2),
    )  # fmt: skip
    with torch.no_grad():
        model[1].running_mean.uniform_(-0.3, 0.3)
        model[1].running_var.uniform_(0.5, 1.5)
        model[-1].weight.mul_(60)  # scores far from one half
    return model.eval()


def main(folder: Path) -> None:
    import torch

    model = network()
    values = torch.tensor(faces()).permute(0, 3, 1, 2) / 255
    values = (values - torch.tensor(MEAN)[:, None, None]) / torch.tensor(DEVIATION)[:, None, None]
    with torch.no_grad():
        fake = torch.softmax(model(values), dim=1)[:, 1]
    batch = torch.export.Dim("batch")
    torch.onnx.export(
        model, (values,), folder / "torch-detector.onnx", dynamo=True, external_data=False,
        dynamic_shapes=({0: batch},), input_names=["face"], output_names=["scores"],
    )  # fmt: skip
    _forget_places(folder / "torch-detector.onnx")
    (folder / "torch-detector.json").write_text(
        json.dumps({"torch": torch.__version__, "fake_probability": fake.tolist()}, indent=1) + "\n"
    )


def _forget_places(path: Path) -> None:
    """Remove the places in code that the exporter notes for each operator.

    They hold paths of this machine.
    """
    import onnx

    exported = onnx.load(path)
    for node in exported.graph.node:
        del node.metadata_props[:]
    onnx.save(exported, path)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
