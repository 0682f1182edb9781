#!/bin/sh
# A notebook as a run: ./run.sh [RATE]. papermill fills in the parameters and executes every cell; the executed notebook is a log and not the result, because it
# holds times, so only the model is an output.
set -eu
runpin record --dataset train=data --param "rate=${1:-0.1}" --output model=model.txt --metrics metrics.json \
  -- papermill --parameters rate {rate} --parameters data {train} --parameters model {model} train.ipynb executed.ipynb
