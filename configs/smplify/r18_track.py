# SMPLify over whole tracks: one shape and smooth joints, for the free start model on the free wild stream.
_base_ = '../source/r18_wild.py'

adapter = dict(type='SMPLify', scope='track', lr=1e-2, camera_steps=100, steps=100, weights=dict(smooth=100.0))
