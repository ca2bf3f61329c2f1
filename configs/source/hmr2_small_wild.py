# The small HMR2 without adaptation on the free wild stream.
_base_ = ['../_base_/default_runtime.py', '../_base_/estimators/hmr2_small.py', '../_base_/datasets/open_wild.py']

estimator = dict(weights='open:hmr2_small')
adapter = dict(type='Source')
