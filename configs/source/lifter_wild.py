# LandmarkHMR without adaptation on the free wild stream.
_base_ = ['../_base_/default_runtime.py', '../_base_/estimators/lifter.py', '../_base_/datasets/open_wild.py']

estimator = dict(weights='open:lifter')
adapter = dict(type='Source')
