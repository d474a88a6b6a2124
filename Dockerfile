# docker build -t mesovid . && docker run --rm -v "$PWD:/videos" mesovid scan /videos/clip.mp4
# docker build -t mesovid-worker --target worker .    # no TensorFlow: docs/scale.md

FROM python:3.12-slim AS parts
COPY requirements/worker.txt /requirements.txt
RUN pip install --no-cache-dir --prefix /parts -r /requirements.txt
COPY . /source
RUN pip install --no-cache-dir --no-deps --prefix /parts /source
# what packages bring to test themselves: 36 MB
RUN find /parts -type d \( -name tests -o -path '*/onnx/backend/test' \) -prune -exec rm -r {} +

FROM python:3.12-slim AS worker
COPY --from=parts /parts /usr/local
RUN useradd --create-home mesovid
USER mesovid
ENTRYPOINT ["mesovid"]

# docker build -t mesovid-ray --target ray .
FROM worker AS ray
USER root
RUN pip install --no-cache-dir 'ray>=2.9'
USER mesovid
ENTRYPOINT ["ray"]

FROM python:3.12-slim AS full
RUN apt-get update && apt-get install -y --no-install-recommends libgl1 libglib2.0-0 libxcb1 && rm -rf /var/lib/apt/lists/*
COPY . /source
RUN pip install --no-cache-dir /source && rm -rf /source
ENTRYPOINT ["mesovid"]
