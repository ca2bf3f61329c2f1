# The free start model on images of its own domain that were taken from far away: 96, 52 and 32 px of 224 in the paper
# are 48, 26 and 16 px of our crops of 112.
_base_ = './r18_wild.py'

dataset = dict(
    _delete_=True, type='Transformed', dataset=dict(_base_.dataset, domain='studio'),
    transforms=[dict(type='CropTo', resolution=112), dict(type='LowResolution', width=16)])
