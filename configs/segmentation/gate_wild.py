# The gated network on the free wild stream, without adaptation. Train it first (foreground_gate_looks.py).
_base_ = ['../_base_/default_runtime.py', '../_base_/estimators/foreground_r18.py', '../_base_/datasets/open_wild.py']

estimator = dict(weights='work_dirs/foreground_gate_looks/iter_600.pth')
adapter = dict(type='Source')
