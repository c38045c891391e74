# The operator's image: `docker build -t goldseam/goldseam:0.1.0 .`
# A release pins the base by digest: --build-arg PYTHON=python:3.13-slim@sha256:…
ARG PYTHON=python:3.13-slim

# The wheel. Its build backend comes from the same hashed list as the developers' tools.
FROM ${PYTHON} AS wheel
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
WORKDIR /src
COPY requirements/dev.txt requirements/
RUN pip install --require-hashes --no-deps -r requirements/dev.txt
COPY pyproject.toml README.md LICENSE ./
COPY operator operator
RUN pip wheel --no-deps --no-build-isolation --wheel-dir /wheel .

# The environment: every dependency by its hash, then the wheel and nothing that it might ask for besides.
FROM ${PYTHON} AS environment
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
RUN python -m venv /opt/goldseam
COPY requirements/run.txt /tmp/run.txt
RUN /opt/goldseam/bin/pip install --require-hashes --no-deps -r /tmp/run.txt
COPY --from=wheel /wheel /wheel
RUN /opt/goldseam/bin/pip install --no-deps --no-index /wheel/*.whl \
 && /opt/goldseam/bin/pip uninstall --yes pip

FROM ${PYTHON}
LABEL org.opencontainers.image.title="goldseam" \
      org.opencontainers.image.description="Heals workloads and nodes when Prometheus alerts fire, and says why" \
      org.opencontainers.image.licenses="Apache-2.0"
COPY --from=environment /opt/goldseam /opt/goldseam
# The root file system is read-only: bytecode was written when the packages were installed. Nothing is imported from the
# working directory.
ENV PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1 PYTHONSAFEPATH=1
# A number, so that the kubelet can see that it is not root.
USER 65532:65532
EXPOSE 8080
ENTRYPOINT ["/opt/goldseam/bin/python", "-m", "goldseam"]
CMD ["run"]
