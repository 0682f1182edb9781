#!/bin/sh
# What the CI job runs: plan the run, submit the pinned job, say which run it is. RUNPIN_STORE and RUNPIN_TOKEN come from the CI's own settings.
set -eu
runpin record --job job.yaml --pinned pinned.yaml --id-file run.id
kubectl create -f pinned.yaml
echo "run $(cat run.id)"
