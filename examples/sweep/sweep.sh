#!/bin/sh
# A sweep: ./sweep.sh [MEMBERS], 500 by default. Every member is a run of its own, with its rate as a parameter, and names the sweep as its parent. The data set
# is hashed once, for the sweep; the members take it over (--pins-from). Afterwards: runpin list --parent sweep --sort loss
set -eu
members=${1:-500}
mkdir -p out
runpin record --name sweep --dataset train=data --id-file sweep.id -- true
sweep=$(cat sweep.id)
for member in $(seq "$members"); do
  rate=$(awk -v n="$member" -v of="$members" 'BEGIN { printf "%.4f", n / of }')
  runpin record --parent "$sweep" --pins-from "$sweep" --dataset train=data --param "rate=$rate" --output "model=out/$member.txt" --metrics "out/$member.json" \
    -- sh train.sh data {rate} {model} "out/$member.json"
done
