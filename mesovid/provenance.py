"""What a file says of where it came from: Content Credentials (C2PA), labels of AI content, IPTC's
digital source type, settings that generators leave in their files.

It is a claim of whoever wrote the file, and a file without one says nothing: metadata is lost where
a platform codes a video anew. So it makes no verdict `fake`; but what names AI is not called
`real`.

- C2PA 2.2, https://spec.c2pa.org: read by c2pa-python, without a network. Whether signature and
  content fit is checked; who holds the key is not.
- GB 45438-2025, China's label of AI content: a JSON object under the metadata key `AIGC`, in
  pictures within XMP.
- IPTC's digital source type in XMP, https://cv.iptc.org/newscodes/digitalsourcetype.
- Settings of generators, under keys of their own: prompts of ComfyUI
  (https://docs.comfy.org/development/api-development/workflow-metadata), parameters as Stable
  Diffusion web UI and many others write them, and those of InvokeAI, NovelAI and SwarmUI. ComfyUI
  does more than to generate: of it is said that a file may have been made by AI.
"""

from __future__ import annotations

import logging
import re
import struct
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import Any, BinaryIO, get_args

from mesovid.atoms import MOST_BOXES, all_boxes
from mesovid.names import shown
from mesovid.pictures import picture_kind
from mesovid.records import Declaration, Made, Verdict
from mesovid.texts import parse_json

