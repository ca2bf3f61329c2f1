#!/usr/bin/env bash
# One adaptation shared out over the GPUs of a cluster: a process per GPU, each with its share of the sequences.
#
#     sbatch --ntasks=8 --ntasks-per-node=4 --gres=gpu:4 tools/slurm_adapt.sh CONFIG [--cfg-options KEY=VALUE ...]
#
# A job that is cut off is submitted again as it was: finished sequences and preparations are not computed twice.
#SBATCH --job-name=hrtk
#SBATCH --ntasks=1
#SBATCH --gres=gpu:1
#SBATCH --cpus-per-task=4
#SBATCH --output=%x-%j.log
set -euo pipefail
if [ $# -lt 1 ]; then
    sed -n 2,6p "$0" | cut -c3- >&2
    exit 2
fi
export OMP_NUM_THREADS="${SLURM_CPUS_PER_TASK:-1}"
exec srun --kill-on-bad-exit=1 "${PYTHON:-python}" -u tools/adapt.py "$1" --launcher slurm "${@:2}"
