# Images of embedding-operator: targets `operator`, `runtime` and `reference`. Docker and buildah build it alike:
#
#   docker build --target operator -t operator .
#   docker build --target runtime -t runtime .                                                  (torch for CUDA)
#   docker build --target runtime --build-arg TORCH_INDEX=https://download.pytorch.org/whl/cpu -t runtime-cpu .
#   docker build --target reference -t reference .                                      (built like runtime, see below)
#
# Dependencies are one layer that changes only with requirements/*.txt; our code is a thin one on top.
ARG BASE_IMAGE=docker.io/library/python:3.11-slim-bookworm

# Byte code is compiled while the image is built: the containers' root file systems are read-only, and compiling
# transformers at each start takes longer than starting. Its validity is not tied to file times, which image builders
# change.
# uv installs, because it can take a cache that the build mounts and compiles in parallel; it comes and goes in the same
# layer. (A stage of its own, mounted, would be the obvious way, but older buildah mounts a cached stage empty.)
FROM ${BASE_IMAGE} AS base
RUN echo 'nonroot:x:65532:65532:nonroot:/tmp:/sbin/nologin' >>/etc/passwd && echo 'nonroot:x:65532:' >>/etc/group
ENV PATH=/opt/app/bin:/opt/venv/bin:/usr/local/bin:/usr/bin:/bin \
    PYTHONPATH=/opt/app \
    PYTHONUNBUFFERED=1 \
    HOME=/tmp


FROM base AS operator-dependencies
ARG UV_NO_CACHE=true
ARG UV_SYSTEM_CERTS=true
COPY requirements/uv.txt requirements/operator.txt /opt/requirements/
RUN python3 -m venv --without-pip /opt/venv \
    && python3 -m venv /opt/uv \
    && /opt/uv/bin/python -m pip install --quiet --no-cache-dir --require-hashes -r /opt/requirements/uv.txt \
    && export UV_CACHE_DIR=/var/cache/uv UV_LINK_MODE=copy \
    && /opt/uv/bin/uv pip install --quiet --python /opt/venv/bin/python --require-hashes \
         -r /opt/requirements/operator.txt \
    && rm -rf /opt/uv \
    # The thousands of generated classes of the Kubernetes client are never imported; their byte code would be 50 MB.
    && python3 -m compileall -q --invalidation-mode unchecked-hash -x '/kubernetes/.*/(models|api)/[^_]' /opt/venv


FROM base AS operator-code
COPY runtime/embedding_model /opt/app/embedding_model
COPY operator/embedding_operator /opt/app/embedding_operator
ARG VERSION=0.1.0
RUN mkdir /opt/app/bin /opt/app/embedding_operator.dist-info \
    && printf 'Metadata-Version: 2.1\nName: embedding-operator\nVersion: %s\n' "${VERSION}" \
       >/opt/app/embedding_operator.dist-info/METADATA \
    && printf '#!/opt/venv/bin/python\nfrom embedding_operator.__main__ import main\nmain()\n' \
       >/opt/app/bin/embedding-operator \
    && chmod 755 /opt/app/bin/embedding-operator \
    && python3 -m compileall -q --invalidation-mode unchecked-hash /opt/app


FROM operator-dependencies AS operator
COPY --from=operator-code /opt/app /opt/app
USER 65532:65532
ENTRYPOINT ["/opt/venv/bin/python", "-m", "embedding_operator"]
CMD ["run"]
ARG VERSION=0.1.0
ARG REVISION=
LABEL org.opencontainers.image.title="embedding-operator" \
      org.opencontainers.image.description="Kubernetes operator for embedding and rerank models" \
      org.opencontainers.image.source="https://embedding-operator.dev" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"


