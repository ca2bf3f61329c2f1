# SMPLify over whole tracks: one shape and smooth joints, for the free start model on the free wild stream. The weight
# of the smoothness was chosen on seed 100 of the stream (docs/en/adapters/smplify.md lists what was tried).
_base_ = '../source/r18_wild.py'

adapter = dict(type='SMPLify', scope='track', weights=dict(smooth=1000.0))
