# The image of Spark Control. Built with docker (BuildKit), podman or buildah: `make image`.
#
# Every stage takes the same base: a Debian with Python 3.11 or newer and its venv module. Pin it to
# a digest with --build-arg BASE_IMAGE=docker.io/library/python@sha256:…
ARG BASE_IMAGE=docker.io/library/python:3.12-slim
# Where assets and wheel are made; they are the same for every architecture.
ARG WHEEL_IMAGE=${BASE_IMAGE}

# ── the front-end assets and our wheel, with uv and node by their lock files ──
FROM --platform=${BUILDPLATFORM} ${WHEEL_IMAGE} AS wheel
# For a network with a certificate authority of its own: where its bundle lies in the base image.
ARG PIP_CERT
ARG SSL_CERT_FILE
ARG NODE_EXTRA_CA_CERTS
WORKDIR /src
COPY . .
RUN python3 scripts/bootstrap.py wheel

# ── the environment: locked versions, each checked against its hash, wheels only ──
FROM ${BASE_IMAGE} AS environment
ARG PIP_CERT
COPY --from=wheel /src/dist/ /dist/
# Compiled here, because the root of the running container cannot be written.
RUN python3 -m venv /opt/venv \
 && /opt/venv/bin/python -m pip install --quiet --no-cache-dir --disable-pip-version-check --no-deps \
      --require-hashes --only-binary :all: -r /dist/requirements.txt \
 && /opt/venv/bin/python -m pip install --quiet --no-cache-dir --disable-pip-version-check --no-deps \
      --no-index /dist/*.whl \
 && /opt/venv/bin/python -m pip uninstall --quiet --yes pip setuptools

# ── what runs ──
FROM ${BASE_IMAGE}
# openssh-client: ssh-keygen, for keys that are pasted or made outside of the app.
RUN apt-get update -qq \
 && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends \
      -o Dpkg::Use-Pty=0 \
      ca-certificates openssh-client \
 && rm -rf /var/lib/apt/lists/* /var/cache/apt/* /var/log/apt /var/log/dpkg.log \
 && groupadd --gid 1000 app \
 && useradd --uid 1000 --gid 1000 --home-dir /data --no-create-home --shell /usr/sbin/nologin app \
 && install -d -o 1000 -g 1000 -m 0700 /data
COPY --from=environment /opt/venv /opt/venv
ENV PATH=/opt/venv/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
    LANG=C.UTF-8 \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    SPARK_CONTROL_DATA=/data
WORKDIR /data
USER 1000:1000
EXPOSE 9999
VOLUME ["/data"]
# Alive, not ready: a supervisor must not restart the app because a disk is full.
HEALTHCHECK --interval=30s --timeout=5s --start-period=20s --retries=3 \
  CMD ["python3", "-ISc", "import http.client as h; c = h.HTTPConnection('127.0.0.1', 9999, timeout=4); c.request('GET', '/livez'); raise SystemExit(c.getresponse().status != 200)"]
ENTRYPOINT ["spark-control"]
CMD ["serve", "--host", "0.0.0.0", "--port", "9999"]
# Last, because they change with every commit.
ARG VERSION=0
ARG REVISION=unknown
ARG CREATED=1970-01-01T00:00:00Z
LABEL org.opencontainers.image.title="Spark Control" \
      org.opencontainers.image.description="Control plane of a homelab AI cluster of NVIDIA DGX Sparks" \
      org.opencontainers.image.licenses="MIT" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.created="${CREATED}"
