#!/bin/sh
#SBATCH -N 1
srun python train.py
