# Two limbs of every person are not found for 60 % of the frames.
_base_ = './r18_detected.py'
_hidden = dict(type='HideLimbs', limbs=2, share=0.6)
dataset = dict(transforms=[_hidden])
