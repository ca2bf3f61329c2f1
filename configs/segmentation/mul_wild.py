# The multiplied network on the free wild stream, without adaptation. Train it first (foreground_mul_looks.py).
_base_ = './gate_wild.py'
estimator = dict(fusion='mul', weights='work_dirs/foreground_mul_looks/iter_600.pth')
