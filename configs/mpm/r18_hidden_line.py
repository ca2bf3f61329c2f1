# What is hidden is filled in by straight lines in time, as far as there are frames before and after.
_base_ = './r18_hidden.py'
dataset = dict(transforms=[{{_base_._hidden}}, dict(type='InterpolateKeypoints', confidence=0.3)])
