# The same schedule without a foreground: the gate stays closed and the regressor alone is trained.
_base_ = './foreground_gate_open.py'
model = dict(estimator=dict(frozen=('backbone', 'reducer', 'fusion')))
