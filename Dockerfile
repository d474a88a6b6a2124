# docker build -t mesovid . && docker run --rm -v "$PWD:/videos" mesovid scan /videos/clip.mp4
FROM python:3.12-slim
RUN apt-get update && apt-get install -y --no-install-recommends libgl1 libglib2.0-0 libxcb1 && rm -rf /var/lib/apt/lists/*
COPY . /source
RUN pip install --no-cache-dir /source && rm -rf /source
ENTRYPOINT ["mesovid"]
