# The same by the product of the thesis' Eq. 4, as it is written: at the start the features are a fraction of what the
# regressor knows.
_base_ = './foreground_gate_open.py'
model = dict(estimator=dict(fusion='mul'))
