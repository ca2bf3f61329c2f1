# Stage II alone, the baseline of the paper's Table 6.
_base_ = './stage2_open.py'
model = dict(network=dict(pretrained=None))
