# What the same schedule gives without a foreground: the gate stays shut and the regressor alone learns.
_base_ = './foreground_gate_looks.py'
model = dict(estimator=dict(frozen=('backbone', 'reducer', 'fusion')))
