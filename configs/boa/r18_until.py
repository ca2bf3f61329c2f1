# BOA's losses of one frame in plain steps that end where the 2D error is that of the keypoints' own noise.
_base_ = './r18_wild.py'

adapter = dict(
    scheme='one-stage', upper=('frame',), steps=12, until=4.5, source=dict(batch=1))
