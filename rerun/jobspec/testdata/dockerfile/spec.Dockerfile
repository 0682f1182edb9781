# syntax=docker/dockerfile:1.7
# check=skip=all
# The trainer's image.

ARG CUDA=nvcr.io/nvidia/cuda:12.4.1-devel-ubuntu22.04
ARG PYTHON="3.12"
ARG BASE='registry.example.com:5000/team/base:1.4'

FROM --platform=$BUILDPLATFORM golang:1.26-alpine AS tools
RUN --mount=type=cache,target=/var/cache \
    # a note between: FROM no:1
    --mount=type=bind,from=registry.example.com:5000/team/cache:7,source=/x,target=/y \

    go build ./...
ADD https://git.example.com/team/train.git#v2.1:src /src
ADD https://example.com/data.tar.gz /data

from ${CUDA} as build
COPY --chown=1000:1000 --from=tools /go/bin/* /usr/bin/
COPY --from=0 /a /b
COPY --from=ghcr.io/astral-sh/uv:0.5 /uv /bin/
RUN <<-SCRIPT bash -e && cat <<"TEXT"
	FROM no:2
	SCRIPT
COPY --from=no:3 a b
TEXT
ONBUILD COPY --from=team/hooks:2 /h /h
LABEL note="FROM no:4"

FROM build AS test
FROM ${BASE:-no:5}
FROM ${MISSING:-busybox:1.36} AS last
FROM scratch
COPY --from=LAST /bin/sh /bin/sh
