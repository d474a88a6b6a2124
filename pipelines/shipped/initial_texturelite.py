"""Makes the model that TextureLite's training starts from: MesoLite's trunk under a new head.

python pipelines/shipped/initial_texturelite.py FOLDER [MODEL]

MODEL is a MesoLite, by name or path; without it, the one that ships.
"""

from __future__ import annotations

import dataclasses
import sys
from pathlib import Path

import numpy as np

from mesovid.models.architectures import build
from mesovid.models.card import find_card, read_card
from mesovid.models.export import write_model
from mesovid.models.weights import fill, read_layers


def main() -> None:
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    mesolite = sys.argv[2] if len(sys.argv) > 2 else "mesolite"
    card = read_card(mesolite)
    model = build("texturelite", card.network, size=card.geometry.size)
    *trunk, _ = read_layers(find_card(mesolite).with_suffix(".keras"))
    norm = model.get_layer("texture_norm").get_weights()
    # begin at one half
    logit = [np.zeros_like(array) for array in model.get_layer("logit").get_weights()]
    fill(model, [*trunk, norm, logit], "mesolite")
    made = dataclasses.replace(
        card,
        name="texturelite-initial",
        summary="MesoLite's trunk under a head that knows nothing yet",
        architecture="texturelite",
        parameters=None,
        figures=(),
        limits="Knows nothing of generated faces: only a start for training.",
    )
    write_model(model, made, folder)


if __name__ == "__main__":
    main()
