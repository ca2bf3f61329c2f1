# DynaBOA on MPI-INF-3DHP: its code has no mode for it, so at the rates for 3DPW.
_base_ = ['../_base_/default_runtime.py', '../_base_/dynaboa_paper.py', '../_base_/datasets/mpi_inf_3dhp.py']