FROM base AS runtime-dependencies
# Pickles are converted behind a seccomp filter. Debian's apt brings the library along; another base may lack it.
RUN ldconfig -p | grep -q 'libseccomp\.so\.2' \
    || (apt-get update && apt-get install --yes --no-install-recommends libseccomp2 && rm -rf /var/lib/apt/lists/*)
ARG UV_NO_CACHE=true
ARG UV_SYSTEM_CERTS=true
# Index with another build of torch, such as its CPU wheels. Their hashes are not those of the requirements, so torch
# then comes in the locked version without a hash, and CUDA's libraries are left out.
ARG TORCH_INDEX=
COPY requirements/uv.txt requirements/runtime.txt /opt/requirements/
RUN python3 -m venv --without-pip /opt/venv \
    && python3 -m venv /opt/uv \
    && /opt/uv/bin/python -m pip install --quiet --no-cache-dir --require-hashes -r /opt/requirements/uv.txt \
    && export UV_CACHE_DIR=/var/cache/uv UV_LINK_MODE=copy PYC_INVALIDATION_MODE=UNCHECKED_HASH \
    && if [ -z "${TORCH_INDEX}" ]; then \
         /opt/uv/bin/uv pip install --quiet --python /opt/venv/bin/python --require-hashes --compile-bytecode \
           -r /opt/requirements/runtime.txt; \
       else \
         awk '/^[^ ]/ {kept = !/^(torch|triton|nvidia-|cuda-)/} kept' /opt/requirements/runtime.txt >/tmp/without-torch.txt \
         && /opt/uv/bin/uv pip install --quiet --python /opt/venv/bin/python --require-hashes --compile-bytecode \
              -r /tmp/without-torch.txt \
         && /opt/uv/bin/uv pip install --quiet --python /opt/venv/bin/python --no-deps --compile-bytecode \
              --index-url "${TORCH_INDEX}" "$(grep -o '^torch==[^ ]*' /opt/requirements/runtime.txt)"; \
       fi \
    && rm -rf /opt/uv /tmp/without-torch.txt


FROM base AS runtime-code
COPY runtime/embedding_model /opt/app/embedding_model
COPY runtime/embedding_runtime /opt/app/embedding_runtime
ARG VERSION=0.1.0
RUN mkdir /opt/app/bin /opt/app/embedding_operator.dist-info \
    && printf 'Metadata-Version: 2.1\nName: embedding-operator\nVersion: %s\n' "${VERSION}" \
       >/opt/app/embedding_operator.dist-info/METADATA \
    && printf '#!/opt/venv/bin/python\nfrom embedding_runtime.__main__ import main\nmain()\n' \
       >/opt/app/bin/embedding-runtime \
    && chmod 755 /opt/app/bin/embedding-runtime \
    && python3 -m compileall -q --invalidation-mode unchecked-hash /opt/app


FROM runtime-dependencies AS runtime
COPY --from=runtime-code /opt/app /opt/app
USER 65532:65532
EXPOSE 8080 8081
ENTRYPOINT ["/opt/venv/bin/python", "-m", "embedding_runtime"]
CMD ["serve"]
ARG VERSION=0.1.0
ARG REVISION=
LABEL org.opencontainers.image.title="embedding-runtime" \
      org.opencontainers.image.description="Serves one embedding model, verified against golden vectors" \
      org.opencontainers.image.source="https://embedding-operator.dev" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"


# What computes golden cases: the runtime's layers and one more, with sentence-transformers and what it needs beyond
# them. Torch and transformers are the very same, so that a difference between the two images' numbers is never theirs.
FROM runtime-dependencies AS reference-dependencies
ARG UV_NO_CACHE=true
ARG UV_SYSTEM_CERTS=true
COPY requirements/reference.txt /opt/requirements/
RUN python3 -m venv /opt/uv \
    && /opt/uv/bin/python -m pip install --quiet --no-cache-dir --require-hashes -r /opt/requirements/uv.txt \
    && export UV_CACHE_DIR=/var/cache/uv UV_LINK_MODE=copy PYC_INVALIDATION_MODE=UNCHECKED_HASH \
    && awk 'FNR == NR {if (/^[^ ]/) {split($0, part, "=="); known[part[1]] = 1}; next} \
            /^[^ ]/ {split($0, part, "=="); kept = !(part[1] in known)} kept' \
         /opt/requirements/runtime.txt /opt/requirements/reference.txt >/tmp/additions.txt \
    && /opt/uv/bin/uv pip install --quiet --python /opt/venv/bin/python --no-deps --require-hashes --compile-bytecode \
         -r /tmp/additions.txt \
    && rm -rf /opt/uv /tmp/additions.txt


FROM reference-dependencies AS reference
COPY --from=runtime-code /opt/app /opt/app
USER 65532:65532
EXPOSE 8081
ENTRYPOINT ["/opt/venv/bin/python", "-m", "embedding_runtime"]
CMD ["goldens"]
ARG VERSION=0.1.0
ARG REVISION=
LABEL org.opencontainers.image.title="embedding-reference" \
      org.opencontainers.image.description="Computes golden cases with sentence-transformers and transformers" \
      org.opencontainers.image.source="https://embedding-operator.dev" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
