# BOA of the small HMR2 on the free wild stream. Three tenths of the rates of configs/boa/r18_wild.py, chosen on seeds
# 100 and 101 of the stream (docs/en/hmr2.md).
_base_ = ['../source/hmr2_small_wild.py', '../_base_/adapters/bilevel_r18.py']

adapter = dict(_base_.pop('bilevel_r18'), lr=6e-5, inner_lr=9e-5)
