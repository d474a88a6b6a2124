"""MesoLite in PyTorch, to train it on a GPU where TensorFlow is not to be had.

The same network as `mesovid.models.mesolite` builds in Keras, and the same numbers: arrays go in
and out by the names of Keras's layers.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from mesovid.models.mesolite import INPUT_OFFSET, INPUT_SCALE, PART_SIDES, PARTS, STAGES, STEM

EPSILON, MOMENTUM = 1e-3, 0.99  # Keras's, of batch normalisation
Arrays = dict[str, np.ndarray]  # "layer/number of its weight" -> as Keras holds it


class MesoLite(nn.Module):
    """Logits of P(fake) (n,) of uint8 RGB crops (n, 3, side, side)."""

    def __init__(self, dropout: float) -> None:
        super().__init__()
        self.named: dict[str, Convolution] = {"stem": Convolution(3, STEM, 3, 2)}
        layers: list[nn.Module] = [self.named["stem"]]
        channels = STEM
        for stage, (expansion, filters, blocks, kernel, stride) in enumerate(STAGES):
            for number in range(blocks):
                block = Block(channels, expansion, filters, kernel, 1 if number else stride)
                for part, layer in block.named_children():
                    self.named[f"stage{stage}_block{number}_{part}"] = layer
                layers.append(block)
                channels = filters
        self.trunk = nn.Sequential(*layers)
        self.dropout = nn.Dropout(dropout)
        self.logit = nn.Linear(channels * len(PARTS), 1)

    def forward(self, crops: torch.Tensor) -> torch.Tensor:
        x = crops.float() * INPUT_SCALE + INPUT_OFFSET
        features = self.trunk(x.contiguous(memory_format=torch.channels_last))
        with torch.autocast(features.device.type, enabled=False):
            return self.logit(self.dropout(_contrasts(features.float())))[:, 0]

    @torch.no_grad()
    def scores(self, crops: np.ndarray) -> np.ndarray:
        """P(fake) (n,) of uint8 RGB crops (n, side, side, 3)."""
        return torch.sigmoid(self(torch.from_numpy(crops).permute(0, 3, 1, 2))).numpy()

    @torch.no_grad()
    def load(self, arrays: Arrays) -> None:
        """Take the weights of a Keras model of MesoLite."""
        for name, layer in self.named.items():
            order = (2, 3, 0, 1) if name.endswith("depthwise") else (3, 2, 0, 1)
            layer.filters.weight.copy_(_tensor(arrays[f"{name}/0"].transpose(order)))
            for number, each in enumerate(layer.moments()):
                each.copy_(_tensor(arrays[f"{name}_norm/{number}"]))
        self.logit.weight.copy_(_tensor(arrays["logit/0"].T))
        self.logit.bias.copy_(_tensor(arrays["logit/1"]))

    def arrays(self) -> Arrays:
        """The weights as Keras holds them."""
        found: Arrays = {}
        for name, layer in self.named.items():
            order = (2, 3, 0, 1) if name.endswith("depthwise") else (2, 3, 1, 0)
            found[f"{name}/0"] = _array(layer.filters.weight).transpose(order)
            for number, each in enumerate(layer.moments()):
                found[f"{name}_norm/{number}"] = _array(each)
        return found | {"logit/0": _array(self.logit.weight).T, "logit/1": _array(self.logit.bias)}


class Convolution(nn.Module):
    """Convolution, padded as Keras does, batch normalisation and, unless told, ReLU6."""

    def __init__(
        self,
        channels: int,
        filters: int,
        kernel: int,
        stride: int,
        *,
        groups: int = 1,
        active: bool = True,
    ) -> None:
        super().__init__()
        self.active = active
        # an even side at a stride of 2: one pixel less before than behind
        before = (kernel - 1) // 2 if stride == 1 else (kernel - 2) // 2
        self.padding = (before, kernel - stride - before) if stride == 2 else None
        self.filters = nn.Conv2d(
            channels,
            filters,
            kernel,
            stride,
            0 if self.padding else before,
            groups=groups,
            bias=False,
        )
        self.norm = nn.BatchNorm2d(filters, eps=EPSILON, momentum=1 - MOMENTUM)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if self.padding:
            x = functional.pad(x, self.padding * 2)
        x = self.norm(self.filters(x))
        return functional.relu6(x) if self.active else x

    def moments(self) -> tuple[torch.Tensor, ...]:
        """In Keras's order."""
        norm = self.norm
        return norm.weight, norm.bias, norm.running_mean, norm.running_var


class Block(nn.Module):
    """An inverted residual."""

    def __init__(
        self, channels: int, expansion: int, filters: int, kernel: int, stride: int
    ) -> None:
        super().__init__()
        wide = channels * expansion
        if expansion > 1:
            self.expand = Convolution(channels, wide, 1, 1)
        self.depthwise = Convolution(wide, wide, kernel, stride, groups=wide)
        self.project = Convolution(wide, filters, 1, 1, active=False)
        self.added = stride == 1 and channels == filters

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = x
        for layer in self.children():
            y = layer(y)
        return x + y if self.added else y


def _contrasts(x: torch.Tensor) -> torch.Tensor:
    """As `mesovid.models.mesolite` compares the parts of a face with the crop."""
    rows, columns = x.shape[2:]
    sides = math.floor(PART_SIDES * columns)
    whole = x.mean((2, 3))
    return torch.cat(
        [
            x[
                :, :, math.floor(top * rows) : math.ceil(bottom * rows), sides : columns - sides
            ].mean((2, 3))
            - whole
            for top, bottom in PARTS.values()
        ],
        1,
    )


def _tensor(array: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(np.ascontiguousarray(array))


def _array(tensor: torch.Tensor) -> np.ndarray:
    return tensor.detach().float().cpu().numpy().copy()
