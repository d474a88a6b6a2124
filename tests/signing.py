"""Files that say how they were made: by tags, or by Content Credentials that are signed with a
certificate made here.
"""

from __future__ import annotations

import datetime
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import av
import c2pa
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from PIL import Image
from PIL.PngImagePlugin import PngInfo

IPTC = "http://cv.iptc.org/newscodes/digitalsourcetype/"
Sign = Callable[..., Path]
MIME = {
    ".mp4": "video/mp4",
    ".mov": "video/quicktime",
    ".avi": "video/x-msvideo",
    ".jpg": "image/jpeg",
    ".png": "image/png",
    ".webp": "image/webp",
    ".avif": "image/avif",
    ".gif": "image/gif",
}


def tagged(source: Path, target: Path, tags: dict[str, str]) -> Path:
    """The video of a clip, in a container with these tags."""
    options = {"movflags": "use_metadata_tags"} if target.suffix == ".mp4" else {}
    with av.open(str(source)) as clip, av.open(str(target), "w", options=options) as output:
        stream = output.add_stream_from_template(clip.streams.video[0])
        output.metadata.update(tags)
        for packet in clip.demux(clip.streams.video[0]):
            if packet.dts is not None:
                packet.stream = stream
                output.mux(packet)
    return target


PARAMETERS = "a man\nSteps: 20, Sampler: DPM++ 2M, Schedule type: Karras, CFG scale: 7, Seed: 1"
PROMPT = json.dumps({"3": {"class_type": "KSampler", "inputs": {"seed": 1}}})


def with_settings(folder: Path, picture: Path, clip: Path, kind: str) -> Path:
    """A picture or a clip with the settings of a generator, where that leaves them."""
    if kind.startswith("clip"):
        name, tags = {
            "clip of ComfyUI": ("made.mp4", {"prompt": PROMPT}),
            "clip of its nodes": ("made.mp4", {"comment": json.dumps({"prompt": PROMPT})}),
            "clip of InvokeAI": ("made.mp4", {"invokeai_metadata": "{}"}),
            "clip of the web UI": ("made.mkv", {"comment": PARAMETERS}),
        }[kind]
        return tagged(clip, folder / name, tags)
    image = Image.open(picture)
    exif, text = image.getexif(), PngInfo()
    if kind == "JPEG of the web UI":
        exif.get_ifd(0x8769)[0x9286] = b"UNICODE\0" + PARAMETERS.encode("utf-16-be")
        image.save(folder / "made.jpg", quality=95, exif=exif)
        return folder / "made.jpg"
    if kind == "WebP of ComfyUI":
        exif[0x010F] = f"prompt:{PROMPT}"  # where a camera's maker stands
        image.save(folder / "made.webp", quality=95, exif=exif)
        return folder / "made.webp"
    for key, value in {
        "PNG of the web UI": {"parameters": PARAMETERS},
        "PNG of ComfyUI": {"prompt": PROMPT, "workflow": '{"last_link_id": 9}'},
        "PNG of SwarmUI": {"parameters": '{"sui_image_params": {"steps": 20}}', "prompt": PROMPT},
        "PNG of NovelAI": {"Title": "NovelAI generated image", "Software": "NovelAI"},
    }[kind].items():
        text.add_text(key, value)
    image.save(folder / "made.png", pnginfo=text)
    return folder / "made.png"


def certificate(
    subject: str, key: ec.EllipticCurvePrivateKey, issuer: str, signer: ec.EllipticCurvePrivateKey
) -> x509.Certificate:
    authority = key is signer
    now = datetime.datetime.now(datetime.UTC)
    uses = dict.fromkeys(
        (
            "content_commitment", "key_encipherment", "data_encipherment", "key_agreement",
            "encipher_only", "decipher_only", "crl_sign",
        ),
        False,
    )  # fmt: skip
    names = [
        x509.Name(
            [
                x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Example Studio"),
                x509.NameAttribute(NameOID.COMMON_NAME, common),
            ]
        )
        for common in (subject, issuer)
    ]
    made = (
        x509.CertificateBuilder()
        .subject_name(names[0])
        .issuer_name(names[1])
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
        .add_extension(
            x509.KeyUsage(digital_signature=not authority, key_cert_sign=authority, **uses),
            critical=True,
        )
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()), critical=False
        )
    )
    if not authority:
        made = made.add_extension(
            x509.ExtendedKeyUsage([ExtendedKeyUsageOID.EMAIL_PROTECTION]), critical=False
        )
    return made.sign(signer, hashes.SHA256())


@pytest.fixture(scope="session")
def sign(tmp_path_factory: pytest.TempPathFactory) -> Sign:
    """Gives a copy of a file credentials that name a digital source type; without one, they say
    that the file was edited."""
    folder = tmp_path_factory.mktemp("signed")
    root, leaf = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    chain = (certificate("leaf", leaf, "root", root), certificate("root", root, "root", root))
    signer = c2pa.Signer.from_info(
        c2pa.C2paSignerInfo(
            alg=b"es256",
            sign_cert=b"".join(each.public_bytes(serialization.Encoding.PEM) for each in chain),
            private_key=leaf.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            ),
            ta_url=None,
        )
    )

    def signed(path: Path, kind: str | None, part: Path | None = None) -> Path:
        manifest: dict[str, Any] = {
            "claim_generator_info": [{"name": "Example Video\x1b[31m", "version": "2"}]
        }
        if kind is not None:
            action = {"action": "c2pa.created", "digitalSourceType": f"{IPTC}{kind}"}
            manifest["assertions"] = [{"label": "c2pa.actions", "data": {"actions": [action]}}]
        builder = c2pa.Builder(manifest)
        if kind is None:
            builder.set_intent(c2pa.C2paBuilderIntent.EDIT)
        if part is not None:
            about = json.dumps({"title": part.name, "relationship": "componentOf"})
            with part.open("rb") as stream:
                builder.add_ingredient(about, MIME[part.suffix], stream)
        output = folder / f"{len(list(folder.iterdir()))}{path.suffix}"
        with path.open("rb") as source, output.open("w+b") as target:
            builder.sign(signer, MIME[path.suffix], source, target)
        return output

    return signed
