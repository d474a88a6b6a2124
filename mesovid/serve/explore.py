"""Writes the page as a static site: it finds and judges faces in the visitor's own browser.

A folder for any host, or one file that opens by a double click. Nothing that a visitor opens is
sent anywhere: there is no server to send it to, and the page's policy forbids every other address.
"""

from __future__ import annotations

import base64
import gzip
import hashlib
import html
import json
import re
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mesovid import __version__
from mesovid.assets import trained_models
from mesovid.errors import ModelError
from mesovid.explain.explainer import Explainer
from mesovid.files import appearing, reported, write_whole
from mesovid.models.card import ModelCard, card_at, find_card, find_member
from mesovid.models.classifier import load_model
from mesovid.models.curves import read_curves
from mesovid.records import Pixels
from mesovid.serve.samples import ROOT as SAMPLE_FILES
from mesovid.serve.samples import SAMPLES
from mesovid.settings import FaceSettings, RuntimeSettings, SampleSettings, ScanSettings

PAGE = Path(__file__).with_name("page")
RUNTIME = "vendor/ort"
SCRIPTS = {"module": "ort.wasm.min.mjs", "glue": "ort-wasm-simd-threaded.mjs"}
WASM = "ort-wasm-simd-threaded.wasm.gz"
TEXTS = ("LICENSE", "ThirdPartyNotices.txt", "manifest.json")
DETECTOR = {name: f"mtcnn-{name}.onnx" for name in ("pnet", "rnet", "onet")}
DETECTOR_LICENCE = "MTCNN-LICENSE.txt"
FOLDER_POLICY = (
    "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; worker-src 'self';"
    " style-src 'self'; img-src 'self' blob: data:; media-src 'self' blob:;"
    " connect-src 'self' blob:; base-uri 'none'; form-action 'none'"
)
FILE_POLICY = (
    "default-src 'none'; script-src 'sha256-{script}' blob: 'wasm-unsafe-eval';"
    " style-src 'sha256-{style}'; img-src blob: data:; media-src blob:; connect-src blob:;"
    " base-uri 'none'; form-action 'none'"
)
FOR = "the site"

# one server's parts of index.html, which a site without one leaves out
_SERVED = re.compile(r"<!--served-->.*?<!--/served-->", re.DOTALL)
# modules name each other by paths relative to themselves
_IMPORT = re.compile(r"""((?:from|import)\s*\(?\s*)(["'])(\.{1,2}/[^"']+)\2""")
# turns each module into an address, in an order in which all that it names has one already
_LOADER = """
const held = JSON.parse(document.getElementById("modules").textContent);
const addresses = {};
const address = (part, kind) => URL.createObjectURL(new Blob([part], { type: kind }));
for (const { path, text } of held) {
  const linked = text.replace(/mesovid:([\\w./-]+)/g, (_, name) => addresses[name]);
  addresses[path] = address(linked, "text/javascript");
}
for (const node of document.querySelectorAll("script[data-kind]")) {
  const bytes = Uint8Array.from(atob(node.textContent), (letter) => letter.charCodeAt(0));
  addresses[node.id.replace("file ", "")] = address(bytes, node.dataset.kind);
}
window.mesovid = { addresses };
import(addresses["js/main.js"]);
"""


@dataclass(frozen=True, slots=True)
class Shown:
    """A model as the page knows it."""

    about: dict[str, Any]  # its card, with what the browser needs beside it
    network: Path | None  # a panel has none of its own


def write_site(folder: Path, models: Sequence[str]) -> Path:
    """Write the site into a new or empty folder, and give the path of its index.html.

    ModelError for a model that cannot be shown; OutputError when it cannot be written.
    """
    shown = _models(models)
    with appearing(folder, FOR) as work:
        for path in _page_files():
            _copy(PAGE / path, work / path)
        for name in (*SCRIPTS.values(), WASM, *TEXTS):
            _copy(PAGE / RUNTIME / name, work / RUNTIME / name)
        for source in _networks(shown):
            _copy(source, work / "models" / source.name)
        _copy(trained_models() / DETECTOR_LICENCE, work / "models" / DETECTOR_LICENCE)
        for sample in SAMPLES:
            _copy(SAMPLE_FILES / sample.file, work / "samples" / sample.file)
        text = json.dumps(_site(shown), ensure_ascii=False)
        (work / "explore.json").write_text(text, encoding="utf-8")
        policy = f'<meta http-equiv="Content-Security-Policy" content="{FOLDER_POLICY}" />'
        (work / "index.html").write_text(_index(policy), encoding="utf-8")
    return folder / "index.html"


