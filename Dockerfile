# docker build -t deepripe:0.1.0 . && docker run --rm -v "$PWD":/data deepripe:0.1.0 ripe models
FROM python:3.11-slim
RUN apt-get update \
    && apt-get install -y --no-install-recommends bcftools bedtools tabix procps \
    && rm -rf /var/lib/apt/lists/*
COPY . /opt/deepripe
# Every requirement has a wheel: no compiler is needed.
RUN pip install --no-cache-dir --constraint /opt/deepripe/constraints.txt /opt/deepripe \
    && rm -rf /opt/deepripe
# Indices and compiled loops go there; any user may write.
ENV RIPE_CACHE_DIR=/tmp/deepripe NUMBA_CACHE_DIR=/tmp/deepripe MPLCONFIGDIR=/tmp/deepripe TF_CPP_MIN_LOG_LEVEL=3
LABEL org.opencontainers.image.title="deepripe" \
      org.opencontainers.image.version="0.1.0" \
      org.opencontainers.image.licenses="MIT"
WORKDIR /data
CMD ["ripe", "--help"]
