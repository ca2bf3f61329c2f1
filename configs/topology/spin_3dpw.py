# SPIN without adaptation on 3DPW, as its authors score it.
_base_ = ['../_base_/default_runtime.py', '../_base_/estimators/spin.py', '../_base_/datasets/threedpw_spin.py']

adapter = dict(type='Source')
