# BOA on MPI-INF-3DHP with the rates of the paper (117.6 MPJPE / 77.4 PA-MPJPE there). They could not be repeated
# with the released code (92.61 PA-MPJPE in issue 7 of its repository); the settings behind them are lost.
_base_ = [
    '../_base_/default_runtime.py', '../_base_/estimators/boa_r50.py', '../_base_/datasets/mpi_inf_3dhp.py',
    '../_base_/adapters/bilevel_paper.py']

adapter = dict(_base_.pop('bilevel'), lr=2e-6, adam_betas=(0.2, 0.999))
