# SPIN without adaptation on Human3.6M, protocol 2, as its authors score it.
_base_ = ['../_base_/default_runtime.py', '../_base_/estimators/spin.py', '../_base_/datasets/h36m_p2.py']

adapter = dict(type='Source')
