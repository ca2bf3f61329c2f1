# The gate around BOA of the free start model on the free wild stream. Its numbers were chosen on seeds 100 and 101.
_base_ = ['../source/r18_wild.py', '../_base_/adapters/bilevel_r18.py']

adapter = dict(type='DoNoHarm', adapter=_base_.pop('bilevel_r18'))