def write_file(path: Path, models: Sequence[str]) -> Path:
    """Write all of the site into one file, and give its path. Errors as of `write_site`."""
    shown = _models(models)
    style = (PAGE / "app.css").read_text(encoding="utf-8")
    policy = FILE_POLICY.format(script=_digest(_LOADER), style=_digest(style))
    text = _index(f'<meta http-equiv="Content-Security-Policy" content="{policy}" />')
    parts = {
        r'<link rel="stylesheet"[^>]*>': f"<style>{style}</style>",
        r'<script type="module"[^>]*></script>': "",
        "</body>": f"{''.join(_held(shown))}<script>{_LOADER}</script></body>",
    }
    for tag, inside in parts.items():
        (old,) = re.findall(tag, text)
        text = text.replace(old, inside)
    with reported(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, text.encode())
    return path


def _models(names: Sequence[str]) -> list[Shown]:
    """The models asked for, and the members of panels among them; each once."""
    found: dict[str, Shown] = {}
    for name in names:
        path = find_card(name)
        card = card_at(path)
        for each in (*(find_member(path, member) for member in card.members), path):
            own = card_at(each)
            if own.name in found and found[own.name].network != _network(each, own):
                raise ModelError(f"two models are called {own.name}; a site has room for one")
            found.setdefault(own.name, _shown(each, own))
    # in the order in which they were asked for, what a panel needs behind
    wanted = [card_at(find_card(name)).name for name in names]
    order = [*dict.fromkeys(wanted), *(name for name in found if name not in wanted)]
    return [found[name] for name in order]


def _network(path: Path, card: ModelCard) -> Path | None:
    return None if card.members else path.with_suffix(".onnx")


def _shown(path: Path, card: ModelCard) -> Shown:
    runtime = RuntimeSettings(threads=1, device="cpu")
    curves = read_curves(path, card.sha256.get("onnx", "")).to_dict()
    kept = ("sha256", "epochs", "best_epoch", "measured")
    about = card.to_dict() | {"curves": {key: curves[key] for key in kept}}
    if card.geometry.interpolation == "cubic":
        raise ModelError(f"{card.name} cuts faces by cubic interpolation, which the page cannot do")
    if card.members:
        digest = load_model(path, runtime).ref.sha256
        return Shown(about | {"plan": None, "file": None, "digest": digest}, None)
    explainer = Explainer(path, runtime)
    network = path.with_suffix(".onnx")
    more = {
        "plan": explainer.plan(),
        "file": f"models/{network.name}",
        "digest": explainer.ref.sha256,
    }
    probe = {"probe": float(explainer.logits(pattern(card.geometry.size)[None])[0])}
    return Shown(about | more | probe, network)


def pattern(side: int) -> Pixels:
    """Noise that the page makes alike, to see whether a browser computes what it should."""
    values = np.empty(side * side * 4, np.uint8)
    state = 1
    for i in range(len(values)):
        state = (state * 1103515245 + 12345) & 0x7FFFFFFF
        values[i] = state >> 16 & 255
    return values.reshape(side, side, 4)[..., :3].copy()


def _networks(shown: Sequence[Shown]) -> Iterator[Path]:
    yield from (each.network for each in shown if each.network is not None)
    yield from (trained_models() / name for name in DETECTOR.values())


def _site(shown: Sequence[Shown]) -> dict[str, Any]:
    """What the page is told: models, samples, settings, and where its files lie."""
    first = next(each.about for each in shown if each.network is not None)
    settings = {**asdict(SampleSettings()), **asdict(FaceSettings())}
    rules = ScanSettings(model=shown[0].about["name"])
    return {
        "version": __version__,
        "default_model": rules.model,
        "models": [each.about for each in shown],
        "samples": [
            asdict(sample)
            | {
                "path": f"samples/{sample.file}",
                "size": (SAMPLE_FILES / sample.file).stat().st_size,
            }
            for sample in SAMPLES
        ],
        "runtime": {key: f"{RUNTIME}/{name}" for key, name in (*SCRIPTS.items(), ("wasm", WASM))},
        "detector": {key: f"models/{name}" for key, name in DETECTOR.items()},
        "settings": settings
        | {
            "model": rules.model,
            "threshold": rules.threshold,
            "aggregate": rules.aggregate,
            "min_faces": rules.min_faces,
        },
        "probe": {
            "model": first["name"],
            "side": first["geometry"]["size"],
            "logit": first["probe"],
        },
    }


