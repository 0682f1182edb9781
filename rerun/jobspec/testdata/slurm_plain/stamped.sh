#!/bin/sh
#SBATCH -N 1
export RUNPIN_RUN_ID=01JDABCDEFGHJKMNPQRSTVWXYZ
srun python train.py
