# The free start model on pictures of its own domain that were taken from far away: 96, 52 and 32 px of 224 in the paper
# are 48, 26 and 16 px of our crops of 112.
_base_ = './r18_wild.py'

dataset = dict(
    _delete_=True, type='Transformed',
    dataset=dict(type='OpenStream', domain='studio', sequences=8, frames=40, seed=0, noise='detector'),
    transforms=[dict(type='CropTo', resolution=112), dict(type='LowResolution', width=16)])
