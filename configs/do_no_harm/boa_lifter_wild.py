# The gate around BOA of LandmarkHMR on the free wild stream.
_base_ = ['../source/lifter_wild.py', '../_base_/adapters/bilevel_lifter.py']

adapter = dict(type='DoNoHarm', adapter=_base_.pop('bilevel_lifter'))
