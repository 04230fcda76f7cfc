# lnn-edge with the ARM toolchain, without torch: export, build, verify, predict, report.
#   docker build -t lnn-edge .
#   docker run --rm --user "$(id -u):$(id -g)" -v "$PWD:/work" lnn-edge export --board stm32f746 -o firmware
FROM python:3.11-slim-bookworm AS wheel
COPY . /src
RUN pip wheel --no-cache-dir --no-deps --wheel-dir /wheels /src

FROM python:3.11-slim-bookworm
# Versions are those of bookworm, which the tag above pins.
# hadolint ignore=DL3008
RUN apt-get update \
 && apt-get install -y --no-install-recommends gcc libc6-dev gcc-arm-none-eabi libnewlib-arm-none-eabi qemu-system-arm \
 && rm -rf /var/lib/apt/lists/*
COPY --from=wheel /wheels /wheels
COPY constraints.txt /wheels/
RUN pip install --no-cache-dir -c /wheels/constraints.txt /wheels/*.whl && rm -r /wheels
WORKDIR /work
ENTRYPOINT ["lnn-edge"]
