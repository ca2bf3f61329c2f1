# BOA's steps on the official SPIN, 3DPW ("BOA-plugged" in Figure 2 of 3DHR-Co): SPIN's BatchNorm and its training on
# several data sets in place of BOA's GroupNorm and Human3.6M.
_base_ = ['../source/spin_3dpw.py', '../_base_/adapters/bilevel_paper.py']

adapter = _base_.pop('bilevel')
