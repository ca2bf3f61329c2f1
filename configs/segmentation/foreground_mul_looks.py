# The same by the product of the thesis' Eq. 4.
_base_ = './foreground_gate_looks.py'
model = dict(estimator=dict(fusion='mul'))
