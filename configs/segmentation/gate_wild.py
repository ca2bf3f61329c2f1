# The gated network on the free wild stream, without adaptation. Train it first (foreground_gate_looks.py).
_base_ = ['../source/r18_wild.py', '../_base_/estimators/foreground.py']

estimator = dict(_base_.pop('foreground'), weights='work_dirs/foreground_gate_looks/iter_600.pth')
