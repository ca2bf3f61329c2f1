# The official SPIN on the test set of MPI-INF-3DHP.
_base_ = ['../_base_/default_runtime.py', '../_base_/estimators/spin.py', '../_base_/datasets/mpi_inf_3dhp.py']

adapter = dict(type='Source')
