# Pre-adaptation of SPIN by MPS-Net on MPI-INF-3DHP ("MPI" in section IV.G), at the rates for 3DPW.
_base_ = ['../source/spin_3dhp.py', '../_base_/adapters/pre_adapt_paper.py']

adapter = _base_.pop('pre_adapt')