CREDENTIALS, LABEL, XMP, METADATA = "Content Credentials", "AIGC label", "XMP", "metadata"
MOST_BYTES = 2**26  # of a picture, or of a box of metadata, that are looked through
BEGINNING = 4096  # bytes that tell what a file is
FIRST_BOXES = (b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip")  # of MP4 and QuickTime
CREDENTIALS_BOX = bytes.fromhex("d8fec3d61b0e483c92975828877ec481")
XMP_BOX = bytes.fromhex("be7acfcb97a942e89c71999491e3afac")
SOURCE_TYPE = re.compile(rb"digitalsourcetype/(\w{1,64})")
# the label within XMP, where quotes may be written as XML's entities
LABELLED = re.compile(
    rb"""AIGC.{0,200}?Label(?:"|&quot;|&\#34;)\s*:\s*(?:"|&quot;|&\#34;)?([123])\b""", re.DOTALL
)
# IPTC's digital source types, and C2PA's own; of others nothing is said
TYPES: dict[str, Made] = {
    "trainedAlgorithmicMedia": "ai",
    "trainedAlgorithmicData": "ai",
    "compositeWithTrainedAlgorithmicMedia": "partly ai",
    "compositeSynthetic": "partly ai",
    "digitalCapture": "camera",
    "computationalCapture": "camera",
}
LABELS: dict[str, Made] = {"1": "ai", "2": "perhaps ai", "3": "perhaps ai"}  # of GB 45438
# the tool that leaves such words in its files; the first one found counts
GENERATORS: tuple[tuple[str, Made, re.Pattern[bytes]], ...] = (
    ("InvokeAI", "ai", re.compile(rb"invokeai_metadata")),
    ("NovelAI", "ai", re.compile(rb"NovelAI (?:generated image|Diffusion)")),
    ("SwarmUI", "ai", re.compile(rb'"sui_image_params\\*"')),
    (
        "Stable Diffusion web UI, or a tool like it",
        "ai",
        re.compile(rb"Steps: \d{1,5}, Sampler: [^\n]{1,200}?CFG scale: \d"),
    ),
    # JSON within JSON has its quotes escaped
    ("ComfyUI", "perhaps ai", re.compile(rb'"(?:class_type|last_link_id)\\*"\s*:')),
)
BY_AI: tuple[Made, ...] = ("ai", "partly ai", "perhaps ai")
MOST_MANIFESTS = 100  # on the way from a file to what it was made from
LONGEST = 100  # characters of a name


def declared(path: Path, tags: Mapping[str, str]) -> tuple[Declaration, ...]:
    """What a video or picture says of its making; `tags` are its container's metadata."""
    found = [*_label(tags)]
    signed, kinds = False, set[str]()
    generator = _generator("\n".join(chain(*tags.items())).encode(errors="replace"))
    try:
        for piece in _pieces(path):
            generator = generator or _generator(piece)
            signed = signed or (b"jumb" in piece and b"c2pa" in piece)
            kinds |= {match.decode() for match in SOURCE_TYPE.findall(piece)}
            if not found and (label := LABELLED.search(piece)):
                found.append(Declaration(LABEL, LABELS[label[1].decode()]))
    except OSError:
        pass
    # credentials hold the same words as XMP
    found += _credentials(path) if signed else [Declaration(XMP, made) for made in _made(kinds)]
    return tuple(found + generator)


def in_words(said: Declaration) -> str:
    """A declaration as a sentence without its full stop."""
    if said.made == "unread":
        return f"it has {said.source}, which cannot be read here"
    if said.intact is False:
        return (
            f"its {said.source} do not fit it: it was changed since, or has those of another file"
        )
    made = {
        "ai": "it was made by AI",
        "partly ai": "it was made by AI in part",
        "perhaps ai": "it may have been made by AI",
        "camera": "it was captured by a camera",
        "other": "nothing is said of AI",
    }[said.made]
    tool = f" ({said.tool})" if said.tool else ""
    signed = said.signer and f", signed in the name of {said.signer}, which nobody has checked"
    return f"by its own {said.source} {made}{tool}{signed or ''}"


def heeded(
    verdict: Verdict, said: Sequence[Declaration], threshold: float | None = None
) -> Verdict:
    """The verdict on a file that says so much of itself: what names AI is not called real, unless
    by a threshold of the user's own.
    """
    by_ai = next((each for each in said if each.made in BY_AI and each.intact is not False), None)
    if by_ai is None or verdict.label != "real" or threshold is not None:
        return verdict
    return replace(verdict, label="uncertain", reason=f"{verdict.reason} But {in_words(by_ai)}.")


def beside(reason: str, said: Sequence[Declaration]) -> list[str]:
    """What a file says of itself beyond the reason of its verdict, a sentence each."""
    return [f"The file: {words}." for words in map(in_words, said) if words not in reason]


def _pieces(path: Path) -> Iterator[bytes]:
    """Where metadata lies: boxes of an MP4's extensions, a chunk of an AVI, the whole of a
    picture."""
    with path.open("rb") as file:
        end = file.seek(0, 2)
        file.seek(0)
        beginning = file.read(BEGINNING)
        if picture_kind(beginning) is not None:
            if end <= MOST_BYTES:
                yield beginning + file.read()
        elif beginning[4:8] in FIRST_BOXES:
            try:
                for name, begin, finish in all_boxes(file, 0, end):
                    file.seek(begin)
                    if name == b"uuid" and file.read(16) in (CREDENTIALS_BOX, XMP_BOX):
                        yield file.read(min(finish - begin - 16, MOST_BYTES))
            except struct.error:  # it ends within a box
                return
        elif beginning[:4] == b"RIFF" and beginning[8:12] == b"AVI ":
            yield from _chunks(file, end)


def _chunks(file: BinaryIO, end: int) -> Iterator[bytes]:
    """The credentials of an AVI: each chunk has its name and its size before it."""
    start = 12
    for _ in range(MOST_BOXES):
        file.seek(start)
        name, size = file.read(4), int.from_bytes(file.read(4), "little")
        if start + 8 > end:
            return
        if name == b"C2PA":
            yield file.read(min(size, MOST_BYTES))
        start += 8 + size + size % 2


def _label(tags: Mapping[str, str]) -> Iterator[Declaration]:
    text = next((value for key, value in tags.items() if key.lower() == "aigc"), "")
    if not text:
        return
    try:
        label = _object(parse_json(text))
    except ValueError:
        label = {}
    made = LABELS.get(str(label.get("Label")), "other")
    yield Declaration(LABEL, made, _name(label.get("ContentProducer")))


def _generator(words: bytes) -> list[Declaration]:
    """The generator whose settings are among these words, if there is one."""
    plain = words.replace(b"\0", b"")  # EXIF has them in UTF-16, too
    for tool, made, pattern in GENERATORS:
        if pattern.search(plain):
            return [Declaration(METADATA, made, tool)]
    return []


def _credentials(path: Path) -> Iterator[Declaration]:
    try:
        import c2pa
    except ImportError:
        yield Declaration(CREDENTIALS, "unread")
        return
    # nobody is asked for a manifest that lies elsewhere, nor whether a certificate was revoked
    quiet = {"verify": {"remote_manifest_fetch": False, "ocsp_fetch": False}}
    logging.getLogger("c2pa").setLevel(logging.CRITICAL)
    try:
        with (
            c2pa.Settings.from_dict(quiet) as settings,
            c2pa.Context(settings) as context,
            path.open("rb") as stream,
            c2pa.Reader(None, stream, context=context) as reader,
        ):
            store = parse_json(reader.json())
    except c2pa.C2paError.ManifestNotFound:
        return
    except (c2pa.C2paError, OSError, ValueError):
        yield Declaration(CREDENTIALS, "unread")
        return
    yield _of_store(store)


def _of_store(store: Any) -> Declaration:
    """The declaration of a manifest store, as c2pa-python writes it."""
    manifests = _object(_object(store).get("manifests"))
    active = _object(manifests.get(str(_object(store).get("active_manifest"))))
    intact = _object(store).get("validation_state") in ("Valid", "Trusted")
    own, parts = _source_types(manifests, active)
    made = next(iter(_made(own)), None)
    if made != "ai" and "ai" in _made(parts):
        made = "partly ai"
    infos = active.get("claim_generator_info")
    info = _object(infos[0]) if isinstance(infos, list) and infos else {}
    tool = _name(info.get("name")) or _name(active.get("claim_generator"))
    signer = _name(_object(active.get("signature_info")).get("issuer"))
    return Declaration(CREDENTIALS, made or "other", tool, signer, intact)


def _source_types(
    manifests: Mapping[str, Any], active: Mapping[str, Any]
) -> tuple[set[str], set[str]]:
    """Digital source types: of the file with what it was before, and of what was put into it."""
    own: set[str] = set()
    parts: set[str] = set()
    pending, seen = [(active, own)], 0
    while pending and seen < MOST_MANIFESTS:
        manifest, kinds = pending.pop()
        seen += 1
        for assertion in _objects(manifest.get("assertions")):
            if str(assertion.get("label")).startswith("c2pa.actions"):
                for action in _objects(_object(assertion.get("data")).get("actions")):
                    kinds.add(str(action.get("digitalSourceType")).rsplit("/", 1)[-1])
        for ingredient in _objects(manifest.get("ingredients")):
            before = _object(manifests.get(str(ingredient.get("active_manifest"))))
            whole = ingredient.get("relationship") == "parentOf"
            pending.append((before, kinds if whole else parts))
    return own, parts


def _made(kinds: set[str]) -> list[Made]:
    """What source types mean, what matters most first."""
    found = {TYPES[kind] for kind in kinds if kind in TYPES}
    return [made for made in get_args(Made) if made in found]


def _object(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _objects(value: Any) -> list[Mapping[str, Any]]:
    return [_object(each) for each in value] if isinstance(value, list) else []


def _name(value: Any) -> str | None:
    text = shown(value.strip()[:LONGEST]) if isinstance(value, str) else ""
    return text or None
