# SPIN without adaptation on 3DPW.
_base_ = ['../_base_/default_runtime.py', '../_base_/estimators/spin.py', '../_base_/datasets/threedpw.py']

adapter = dict(type='Source')
