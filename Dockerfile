# syntax=docker/dockerfile:1
# One image for `personakit api`, `personakit worker` and every other command. It holds no secrets and no
# PostgreSQL: both come from where it runs. See docs/how-to/run-in-production.md.

FROM python:3.13-slim AS build
ENV UV_LINK_MODE=copy UV_PYTHON_DOWNLOADS=never UV_NO_CACHE=1
RUN pip install --no-cache-dir --disable-pip-version-check uv==0.13.9
WORKDIR /build
COPY requirements-production.lock ./
RUN uv venv /opt/personakit \
 && uv pip sync --python /opt/personakit --require-hashes --compile-bytecode requirements-production.lock
COPY pyproject.toml requirements.lock README.md LICENSE ./
COPY projections projections
COPY rules rules
COPY src src
RUN uv build --wheel --build-constraints requirements.lock --require-hashes --out-dir dist \
 && uv pip install --python /opt/personakit --no-deps --compile-bytecode dist/*.whl

FROM python:3.13-slim
RUN useradd --system --uid 10001 --user-group --no-create-home personakit \
 && install --directory --owner=10001 --group=10001 /var/lib/personakit
COPY --from=build /opt/personakit /opt/personakit
ENV PATH=/opt/personakit/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PERSONAKIT_HOST=0.0.0.0 \
    PERSONAKIT_ALLOW_REMOTE=1
USER 10001:10001
WORKDIR /tmp
EXPOSE 8042
STOPSIGNAL SIGTERM
# Of an API; a worker has no port, and switches this off.
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s --retries=3 \
  CMD ["python", "-c", "import os, urllib.request as r; r.urlopen('http://127.0.0.1:' + (os.environ.get('PERSONAKIT_PORT') or '8042') + '/health/ready', timeout=4)"]
ENTRYPOINT ["personakit"]
CMD ["api"]
