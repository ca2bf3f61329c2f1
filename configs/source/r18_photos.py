# The free start model without adaptation on your own footage.
_base_ = ['../_base_/default_runtime.py', '../_base_/estimators/hmr_r18.py', '../_base_/datasets/photos.py']

estimator = dict(weights='open:r18_studio')
adapter = dict(type='Source')