def _page_files() -> list[str]:
    found = [PAGE / "app.css", *sorted((PAGE / "js").rglob("*.js"))]
    return [path.relative_to(PAGE).as_posix() for path in found]


def _copy(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, target)


def _index(policy: str) -> str:
    """index.html without what needs a server, by relative addresses."""
    text = (PAGE / "index.html").read_text(encoding="utf-8")
    text, parts = _SERVED.subn("", text)
    text, roots = re.subn(r'"/static/', '"', text)
    text, heads = re.subn(r"<html\b", '<html data-source="browser"', text)
    text, names = re.subn(r"(<meta charset[^>]*>)", lambda found: found[1] + policy, text)
    text, feet = re.subn(r"(<footer[^>]*>)", lambda found: found[1] + _licences(), text)
    assert parts
    assert roots
    assert heads == names == feet == 1
    return text


def _licences() -> str:
    """What the page is made of and on which terms, at its foot."""
    detector = (trained_models() / DETECTOR_LICENCE).read_text(encoding="utf-8")
    runtime = (PAGE / RUNTIME / "LICENSE").read_text(encoding="utf-8")
    parts = (
        f"This page: mesovid {__version__}, Apache-2.0. The terms of each model stand on its page.",
        f"The detector's networks (models/mtcnn-*.onnx):\n{detector}",
        f"ONNX Runtime Web ({RUNTIME}), with the works that {RUNTIME}/ThirdPartyNotices.txt names:"
        f"\n{runtime}",
    )
    text = html.escape("\n\n".join(part.strip() for part in parts))
    return (
        "<p>Nothing leaves this browser: the page has no server and asks no other address.</p>"
        f'<details><summary>Licences</summary><pre class="licences" tabindex="0">{text}</pre>'
        "</details>"
    )


def _held(shown: Sequence[Shown]) -> Iterator[str]:
    """Modules, networks and samples as parts of the page."""
    yield f'<script type="application/json" id="site">{_json(_site(shown))}</script>'
    yield f'<script type="application/json" id="modules">{_json(_modules())}</script>'
    for path in (PAGE / RUNTIME / WASM, PAGE / RUNTIME / "ThirdPartyNotices.txt"):
        yield _packed(f"{RUNTIME}/{path.name}", path)
    for path in _networks(shown):
        yield _packed(f"models/{path.name}", path)
    for sample in SAMPLES:
        content = (SAMPLE_FILES / sample.file).read_bytes()
        name = f"samples/{sample.file}"
        yield f'<script type="text/plain" id="file {name}" data-kind="{sample.kind}">'
        yield f"{base64.b64encode(content).decode()}</script>"


def _packed(name: str, path: Path) -> str:
    content = path.read_bytes()
    if path.suffix != ".gz":
        content = gzip.compress(content, 9, mtime=0)
    text = base64.b64encode(content).decode()
    return f'<script type="text/plain" id="file {name}">{text}</script>'


def _modules() -> list[dict[str, str]]:
    """The page's modules, each behind those that it names."""
    texts = {
        path: (PAGE / path).read_text(encoding="utf-8")
        for path in _page_files()
        if path.endswith(".js") and not path.endswith("/worker.js")  # a page of one file has none
    }
    texts |= {
        f"{RUNTIME}/{name}": (PAGE / RUNTIME / name).read_text(encoding="utf-8")
        for name in SCRIPTS.values()
    }
    linked: dict[str, str] = {}
    named: dict[str, list[str]] = {}
    for path, text in texts.items():
        inner: list[str] = []

        def link(found: re.Match[str], path: str = path, inner: list[str] = inner) -> str:
            target = _beside(path, found[3])
            inner.append(target)
            return f"{found[1]}{found[2]}mesovid:{target}{found[2]}"

        linked[path] = text if path.startswith(RUNTIME) else _IMPORT.sub(link, text)
        named[path] = inner
    order: list[str] = []
    while len(order) < len(texts):
        ready = [p for p in texts if p not in order and set(named[p]) <= set(order)]
        assert ready, f"modules that import each other: {sorted(set(texts) - set(order))}"
        order += ready
    return [{"path": path, "text": linked[path]} for path in order]


def _beside(path: str, relative: str) -> str:
    parts = path.split("/")[:-1]
    for part in relative.split("/"):
        if part == "..":
            parts.pop()
        elif part != ".":
            parts.append(part)
    return "/".join(parts)


def _json(value: object) -> str:
    """JSON that ends no script, whatever it holds."""
    return json.dumps(value, ensure_ascii=False).replace("<", "\\u003c")


def _digest(text: str) -> str:
    return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
