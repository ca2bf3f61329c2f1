# Pre-adaptation where the detector misses two limbs of every person for 60 % of the frames.
_base_ = './r18_detected.py'

dataset = dict(transforms=[dict(type='HideLimbs', limbs=2, share=0.6)])
