"""Fetches onnxruntime-web anew into ort/, with its licence and the hashes of its files.

The code comes from the npm package, which holds no licence; LICENSE and ThirdPartyNotices.txt are
those of the same version's Python package, of the same repository (microsoft/onnxruntime).
"""

from __future__ import annotations

import gzip
import hashlib
import json
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from pathlib import Path

TARGET = Path(__file__).with_name("ort")
CODE = ("ort.wasm.min.mjs", "ort-wasm-simd-threaded.mjs", "ort-wasm-simd-threaded.wasm")
TEXTS = ("LICENSE", "ThirdPartyNotices.txt")


def main(version: str) -> None:
    """Replace the files in ort/ by those of `version`."""
    with tempfile.TemporaryDirectory() as folder:
        contents = _code(version, Path(folder)) | _texts(version, Path(folder))
    files = {}
    for name, content in contents.items():
        if name.endswith(".wasm"):
            name, content = f"{name}.gz", gzip.compress(content, 9, mtime=0)
        (TARGET / name).write_bytes(content)
        digest = hashlib.sha256(content).hexdigest()
        files[name] = {"sha256": digest, "bytes": len(content), "licence": "MIT"}
    manifest = {
        "name": "onnxruntime-web",
        "version": version,
        "source": f"npm:onnxruntime-web@{version}",
        "texts": f"pypi:onnxruntime=={version}",
        "files": files,
    }
    (TARGET / "manifest.json").write_text(json.dumps(manifest, indent=1) + "\n", encoding="utf-8")


def _code(version: str, folder: Path) -> dict[str, bytes]:
    subprocess.run(["npm", "pack", f"onnxruntime-web@{version}"], cwd=folder, check=True)
    (archive,) = folder.glob("*.tgz")
    found = {}
    with tarfile.open(archive) as package:
        for name in CODE:
            file = package.extractfile(f"package/dist/{name}")
            assert file is not None
            found[name] = file.read()
    return found


def _texts(version: str, folder: Path) -> dict[str, bytes]:
    options = ("--no-deps", "--only-binary=:all:", "-d", str(folder))
    command = [sys.executable, "-m", "pip", "download", *options, f"onnxruntime=={version}"]
    subprocess.run(command, check=True)
    (wheel,) = folder.glob("*.whl")
    with zipfile.ZipFile(wheel) as package:
        return {name: package.read(f"onnxruntime/{name}") for name in TEXTS}


if __name__ == "__main__":
    main(sys.argv[1])
