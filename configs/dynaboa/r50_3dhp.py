# DynaBOA on MPI-INF-3DHP: its code has no mode for it, so at the rates for 3DPW.
_base_ = [
    '../_base_/default_runtime.py', '../_base_/estimators/boa_r50.py', '../_base_/datasets/mpi_inf_3dhp.py',
    '../_base_/adapters/dynamic_bilevel_paper.py']

adapter = _base_.pop('dynamic_bilevel')
