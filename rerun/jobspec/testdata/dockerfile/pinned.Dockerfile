# syntax=docker/dockerfile:1.7@sha256:ea5a34b58c58cbff9a410669be600c701e590e4a3ee6c79c84dcb8b309932fbd
# check=skip=all
# The trainer's image.

ARG CUDA=nvcr.io/nvidia/cuda:12.4.1-devel-ubuntu22.04@sha256:1e40c1a09c34948fefb79ab48ac2e05dd309e1a2294cfb543f1c0986395e96a0
ARG PYTHON="3.12"
ARG BASE='registry.example.com:5000/team/base:1.4@sha256:496e602c94ca3735343c716abd4b71cf6112ed8da8cb0154d606c7172b4fee9f'

FROM --platform=$BUILDPLATFORM golang:1.26-alpine@sha256:2b3b4a5f05e1cabc3bb1bf8fd0c1a2b316ef09c8d9cc1ac890f90142b409360b AS tools
RUN --mount=type=cache,target=/var/cache \
    # a note between: FROM no:1
    --mount=type=bind,from=registry.example.com:5000/team/cache:7@sha256:644eceb87c8a846dfdc2732e260aa8fff314692a7d37cbfa90a6390b52fec6c3,source=/x,target=/y \

    go build ./...
ADD https://git.example.com/team/train.git#bffcf63bf7443a15fdaa8de1b02e53049f974c68:src /src
ADD https://example.com/data.tar.gz /data

from ${CUDA} as build
COPY --chown=1000:1000 --from=tools /go/bin/* /usr/bin/
COPY --from=0 /a /b
COPY --from=ghcr.io/astral-sh/uv:0.5@sha256:bca28d71f96bc01696ba8a9e6aaaebd5cf56aeead55d5bdaa3a01a452e6e9d93 /uv /bin/
RUN <<-SCRIPT bash -e && cat <<"TEXT"
	FROM no:2
	SCRIPT
COPY --from=no:3 a b
TEXT
ONBUILD COPY --from=team/hooks:2@sha256:2bea902adb57e583a79e589f536551699817a6edbebee8aa862955b26979bfd0 /h /h
LABEL note="FROM no:4"

FROM build AS test
FROM ${BASE:-no:5}
FROM ${MISSING:-busybox:1.36@sha256:ab512471e34f10e894cfa69eec441e1412a1c418f681cdb04b15c219c8b1dd67} AS last
FROM scratch
COPY --from=LAST /bin/sh /bin/sh
