# Fusion by the product of the thesis' Eq. 4, trained on the looks of the wild.
_base_ = './foreground_gate_looks.py'
model = dict(estimator=dict(fusion='mul'))
