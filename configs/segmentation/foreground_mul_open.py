# Fusion by the product of the thesis' Eq. 4, as it is written: at the start the features are much smaller than those
# with which the regressor was trained.
_base_ = './foreground_gate_open.py'
model = dict(estimator=dict(fusion='mul'))
