# The gate around BOA of the small HMR2 on the free wild stream, at the rates of configs/boa/hmr2_small_wild.py.
_base_ = ['../source/hmr2_small_wild.py', '../_base_/adapters/bilevel_r18.py']

adapter = dict(type='DoNoHarm', adapter=dict(_base_.pop('bilevel_r18'), lr=6e-5, inner_lr=9e-5))
